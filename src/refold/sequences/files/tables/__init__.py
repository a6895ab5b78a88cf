"""Layouts of tables in files: one row a step, or one row a sequence."""
