"""Sequences of very unequal lengths, and the default network with Keras's own LSTM."""

from typing import Any

import numpy as np

__all__ = ["BATCH", "FEATURES", "equal", "log_normal", "with_keras_lstm"]

FEATURES, BATCH = 4, 64
SHORTEST, MEDIAN, LONGEST, SPREAD = 5, 60, 1000, 1.0


def log_normal(num_sequences: int, seed: int = 0) -> Any:
    """Draw smooth series of log-normal lengths, from 5 to 1000 steps with a median of 60."""
    rng = np.random.default_rng(seed)
    lengths = np.exp(rng.normal(np.log(MEDIAN), SPREAD, num_sequences))
    return _series(np.clip(np.rint(lengths), SHORTEST, LONGEST).astype(int), rng)


def equal(num_sequences: int, num_steps: int, seed: int = 0) -> Any:
    """Draw series of equal length, with about ``num_steps`` steps in total."""
    rng = np.random.default_rng(seed)
    length = max(1, round(num_steps / num_sequences))
    return _series(np.full(num_sequences, length), rng)


def with_keras_lstm(model: Any) -> Any:
    """Return a copy of a model with Keras's LSTM layers and newly initialized weights."""
    import keras

    def plain(config: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in config.items() if name != "engine"}

    def copy(layer: Any) -> Any:
        if isinstance(layer, keras.layers.Bidirectional):
            inner = keras.layers.LSTM.from_config(plain(layer.forward_layer.get_config()))
            return keras.layers.Bidirectional(inner, name=layer.name)
        if isinstance(layer, keras.layers.LSTM):
            return keras.layers.LSTM.from_config(plain(layer.get_config()))
        return type(layer).from_config(layer.get_config())

    return keras.models.clone_model(model, clone_function=copy)


def _series(lengths: np.ndarray, rng: np.random.Generator) -> Any:
    from refold.sequences import Sequences

    offsets = np.concatenate([[0], np.cumsum(lengths)])
    frequency, phase = rng.uniform(0.02, 0.3, (2, len(lengths), FEATURES))
    step = (np.arange(offsets[-1]) - np.repeat(offsets[:-1], lengths))[:, None]
    values = np.sin(np.repeat(frequency, lengths, 0) * step + 20 * np.repeat(phase, lengths, 0))
    values += 0.1 * rng.normal(size=values.shape)
    return Sequences(values.astype(np.float32), offsets)
