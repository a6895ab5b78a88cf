"""The network as Keras models, for training, and for networks of other architectures."""
