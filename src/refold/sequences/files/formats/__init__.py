"""Readers and writers of file formats; each module is named after its format."""
