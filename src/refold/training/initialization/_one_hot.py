"""Symbols as sparse zeros and ones: what a linear map of them reads."""

from typing import NamedTuple

import numpy as np
import scipy.sparse

from refold.sequences import Sequences, positions
from refold.training.data._corruption import Corruption

__all__ = ["Symbols", "one_hot", "without_dropped"]


class Symbols(NamedTuple):
    """One-hot sequences, sparse.

    Attributes
    ----------
    values : sparse array of shape (n_sequences, num_steps * sum of widths)
    lengths : array of int of shape (n_sequences,)
        At most ``num_steps``.
    known : array of bool of shape (n_sequences, num_steps, n_columns)
    labels : array of int of shape (n_columns,)
        How many each column has; 0 where it is binary.
    """

    values: scipy.sparse.csr_array
    lengths: np.ndarray
    known: np.ndarray
    labels: np.ndarray

    @property
    def widths(self) -> np.ndarray:
        """Places of each column."""
        return np.maximum(self.labels, 1)

    @property
    def count(self) -> np.ndarray:
        """How often each is there at each step, of shape (num_steps, sum of widths)."""
        return np.asarray(self.values.sum(axis=0)).reshape(self.known.shape[1], -1)

    @property
    def num_known(self) -> np.ndarray:
        """How often its column is known at each step, of the same shape."""
        return np.repeat(self.known.sum(axis=0), self.widths, axis=1)

    def take(self, rows: np.ndarray) -> "Symbols":
        """Return those of some sequences."""
        return self._replace(
            values=self.values[rows], lengths=self.lengths[rows], known=self.known[rows]
        )


def one_hot(sequences: Sequences, num_steps: int) -> Symbols:
    """Write binary and categorical columns as zeros and ones, of so many steps at most.

    Examples
    --------
    >>> from refold.sequences import as_sequences
    >>> one_hot(as_sequences(["ab", "b"]), 2).values.toarray().astype(int).tolist()
    [[1, 0, 0, 1], [0, 1, 0, 0]]
    """
    row, step = positions(sequences)
    within = step < num_steps
    row, step, values = row[within], step[within], sequences.values[within]
    labels = np.array([len(column.categories) for column in sequences.schema.columns])
    widths = np.maximum(labels, 1)
    known = np.zeros((len(sequences), num_steps, len(widths)), bool)
    rows, places = [], []
    for i, first in enumerate(np.cumsum(widths) - widths):
        there = values[:, i] < labels[i] if labels[i] else ~np.isnan(values[:, i])
        known[row, step, i] = there
        one = there if labels[i] else values[:, i] == 1
        label = values[one, i].astype(int) if labels[i] else 0
        rows.append(row[one])
        places.append(step[one] * widths.sum() + first + label)
    at = np.concatenate(rows), np.concatenate(places)
    shape = (len(sequences), num_steps * int(widths.sum()))
    one_hot = scipy.sparse.csr_array((np.ones(len(at[0])), at), shape=shape)
    return Symbols(one_hot, np.minimum(sequences.lengths, num_steps), known, labels)


def without_dropped(symbols: Symbols, corruption: Corruption, seed: int) -> scipy.sparse.csr_array:
    """Return values of which some steps are dropped, as `Corruption` drops them.

    Examples
    --------
    >>> from refold.sequences import as_sequences
    >>> symbols = one_hot(as_sequences(["abab" * 50]), 200)
    >>> float(without_dropped(symbols, Corruption.of("steps:0.5"), seed=0).sum()) < 150
    True
    """
    if not corruption.steps:
        return symbols.values
    rng = np.random.default_rng([seed, 0xC0FF])
    values = symbols.values.tocoo()
    kept = rng.random(symbols.known.shape[:2]) >= corruption.steps
    data = values.data * kept[values.row, values.col // symbols.widths.sum()]
    return scipy.sparse.csr_array((data, (values.row, values.col)), shape=values.shape)
