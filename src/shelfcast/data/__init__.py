"""From files to a clean panel: read, check, clean, split."""
