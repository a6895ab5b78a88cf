"""Sparse one-hot encoding of binary and categorical columns."""

from typing import NamedTuple

import numpy as np
import scipy.sparse

from refold.arguments import Corruption
from refold.sequences import Sequences, positions


class Tokens(NamedTuple):
    """Sparse one-hot tokens of sequences."""

    values: scipy.sparse.csr_array  # (n_sequences, num_steps * sum of widths)
    lengths: np.ndarray  # (n_sequences,), at most num_steps
    known: np.ndarray  # bool (n_sequences, num_steps, n_columns)
    num_categories: np.ndarray  # (n_columns,), 0 if the column is binary

    @property
    def widths(self) -> np.ndarray:
        """Number of one-hot positions of each column."""
        return np.maximum(self.num_categories, 1)

    @property
    def count(self) -> np.ndarray:
        """Count of each token at each step, of shape (num_steps, sum of widths)."""
        return np.asarray(self.values.sum(axis=0)).reshape(self.known.shape[1], -1)

    @property
    def num_known(self) -> np.ndarray:
        """Count of known values of the token's column at each step, of the same shape."""
        return np.repeat(self.known.sum(axis=0), self.widths, axis=1)

    def take(self, rows: np.ndarray) -> "Tokens":
        """Return the tokens of some sequences."""
        return self._replace(
            values=self.values[rows], lengths=self.lengths[rows], known=self.known[rows]
        )


def one_hot(sequences: Sequences, num_steps: int) -> Tokens:
    """One-hot encode binary and categorical columns, up to `num_steps` steps."""
    row, step = positions(sequences)
    within = step < num_steps
    row, step, values = row[within], step[within], sequences.values[within]
    num_categories = np.array([len(column.categories) for column in sequences.schema.columns])
    widths = np.maximum(num_categories, 1)
    known = np.zeros((len(sequences), num_steps, len(widths)), bool)
    rows, places = [], []
    for i, first in enumerate(np.cumsum(widths) - widths):
        observed = (
            values[:, i] < num_categories[i] if num_categories[i] else ~np.isnan(values[:, i])
        )
        known[row, step, i] = observed
        active = observed if num_categories[i] else values[:, i] == 1
        category = values[active, i].astype(int) if num_categories[i] else 0
        rows.append(row[active])
        places.append(step[active] * widths.sum() + first + category)
    at = np.concatenate(rows), np.concatenate(places)
    shape = (len(sequences), num_steps * int(widths.sum()))
    one_hot = scipy.sparse.csr_array((np.ones(len(at[0])), at), shape=shape)
    return Tokens(one_hot, np.minimum(sequences.lengths, num_steps), known, num_categories)


def without_dropped(tokens: Tokens, corruption: Corruption, seed: int) -> scipy.sparse.csr_array:
    """Return the one-hot values after time-step dropout, as in `Corruption`."""
    if not corruption.steps:
        return tokens.values
    rng = np.random.default_rng([seed, 0xC0FF])
    values = tokens.values.tocoo()
    kept = rng.random(tokens.known.shape[:2]) >= corruption.steps
    data = values.data * kept[values.row, values.col // tokens.widths.sum()]
    return scipy.sparse.csr_array((data, (values.row, values.col)), shape=values.shape)
