"""First weights: linear maps by principal components and ridge regression."""
