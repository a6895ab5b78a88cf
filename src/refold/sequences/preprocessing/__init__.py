"""Sequences made ready for a model: scaled, cut, batched and padded."""
