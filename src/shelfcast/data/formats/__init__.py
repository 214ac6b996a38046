"""Open anything as one lazy table: files of every format, globs, folders, standard input, databases."""
