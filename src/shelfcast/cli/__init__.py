"""The command line: parses flags, calls the workflow, prints. Computes nothing."""
