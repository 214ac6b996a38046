"""What the columns of a source mean, and their texts as dates and numbers."""
