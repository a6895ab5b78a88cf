"""The data of a training: split, loaded, batched and corrupted."""
