"""The regimes of the prior: one kind of retailer each, drawn from a seed."""
