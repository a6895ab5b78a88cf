"""What the columns of sequences are, and raw values as numbers by that."""
