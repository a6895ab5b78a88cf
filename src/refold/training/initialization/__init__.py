"""Initial weights from principal components and ridge regression."""
