"""Schemas: column types, categories, validation, and encoding of raw values."""
