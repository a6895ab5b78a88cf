"""What is written from a code, on packed rows: columns of each type, and the length."""

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from refold.kernels import packed
from refold.network.specification import Specification, length_unit, log_length_scales
from refold.sequences import check_codes_finite
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


# The length of a sequence: exactly from a dimension for it, or predicted


def length_model(
    specification: Specification, weights: Mapping[str, np.ndarray]
) -> "LengthModel | LengthDimension":
    """Return what reads the length of a sequence from its code."""
    if specification.length_dim:
        return LengthDimension(specification)
    return LengthModel(specification, weights)


def encode_lengths(lengths: np.ndarray, specification: Specification) -> np.ndarray:
    """Return the latent dimension of the length: its standardized logarithm."""
    center, scale = specification.length_scale
    return ((np.log1p(lengths.astype(float)) - center) / scale).astype(np.float32)


# Lengths up to a few hundred steps stay exact in codes that are stored as float16.
class LengthDimension:
    """The length in a latent dimension of its own; see `encode_lengths`."""

    def __init__(self, specification: Specification) -> None:
        self._index = specification.learned_dim
        self._center, self._scale = specification.length_scale
        self._most = specification.max_log_length

    def __call__(self, codes: np.ndarray) -> np.ndarray:
        """Return the lengths (n_sequences,) of codes (n_sequences, latent_dim)."""
        logarithm = self._center + self._scale * codes[:, self._index].astype(float)
        return np.expm1(np.clip(logarithm, 0.0, self._most))


class LengthModel:
    """A dense layer with GELU, and a linear map to the predicted length in steps."""

    def __init__(self, specification: Specification, weights: Mapping[str, np.ndarray]) -> None:
        self._mean = np.float32(specification.length_mean)
        self._unit = np.float32(length_unit(specification.length_deviation))
        self._log_scales = log_length_scales(float(self._unit))
        self._hidden = weights["hidden/kernel"], weights["hidden/bias"]
        kernel, bias = weights["length/dense/kernel"], weights["length/dense/bias"]
        # the two outputs are the location and the log-scale
        self._both = kernel, bias
        self._dense = np.ascontiguousarray(kernel[:, :1]), bias[:1]
        self._transposed = np.ascontiguousarray(self._hidden[0].T)

    def __call__(self, codes: np.ndarray) -> np.ndarray:
        """Predict the lengths (n_sequences,) of codes (n_sequences, latent_dim)."""
        z = packed.product(codes, *self._hidden)
        hidden = z * packed.normal_cdf(z)
        return self._mean + self._unit * packed.product(hidden, *self._dense)[:, 0]

    def with_gradient(self, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return lengths (n_sequences,) and their gradients (n_sequences, latent_dim)."""
        z = packed.product(codes, *self._hidden)
        share = packed.normal_cdf(z)
        lengths = self._mean + self._unit * packed.product(z * share, *self._dense)[:, 0]
        slope = share + z * np.exp(-0.5 * z * z) * np.float32(1 / math.sqrt(2 * math.pi))
        gradient = packed.product(slope * self._dense[0][:, 0], self._transposed)
        return lengths, self._unit * gradient

    def losses(self, codes: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        """Return the negative log-likelihood (n_sequences,) of true lengths, in nats."""
        # the distribution is that of `LengthHead`
        z = packed.product(codes, *self._hidden)
        location, log_scale = packed.product(z * packed.normal_cdf(z), *self._both).T
        first, least, most = self._log_scales
        log_scale = np.clip(log_scale + first, least, most)
        rate = np.exp(-log_scale)
        away = lengths - (self._mean + self._unit * location)
        # logistic mass between two points: sigma(a) - sigma(b) = sigma(a) sigma(-b) (1 - e^(b-a))
        above, below = (away + 0.5) * rate, (away - 0.5) * rate
        return np.logaddexp(0, -above) + np.logaddexp(0, below) - np.log1p(-np.exp(-rate))


def whole_lengths(predicted: np.ndarray, longest: int) -> np.ndarray:
    """Round predicted lengths (n_sequences,), from 0 to the longest; a DataError if one is NaN."""
    rounded = np.rint(predicted)
    check_codes_finite(~np.isnan(rounded)[:, None], np.arange(len(rounded)))
    return np.clip(rounded, 0, longest).astype(np.int64)
