"""The pieces of cleaning: flaws of lines, the sum by period, and the rules."""
