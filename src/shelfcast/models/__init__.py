"""Models: each takes a SalesPanel and returns a Forecast."""
