"""Preparation of sequences for a model: scaling, windows, batches and padding."""
