"""Outputs of a decoder by column type: means, probabilities, samples and values."""

import itertools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from refold.kernels import packed
from refold.sequences.types import MAX_EXPONENT, NUMERIC, number_mask, outputs_of

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


class PackedLink(NamedTuple):
    """A link of column types on packed rows."""

    activate: Callable[[np.ndarray], np.ndarray] | None  # (n_rows, width) to the same shape
    likeliest: Callable[[np.ndarray], Any]  # what `activate` returns to values (n_rows,)


def _index(probabilities: np.ndarray) -> Any:
    return probabilities.argmax(axis=1) if len(probabilities) else 0


LINKS = {
    "identity": PackedLink(None, lambda mean: mean[:, 0]),
    "sigmoid": PackedLink(packed.sigmoid, lambda probability: probability[:, 0] > 0.5),
    "exponential": PackedLink(
        lambda logarithm: np.exp(np.minimum(logarithm, MAX_EXPONENT)), lambda mean: mean[:, 0]
    ),
    "softmax": PackedLink(packed.softmax, _index),
}


class PackedHead:
    """The outputs of a decoder by column type."""

    def __init__(self, column_types: Sequence[str], num_categories: Sequence[int]) -> None:
        self.column_types = list(column_types)
        self.columns = list(outputs_of(column_types, num_categories))
        self.widths = [column.block.stop - column.block.start for column in self.columns]
        self.num_outputs = sum(self.widths)
        self.numeric = number_mask(column_types)
        self._are_numeric = all(column.type is NUMERIC for column in self.columns)

    def activate(self, logits: np.ndarray) -> np.ndarray:
        """Turn logits of shape (n_rows, outputs) into means and probabilities, in place."""
        for _, type_, block in self.columns:
            if (activate := LINKS[type_.link].activate) is not None:
                logits[:, block] = activate(np.ascontiguousarray(logits[:, block]))
        return logits

    def values(self, outputs: np.ndarray) -> np.ndarray:
        """Return the likeliest values: means, 0 or 1, and indices of categories."""
        values = np.empty((len(outputs), len(self.widths)), np.float32)
        for i, type_, block in self.columns:
            values[:, i] = LINKS[type_.link].likeliest(outputs[:, block])
        return values

    def errors(
        self, outputs: np.ndarray, targets: np.ndarray, weight: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return errors (n_rows, columns) with their weights, and their gradient of the logits."""
        # the weight is 0 where nothing was observed, and targets are finite there, too
        if self._are_numeric:  # all columns at once
            away = outputs - targets
            weighted = weight * away
            return weighted * away, 2 * weighted
        errors, gradient = np.empty_like(targets), np.empty_like(outputs)
        for i, type_, block in self.columns:
            output, target, factor = outputs[:, block], targets[:, i, None], weight[:, i, None]
            errors[:, i] = weight[:, i] * type_.loss(target, output, np)[:, 0]
            truth = target == np.arange(self.widths[i]) if type_.has_categories else target
            gradient[:, block] = type_.loss_slope * factor * (output - truth)
        return errors, gradient

    def noise(self, offsets: np.ndarray, seed: int, numbers: np.ndarray) -> np.ndarray:
        """Draw the noise (n_rows, outputs) of `sample`, from the numbers of the sequences."""
        noise = np.zeros((offsets[-1], self.num_outputs), np.float32)
        # each sequence has its own generator, so that its noise does not depend on the others
        for number, (begin, end) in zip(numbers, itertools.pairwise(offsets), strict=True):
            rng = np.random.default_rng([seed, int(number)])
            for _, type_, block in self.columns:
                added = type_.noise(rng, (end - begin, block.stop - block.start))
                if added is not None:
                    noise[begin:end, block] = added
        return noise

    def sample(self, outputs: np.ndarray, noise: np.ndarray, temperature: float) -> np.ndarray:
        """Turn probabilities (n_rows, outputs) into scores whose likeliest values are a sample."""
        scores: Any = outputs.copy()
        for _, type_, block in self.columns:
            scores[:, block] = type_.draw(outputs[:, block], noise[:, block], temperature, np)
        return scores
