"""What every part of the package may use, and what knows nothing of sequences or models."""
