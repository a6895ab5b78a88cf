"""Outputs of a decoder by column type: means, probabilities, samples and values."""

import itertools
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from refold.kernels import packed

# Lower bound of probabilities.
_LEAST = np.float32(1e-7)


# Temperatures beyond these give no other samples, but scores beyond float32.
_LOWEST, _HIGHEST = 1e-30, 1e30


class Draw(NamedTuple):
    """Temperature, above 0, and seed for sampling categories and binary values."""

    temperature: float
    seed: int

    @classmethod
    def at(cls, temperature: float, seed: int) -> "Draw | None":
        """Return how to sample at a temperature of at least 0; None takes the likeliest."""
        if temperature == 0:
            return None
        return cls(float(min(max(temperature, _LOWEST), _HIGHEST)), seed)


class ColumnHead:
    """The outputs of a decoder by column type."""

    def __init__(self, column_types: Sequence[str], num_categories: Sequence[int]) -> None:
        self.column_types = list(column_types)
        self.widths = [
            n if kind == "categorical" else 1
            for kind, n in zip(column_types, num_categories, strict=True)
        ]
        self.num_outputs = sum(self.widths)
        self.numeric = np.array([kind == "numeric" for kind in column_types])
        self._all_numeric = bool(self.numeric.all())

    def columns(self) -> Iterator[tuple[int, str, slice]]:
        """Iterate over the index, the type and the outputs of each column."""
        first = 0
        for i, (kind, width) in enumerate(zip(self.column_types, self.widths, strict=True)):
            yield i, kind, slice(first, first + width)
            first += width

    def activate(self, logits: np.ndarray) -> np.ndarray:
        """Turn logits of shape (n_rows, outputs) into means and probabilities, in place."""
        if self._all_numeric:
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

    def errors(
        self, outputs: np.ndarray, targets: np.ndarray, weight: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return errors (n_rows, columns) with their weights, and their gradient of the logits."""
        # the weight is 0 where nothing was observed, and targets are finite there, too
        if self._all_numeric:
            away = outputs - targets
            weighted = weight * away
            return weighted * away, 2 * weighted
        errors, gradient = np.empty_like(targets), np.empty_like(outputs)
        for i, kind, block in self.columns():
            output, target, factor = outputs[:, block], targets[:, i, None], weight[:, i, None]
            if kind == "categorical":
                target = target == np.arange(block.stop - block.start)
                p = np.where(target, output, 0).sum(axis=1)
                error = -np.log(np.maximum(p, _LEAST))
            elif kind == "binary":
                p, y = np.clip(output[:, 0], _LEAST, 1 - _LEAST), target[:, 0]
                error = -(y * np.log(p) + (1 - y) * np.log(1 - p))
            else:
                error, factor = (output[:, 0] - target[:, 0]) ** 2, 2 * factor
            errors[:, i] = weight[:, i] * error
            gradient[:, block] = factor * (output - target)
        return errors, gradient

    def noise(self, offsets: np.ndarray, seed: int, numbers: np.ndarray) -> np.ndarray:
        """Draw the noise (n_rows, outputs) of `sample`, from the numbers of the sequences."""
        noise = np.zeros((offsets[-1], self.num_outputs), np.float32)
        # each sequence has its own generator, so that its noise does not depend on the others
        for number, (begin, end) in zip(numbers, itertools.pairwise(offsets), strict=True):
            rng = np.random.default_rng([seed, int(number)])
            for _, kind, block in self.columns():
                size = (end - begin, block.stop - block.start)
                if kind == "categorical":
                    noise[begin:end, block] = rng.gumbel(size=size)
                elif kind == "binary":
                    noise[begin:end, block] = rng.logistic(size=size)
        return noise

    def sample(self, outputs: np.ndarray, noise: np.ndarray, temperature: float) -> np.ndarray:
        """Turn probabilities (n_rows, outputs) into scores whose argmax is a sample."""
        # The Gumbel-max trick: C. J. Maddison, D. Tarlow and T. Minka, "A* Sampling", NeurIPS 2014,
        # section 2. A category has a probability proportional to p ** (1 / temperature). The score
        # of a binary column is above 0.5 if the sample is 1.
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
