"""Compiled training loop: epochs, schedule, early stopping, callbacks, checkpoints."""
