"""Conversion between sequences and arrays of channels, which other methods read."""

from typing import Any

import numpy as np

__all__ = ["Channels", "NotPossibleError", "cut", "pad"]


class NotPossibleError(RuntimeError):
    """The method cannot run this case."""


class Channels:
    """Converts steps to channels and back.

    Each numeric feature is a channel.  It is standardized on the training split, or scaled so that
    the training split lies between -1 and 1.  Binary features are unchanged, and categories are
    one-hot.

    Parameters
    ----------
    train : Sequences
        The training split.
    bounded : bool
        Whether to scale numeric channels to between -1 and 1.
    """

    def __init__(self, train: Any, *, bounded: bool = False) -> None:
        from refold.sequences import Scaler

        first, *rest = train.schema.columns
        self.kind = first.type
        assert {column.type for column in rest} <= {self.kind}
        assert self.kind != "categorical" or not rest
        self.schema = train.schema
        self.labels = np.arange(len(first.categories))
        scaler = Scaler.fit(train)
        self._zero, self._unit = scaler.mean_, scaler.scale_
        if bounded and self.kind == "numeric":
            low, high = train.values.min(axis=0), train.values.max(axis=0)
            self._zero, self._unit = (high + low) / 2, np.where(high > low, (high - low) / 2, 1.0)
        self.longest = int(train.lengths.max())
        self.width = sum(column.width for column in train.schema.columns)

    def series(self, sequences: Any) -> list[np.ndarray]:
        """Return an array of shape (length, channels) for each sequence."""
        if self.kind == "categorical":
            rows = sequences.values == self.labels
        else:
            rows = (sequences.values - self._zero) / self._unit
        return np.split(rows.astype(np.float32), sequences.offsets[1:-1])

    def sequences(self, series: list[np.ndarray]) -> Any:
        """Convert such arrays to sequences, or return None if a value is not finite."""
        from refold.sequences import Sequences

        rows = np.concatenate(series).astype(float)
        if not np.isfinite(rows).all():
            return None
        if self.kind == "categorical":
            values = rows.argmax(axis=1)[:, None].astype(float)
        else:
            values = rows * self._unit + self._zero
        offsets = np.cumsum([0, *map(len, series)])
        return Sequences(values, offsets, schema=self.schema)


def pad(series: list[np.ndarray], num_steps: int) -> np.ndarray:
    """Pad with zeros, or cut, to one array of shape (n, num_steps, channels)."""
    padded = np.zeros((len(series), num_steps, series[0].shape[1]), np.float32)
    for row, one in zip(padded, series, strict=True):
        row[: len(one)] = one[:num_steps]
    return padded


def cut(padded: np.ndarray, lengths: np.ndarray) -> list[np.ndarray]:
    """Return an array without padding for each sequence."""
    return [row[:length] for row, length in zip(padded, lengths, strict=True)]
