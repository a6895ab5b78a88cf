"""Turn the results of a decoder into outputs of each column, and codes into lengths.

The outputs of a numeric column or a column of counts are a mean, those of a binary column are a
probability, and those of a categorical column are a probability for each category.
"""

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from refold.kernels import packed
from refold.network.specification import Specification, clip_length_std, get_length_spread_limits
from refold.sequences import check_codes_finite
from refold.sequences.types import MAX_EXPONENT, NUMERIC, make_quantity_mask, output_slices

# In arrays (n_rows, ...), a row is a step. The steps of all sequences follow one after another,
# without padding (packed rows).

# Minimum temperature of samples. A lower temperature would give the same samples, but scores beyond
# the range of float32.
_MIN_SAMPLING_TEMPERATURE = 1e-30
# Maximum temperature of samples. With a higher one, scores would exceed the range of float32, too.
_MAX_SAMPLING_TEMPERATURE = 1e30


class CategorySampling(NamedTuple):
    """Temperature (above 0) and seed with which categories and binary values are sampled."""

    temperature: float
    seed: int

    @classmethod
    def from_temperature(cls, temperature: float, seed: int) -> "CategorySampling | None":
        """Return a `CategorySampling`, or None for temperature 0, which means no sampling."""
        if temperature == 0:
            return None
        bounded = min(max(temperature, _MIN_SAMPLING_TEMPERATURE), _MAX_SAMPLING_TEMPERATURE)
        return cls(float(bounded), seed)


class PackedLinkFunction(NamedTuple):
    """A link function: it turns logits into outputs, and outputs into the likeliest values."""

    # Both functions are for one column, whose width is its number of outputs.
    # From logits (n_rows, width) to means or probabilities of the same shape; None if logits are
    # already the means.
    activate: Callable[[np.ndarray], np.ndarray] | None
    # From means or probabilities (n_rows, width) to the likeliest values (n_rows,).
    likeliest: Callable[[np.ndarray], Any]


# Links by the name that a column type gives to its link function. The likeliest value of a binary
# column is 0 or 1, and that of a categorical column is the index of a category.
LINKS = {
    "identity": PackedLinkFunction(None, lambda mean: mean[:, 0]),
    "sigmoid": PackedLinkFunction(packed.sigmoid, lambda p: p[:, 0] > 0.5),
    "exponential": PackedLinkFunction(
        lambda logarithm: np.exp(np.minimum(logarithm, MAX_EXPONENT)), lambda mean: mean[:, 0]
    ),
    # without rows, the column may have no categories, and argmax would refuse such an array
    "softmax": PackedLinkFunction(packed.softmax, lambda p: p.argmax(axis=1) if len(p) else 0),
}


class PackedHead:
    """Compute activations, likeliest values, errors and samples of the outputs of a decoder."""

    def __init__(self, column_types: Sequence[str], num_categories: Sequence[int]) -> None:
        self.column_types = list(column_types)
        self.columns = list(output_slices(column_types, num_categories))
        self.widths = [block.stop - block.start for _, _, block in self.columns]
        self.num_outputs = sum(self.widths)
        self.numeric_mask = make_quantity_mask(column_types)
        self._are_all_numeric = all(column.type is NUMERIC for column in self.columns)

    def activate(self, logits: np.ndarray) -> np.ndarray:
        """Turn logits of shape (n_rows, outputs) into means and probabilities, in place."""
        for _, type_, block in self.columns:
            if (activate := LINKS[type_.link].activate) is not None:
                logits[:, block] = activate(np.ascontiguousarray(logits[:, block]))
        return logits

    def likeliest_values(self, activated: np.ndarray) -> np.ndarray:
        """Return the likeliest values (n_rows, columns): means, 0 or 1, indices of categories."""
        values = np.empty((len(activated), len(self.widths)), np.float32)
        for i, type_, block in self.columns:
            values[:, i] = LINKS[type_.link].likeliest(activated[:, block])
        return values

    def errors(
        self, activated: np.ndarray, targets: np.ndarray, weights: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return weighted losses (n_rows, columns), and their gradient (n_rows, outputs)."""
        # The gradient is with respect to the logits. Targets and weights are (n_rows, columns).
        # Targets that were not observed have the weight 0 and are any finite number.
        if self._are_all_numeric:  # squared errors, computed for all columns at once to be faster
            difference = activated - targets
            weighted = weights * difference
            return weighted * difference, 2 * weighted
        errors, gradient = np.empty_like(targets), np.empty_like(activated)
        for i, type_, block in self.columns:
            target, weight = targets[:, i, None], weights[:, i, None]
            output = activated[:, block]
            errors[:, i] = weights[:, i] * type_.loss(target, output, np)[:, 0]
            one_hot = target == np.arange(self.widths[i]) if type_.has_categories else target
            # Each link function is the canonical link of its loss. So the gradient with respect to
            # the logits is the output minus the target. For squared errors, it is twice the
            # difference, and `gradient_factor` is 2.
            gradient[:, block] = type_.gradient_factor * weight * (output - one_hot)
        return errors, gradient

    def draw_noise(self, offsets: np.ndarray, seed: int, indices: np.ndarray) -> np.ndarray:
        """Draw the noise (n_rows, outputs) that `sample` adds to sequences with these indices."""
        # the rows of the i-th sequence are those from ``offsets[i]`` up to ``offsets[i + 1]``
        noise = np.zeros((offsets[-1], self.num_outputs), np.float32)
        # each sequence has a generator of its own, because its noise must not depend on the others
        for index, (begin, end) in zip(indices, itertools.pairwise(offsets), strict=True):
            rng = np.random.default_rng([seed, int(index)])
            for _, type_, block in self.columns:
                drawn = type_.draw_sampling_noise(rng, (end - begin, block.stop - block.start))
                if drawn is not None:  # a numeric column is not sampled
                    noise[begin:end, block] = drawn
        return noise

    def sample(self, activated: np.ndarray, noise: np.ndarray, temperature: float) -> np.ndarray:
        """Return scores (n_rows, outputs) whose likeliest values are a sample of the outputs."""
        # This is the Gumbel-max trick: with the noise in the scores, the category with the highest
        # score is a draw. It serves categorical and binary columns.
        scores: Any = activated.copy()
        for _, type_, block in self.columns:
            arrays = activated[:, block], noise[:, block]
            scores[:, block] = type_.add_sampling_noise(*arrays, temperature, np)
        return scores


# Lengths: some models keep the length of a sequence in a latent dimension, and others predict it


def encode_lengths(lengths: np.ndarray, specification: Specification) -> np.ndarray:
    """Return lengths as a latent dimension (n_sequences,): their standardized logarithm."""
    center, scale = specification.log_length_moments  # mean and scale of the logarithm
    return ((np.log1p(lengths.astype(float)) - center) / scale).astype(np.float32)


def decode_unrounded_lengths(codes: np.ndarray, specification: Specification) -> np.ndarray:
    """Return the lengths (n_sequences,) that `encode_lengths` wrote into codes."""
    # Because a code has the logarithm of the length, lengths up to a few hundred steps stay exact
    # if codes are stored as float16. The latent dimension of the length follows the learned ones.
    center, scale = specification.log_length_moments
    logarithm = center + scale * codes[:, specification.learned_dim].astype(float)
    return np.expm1(np.clip(logarithm, 0.0, specification.max_log_length))


class LengthPredictor:
    """Predict lengths from codes, by a hidden layer with GELU and a linear map."""

    def __init__(self, specification: Specification, weights: Mapping[str, np.ndarray]) -> None:
        self._mean = np.float32(specification.length_mean)
        self._std = np.float32(clip_length_std(specification.length_deviation))
        self._initial_min_max_log_scale = get_length_spread_limits(float(self._std))
        self._hidden_weights = weights["hidden/kernel"], weights["hidden/bias"]
        self._transposed_hidden = np.ascontiguousarray(self._hidden_weights[0].T)
        # the two outputs are the location (mean) and the log-scale of the distribution of a length
        kernel, bias = weights["length/dense/kernel"], weights["length/dense/bias"]
        self._output_weights = kernel, bias
        # the location alone is the predicted length
        self._location_weights = np.ascontiguousarray(kernel[:, :1]), bias[:1]

    def __call__(self, codes: np.ndarray) -> np.ndarray:
        """Predict the lengths (n_sequences,) of codes (n_sequences, latent_dim)."""
        z = packed.product(codes, *self._hidden_weights)
        hidden = z * packed.normal_cdf(z)  # GELU
        return self._mean + self._std * packed.product(hidden, *self._location_weights)[:, 0]

    def predict_with_gradient(self, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return lengths (n_sequences,), and the gradients for codes (n_sequences, latent_dim)."""
        # GELU is z * cdf(z), so its derivative is cdf(z) + z * density(z)
        z = packed.product(codes, *self._hidden_weights)
        cdf = packed.normal_cdf(z)
        lengths = self._mean + self._std * packed.product(z * cdf, *self._location_weights)[:, 0]
        # the density is that of the standard normal distribution
        slope = cdf + z * np.exp(-0.5 * z * z) * np.float32(1 / math.sqrt(2 * math.pi))
        gradient = packed.product(slope * self._location_weights[0][:, 0], self._transposed_hidden)
        return lengths, self._std * gradient

    def losses(self, codes: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        """Return the negative log-likelihood (n_sequences,) of true lengths, in nats."""
        # The distribution is a discretized logistic one: the probability of a length is the mass
        # from half a step below the length (b) to half a step above it (a), and both are in units
        # of the scale. `refold.network.keras.heads.length_loss` explains the formula.
        z = packed.product(codes, *self._hidden_weights)
        location, log_scale = packed.product(z * packed.normal_cdf(z), *self._output_weights).T
        initial, minimum, maximum = self._initial_min_max_log_scale
        log_scale = np.clip(log_scale + initial, minimum, maximum)
        rate = np.exp(-log_scale)
        difference = lengths - (self._mean + self._std * location)
        a, b = (difference + 0.5) * rate, (difference - 0.5) * rate
        return np.logaddexp(0, -a) + np.logaddexp(0, b) - np.log1p(-np.exp(-rate))


def round_lengths(predicted_lengths: np.ndarray, max_length: int) -> np.ndarray:
    """Round lengths (n_sequences,) and keep them between 0 and ``max_length``; refuse NaN."""
    rounded = np.rint(predicted_lengths)
    check_codes_finite(~np.isnan(rounded)[:, None], np.arange(len(rounded)))
    return np.clip(rounded, 0, max_length).astype(np.int64)
