"""Sequences of codes as the map needs them: decoded, compared, and as lists of values."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from refold.model import Model, entries_between, means_by_sequence
from refold.sequences import Sequences

# Sequences that are decoded at once where all are.
_BLOCK = 2048
# What one standard deviation of the length counts beside one of the values, on the map.
_LENGTH_SHARE = 0.2
# Values with large errors that are named.
_REASONS = 3


class CodeDecoder:
    """A model's way from codes to sequences, and their errors in standardized units."""

    def __init__(self, model: Model, lengths: np.ndarray) -> None:
        self._model = model
        longest = max(model.max_steps, int(lengths.max()))
        self._max_steps = min(longest, model.network.most_steps or longest)
        self._spread = max(1.0, float(lengths.std()))

    def decoded(self, codes: np.ndarray, lengths: np.ndarray | None = None) -> Sequences:
        """Return the sequences of codes; by default at the lengths that the codes give."""
        if lengths is None:
            lengths = np.minimum(self._model.predict_lengths(codes), self._max_steps)
        return self._model.to_sequences(codes, lengths)

    def entries(self, given: Sequences, written: Sequences) -> np.ndarray:
        """Return the squared error of each value in standard deviations, or 1 for a wrong one."""
        return entries_between(given, written, self._model.error_scaler)

    def errors(self, sequences: Sequences, codes: np.ndarray) -> Iterator[np.ndarray]:
        """Yield the mean error of each sequence, in blocks."""
        for chosen in blocks(len(codes)):
            some = sequences[chosen]
            back = self.decoded(codes[chosen], some.lengths)
            yield means_by_sequence(self.entries(some, back), some)

    def anomalies(self, sequences: Sequences) -> list[dict[str, Any]]:
        """Return p-values, and the error and the distance of which scores are the sum."""
        if self._model.calibration is None:
            return []
        _, components, p_values = self._model.compared(self._model.align(sequences))
        return [
            {"p_value": float(p_value), "anomaly": parts}
            for p_value, parts in zip(p_values, components, strict=True)
        ]

    def change(self, one: np.ndarray, other: np.ndarray) -> np.ndarray:
        """Return the mean squared difference of decoded sequences, and of their lengths."""
        before, after = (self._model.predict_lengths(c).astype(float) for c in (one, other))
        lengths = np.clip(before.astype(int), 1, self._max_steps)
        first, second = self.decoded(one, lengths), self.decoded(other, lengths)
        longer = (_LENGTH_SHARE * (after - before) / self._spread) ** 2
        return means_by_sequence(self.entries(first, second), first) + longer


def values_of(sequences: Sequences, most: int | None = None) -> list[list[Any]]:
    """Return the values of one sequence, a list for each column; categories as text."""
    found: list[list[Any]] = []
    for i, column in enumerate(sequences.schema.columns):
        values = sequences.values[:most, i]
        if column.column_type.has_categories:
            index = np.where(np.isnan(values), len(column.categories) + 1, values).astype(int)
            table = [*map(str, column.categories), "<unknown>", None]
            found.append([table[one] for one in index.tolist()])
        else:
            found.append([None if one != one else one for one in values.tolist()])
    return found


def usual_range(sequences: Sequences, column: int) -> list[float] | None:
    """Return the range of a column that a picture shows."""
    if sequences.schema.columns[column].column_type.has_categories:
        return None
    values = sequences.values[:, column]
    some = values[:: max(1, len(values) // 200_000)]
    some = some[~np.isnan(some)]
    if not len(some):
        return [0.0, 1.0]
    low, high = np.quantile(some, [0.005, 0.995]).tolist()
    return [low, high] if high > low else [low - 0.5, high + 0.5]


def worst_values(errors: np.ndarray, names: Sequence[str]) -> list[dict[str, Any]]:
    """Return the largest errors of (steps, columns), and their shares of the sum."""
    known = np.nan_to_num(errors)
    total = known.sum()
    order = np.argsort(-known, axis=None, kind="stable")[:_REASONS]
    places = zip(*np.unravel_index(order, known.shape), strict=True)
    return [
        {"step": int(i), "column": names[k], "share": float(known[i, k] / total)}
        for i, k in places
        if known[i, k] > 0
    ]


def blocks(count: int) -> Iterator[np.ndarray]:
    """Yield the rows of each block."""
    for begin in range(0, count, _BLOCK):
        yield np.arange(begin, min(count, begin + _BLOCK))
