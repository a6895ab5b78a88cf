"""Layouts of tables in files: one row per step, or one row per sequence."""
