"""The length model: the length of a sequence from its code."""

import math
from collections.abc import Mapping

import numpy as np

from refold.inference._specification import Specification
from refold.kernels import packed


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
        self._transposed = np.ascontiguousarray(self._hidden[0].T)

    def __call__(self, codes: np.ndarray) -> np.ndarray:
        """Predict the lengths (n_sequences,) of codes (n_sequences, latent_dim)."""
        return self.with_gradient(codes)[0]

    def with_gradient(self, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return lengths (n_sequences,) and their gradients (n_sequences, latent_dim)."""
        z = packed.product(codes, *self._hidden)
        share = packed.normal_cdf(z)
        lengths = packed.product(z * share, *self._dense)[:, 0]
        slope = share + z * np.exp(-0.5 * z * z) * np.float32(1 / math.sqrt(2 * math.pi))
        gradient = packed.product(slope * self._dense[0][:, 0], self._transposed)
        return self._mean + self._deviation * lengths, self._deviation * gradient

    def losses(self, codes: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        """Return the negative log-likelihood (n_sequences,) of true lengths, in nats.

        The distribution is that of `refold.layers.LengthHead`.
        """
        z = packed.product(codes, *self._hidden)
        location, log_scale = packed.product(z * packed.normal_cdf(z), *self._both).T
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
