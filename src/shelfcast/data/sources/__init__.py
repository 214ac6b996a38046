"""One file per public data set or dialect: its quirks begin and end there."""
