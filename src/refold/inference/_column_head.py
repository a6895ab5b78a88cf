"""Outputs of a decoder by column type: means, probabilities, samples and values."""

import itertools
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from refold.kernels import packed

__all__ = ["ColumnHead", "Draw"]

# Lower bound of probabilities.
_LEAST = np.float32(1e-7)


class Draw(NamedTuple):
    """Temperature, above 0, and seed for sampling categories and binary values."""

    temperature: float
    seed: int


class ColumnHead:
    """Column types of outputs.

    Parameters
    ----------
    column_types : sequence of {"numeric", "binary", "categorical"}
    num_categories : sequence of int

    Examples
    --------
    >>> head = ColumnHead(["numeric", "categorical"], [0, 3])
    >>> logits = np.array([[0.5, 0.0, 2.0, 1.0]], np.float32)
    >>> head.values(head.activate(logits)).tolist()
    [[0.5, 1.0]]
    """

    def __init__(self, column_types: Sequence[str], num_categories: Sequence[int]) -> None:
        self.column_types = list(column_types)
        self.widths = [
            n if kind == "categorical" else 1
            for kind, n in zip(column_types, num_categories, strict=True)
        ]
        self.num_outputs = sum(self.widths)
        self.numeric = np.array([kind == "numeric" for kind in column_types])

    def columns(self) -> Iterator[tuple[int, str, slice]]:
        """Iterate over the index, the type and the outputs of each column."""
        first = 0
        for i, (kind, width) in enumerate(zip(self.column_types, self.widths, strict=True)):
            yield i, kind, slice(first, first + width)
            first += width

    def activate(self, logits: np.ndarray) -> np.ndarray:
        """Turn logits of shape (n_rows, outputs) into means and probabilities, in place."""
        if self.numeric.all():
            return logits
        for _, kind, block in self.columns():
            if kind == "binary":
                logits[:, block] = packed.sigmoid(np.ascontiguousarray(logits[:, block]))
            elif kind == "categorical":
                logits[:, block] = packed.softmax(np.ascontiguousarray(logits[:, block]))
        return logits

    def values(self, outputs: np.ndarray) -> np.ndarray:
        """Return the likeliest values: means, 0 or 1, and indices of categories."""
        values = np.empty((len(outputs), len(self.widths)), np.float32)
        for i, kind, block in self.columns():
            if kind == "categorical":
                values[:, i] = outputs[:, block].argmax(axis=1) if len(outputs) else 0
            elif kind == "binary":
                values[:, i] = outputs[:, block.start] > 0.5
            else:
                values[:, i] = outputs[:, block.start]
        return values

    def errors(self, outputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """Return the error of each value with the loss of its column type.

        Parameters
        ----------
        outputs : array of shape (n_rows, outputs)
        targets : array of shape (n_rows, columns)
            NaN where not observed.

        Returns
        -------
        array of float32 of shape (n_rows, columns)
            Squared errors and cross-entropies, 0 where not observed.
        """
        if self.numeric.all():
            return np.nan_to_num(outputs - targets, copy=False, nan=0.0) ** 2
        errors = np.empty_like(targets)
        for i, kind, block in self.columns():
            target = targets[:, i]
            if kind == "categorical":
                chosen = target[:, None] == np.arange(block.stop - block.start)
                p = np.where(chosen, outputs[:, block], 0).sum(axis=1)
                errors[:, i] = -np.log(np.maximum(p, _LEAST))
            elif kind == "binary":
                p = np.clip(outputs[:, block.start], _LEAST, 1 - _LEAST)
                errors[:, i] = -(target * np.log(p) + (1 - target) * np.log(1 - p))
            else:
                errors[:, i] = (outputs[:, block.start] - target) ** 2
        errors[np.isnan(targets)] = 0
        return errors

    def logit_gradient(
        self, outputs: np.ndarray, targets: np.ndarray, weight: np.ndarray
    ) -> np.ndarray:
        """Return the gradient of the weighted errors with respect to the logits.

        Parameters
        ----------
        outputs, targets : arrays
            As for `errors`.
        weight : array of shape (columns,)

        Returns
        -------
        array of float32 of shape (n_rows, outputs)
        """
        gradient = np.empty_like(outputs)
        if self.numeric.all():
            gradient[:] = 2 * weight * np.nan_to_num(outputs - targets, nan=0.0)
            return gradient
        for i, kind, block in self.columns():
            target = targets[:, i, None]
            if kind == "categorical":
                target = np.where(
                    np.isnan(target), np.nan, target == np.arange(block.stop - block.start)
                )
            factor = weight[i] * (2 if kind == "numeric" else 1)
            gradient[:, block] = factor * (outputs[:, block] - target)
        return np.nan_to_num(gradient, copy=False, nan=0.0)

    def noise(self, offsets: np.ndarray, seed: int, first: int = 0) -> np.ndarray:
        """Draw the noise of the Gumbel-max trick: Gumbel for categories, logistic for binary.

        Each sequence has its own random numbers, which do not depend on the others.

        Parameters
        ----------
        offsets : array of int64 of shape (n_sequences + 1,)
        seed : int
        first : int
            Number of the first sequence.

        Returns
        -------
        array of float32 of shape (n_rows, outputs)
        """
        noise = np.zeros((offsets[-1], self.num_outputs), np.float32)
        for sequence, (begin, end) in enumerate(itertools.pairwise(offsets)):
            rng = np.random.default_rng([seed, first + sequence])
            for _, kind, block in self.columns():
                size = (end - begin, block.stop - block.start)
                if kind == "categorical":
                    noise[begin:end, block] = rng.gumbel(size=size)
                elif kind == "binary":
                    noise[begin:end, block] = rng.logistic(size=size)
        return noise

    def sample(self, outputs: np.ndarray, noise: np.ndarray, temperature: float) -> np.ndarray:
        """Turn probabilities into scores whose argmax is a sample, by the Gumbel-max trick [1]_.

        The sampled category has a probability proportional to ``p ** (1 / temperature)``.  The
        score of a binary column is above 0.5 if the sample is 1.

        References
        ----------
        .. [1] C. J. Maddison, D. Tarlow and T. Minka, "A* Sampling", NeurIPS 2014, section 2.
        """
        scores: Any = outputs.copy()
        for _, kind, block in self.columns():
            if kind == "categorical":
                logits = np.log(np.maximum(outputs[:, block], _LEAST))
                scores[:, block] = logits / temperature + noise[:, block]
            elif kind == "binary":
                p = np.clip(outputs[:, block], _LEAST, 1.0 - _LEAST)
                logits = (np.log(p) - np.log1p(-p)) / temperature + noise[:, block]
                scores[:, block] = logits > 0
        return scores
