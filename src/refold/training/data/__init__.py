"""Training data: validation split, loaders, padded batches, corruption and targets."""
