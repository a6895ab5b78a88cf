"""The length of a sequence from its code: exactly from a dimension for it, or predicted."""

import math
from collections.abc import Mapping

import numpy as np

from refold.kernels import packed
from refold.network.specification import Specification, length_unit, log_length_scales
from refold.sequences import check_codes_finite


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
