"""One module or a few for each file format, named for it."""
