"""Sequences as peers read them: arrays of channels, padded with zeros; and back."""

from typing import Any

import numpy as np

__all__ = ["Channels", "NotPossibleError", "cut", "pad"]


class NotPossibleError(RuntimeError):
    """What a method has no way to do."""


class Channels:
    """Turns steps into channels, and back.

    A numeric feature is one, standardised on the training split, or between -1 and 1 there; a
    binary one stays as it is; symbols are one-hot.

    Parameters
    ----------
    train : Sequences
        The training split.
    bounded : bool
        Whether numeric channels have to lie between -1 and 1.
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
        """Return an array of shape (length, channels) a sequence."""
        if self.kind == "categorical":
            rows = sequences.values == self.labels
        else:
            rows = (sequences.values - self._zero) / self._unit
        return np.split(rows.astype(np.float32), sequences.offsets[1:-1])

    def sequences(self, series: list[np.ndarray]) -> Any:
        """Return the sequences of such arrays, or None if a number of them is not finite."""
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
    """Return one array of shape (n, num_steps, channels), zeros at the end; longer ones are cut."""
    padded = np.zeros((len(series), num_steps, series[0].shape[1]), np.float32)
    for row, one in zip(padded, series, strict=True):
        row[: len(one)] = one[:num_steps]
    return padded


def cut(padded: np.ndarray, lengths: np.ndarray) -> list[np.ndarray]:
    """Return what lies within the lengths."""
    return [row[:length] for row, length in zip(padded, lengths, strict=True)]
