"""Features: what a date, a past, a price and a place say about sales."""
