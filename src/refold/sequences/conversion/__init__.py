"""Conversion between `Sequences` and lists, arrays, tables and other libraries' formats."""
