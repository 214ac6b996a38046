"""The kinds of finding, grouped by what they look at."""
