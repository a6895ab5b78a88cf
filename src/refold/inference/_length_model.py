"""The length model: the length of a sequence from its code."""

import functools
import math
from collections.abc import Mapping

import numpy as np

from refold.inference._specification import Specification
from refold.kernels import packed

__all__ = ["LengthModel"]

# Spacing and end of the table of the error function.
_STEP, _END = 1 / 512, 4.0


class LengthModel:
    """A dense layer with GELU, and a linear map to the predicted length in steps.

    Parameters
    ----------
    specification : Specification
    weights : mapping from names to arrays
    """

    def __init__(self, specification: Specification, weights: Mapping[str, np.ndarray]) -> None:
        self._mean = np.float32(specification.length_mean)
        self._deviation = np.float32(max(specification.length_deviation, 0.1))
        self._hidden = weights["hidden/kernel"], weights["hidden/bias"]
        kernel, bias = weights["length/dense/kernel"], weights["length/dense/bias"]
        # the two outputs are the location and the log-scale
        self._both = kernel, bias
        self._dense = np.ascontiguousarray(kernel[:, :1]), bias[:1]

    def __call__(self, codes: np.ndarray) -> np.ndarray:
        """Predict the lengths (n_sequences,) of codes (n_sequences, latent_dim)."""
        return self.with_gradient(codes)[0]

    def with_gradient(self, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return lengths (n_sequences,) and their gradients (n_sequences, latent_dim)."""
        kernel, bias = self._hidden
        z = packed.product(codes, kernel, bias)
        share = _normal_distribution(z)
        lengths = packed.product(z * share, *self._dense)[:, 0]
        slope = share + z * np.exp(-0.5 * z * z) * np.float32(1 / math.sqrt(2 * math.pi))
        gradient = packed.product(slope * self._dense[0][:, 0], np.ascontiguousarray(kernel.T))
        return self._mean + self._deviation * lengths, self._deviation * gradient

    def losses(self, codes: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        """Return the negative log-likelihood (n_sequences,) of true lengths, in nats.

        The distribution is that of `refold.layers.LengthHead`.
        """
        z = packed.product(codes, *self._hidden)
        location, log_scale = packed.product(z * _normal_distribution(z), *self._both).T
        log_scale = np.clip(
            log_scale + math.log(0.55 * self._deviation),
            math.log(0.05),
            math.log(2.0 * self._deviation),
        )
        rate = np.exp(-log_scale)
        away = lengths - (self._mean + self._deviation * location)
        # logistic mass between two points: sigma(a) - sigma(b) = sigma(a) sigma(-b) (1 - e^(b-a))
        above, below = (away + 0.5) * rate, (away - 0.5) * rate
        return np.logaddexp(0, -above) + np.logaddexp(0, below) - np.log1p(-np.exp(-rate))


def _normal_distribution(z: np.ndarray) -> np.ndarray:
    """Return the distribution function of the standard normal distribution."""
    x = np.minimum(np.abs(z.astype(float)) / math.sqrt(2), _END - _STEP)
    erf = _table()
    i = (x / _STEP).astype(np.int64)
    t = x / _STEP - i
    # cubic Hermite interpolation, exact to 1e-12
    left, right = i * _STEP, (i + 1) * _STEP
    slopes = [2 / math.sqrt(math.pi) * _STEP * np.exp(-(at * at)) for at in (left, right)]
    y = (
        erf[i] * (1 + 2 * t) * (1 - t) ** 2
        + slopes[0] * t * (1 - t) ** 2
        + erf[i + 1] * t * t * (3 - 2 * t)
        + slopes[1] * t * t * (t - 1)
    )
    return (0.5 + 0.5 * np.sign(z) * y).astype(np.float32)


@functools.cache
def _table() -> np.ndarray:
    return np.array([math.erf(i * _STEP) for i in range(int(_END / _STEP) + 1)])
