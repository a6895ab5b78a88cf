"""Models of the length with several components: a mixture, or a classification over bins.

A component has a probability, a location and a scale, all computed from the code.  The mixture
[1]_ has four.  The classification has one class for each length if there are at most 64 different
training lengths, and otherwise 32 quantile bins, each with a logistic distribution inside the bin.

References
----------
.. [1] T. Salimans et al., "PixelCNN++: Improving the PixelCNN with Discretized Logistic Mixture
   Likelihood and Other Modifications", ICLR 2017.
"""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import ops

from refold.kernels import packed
from refold.layers import Constant
from refold.network.keras.initializers import dense
from refold.network.packed.lengths import LengthModel
from refold.network.packed.losses import LatentObjective, cost_of_length
from refold.network.specification import Specification

__all__ = [
    "Components",
    "EarlierObjective",
    "Length",
    "Objective",
    "components_of",
    "keras_model",
    "loss_of",
]

_NUM_COMPONENTS, _MOST_CLASSES, _NUM_BINS = 4, 64, 32
_NARROWEST = math.log(0.05)
# Error of a predicted length that cost nothing in latent optimization, and still does.
_MARGIN = 0.3


class Components(NamedTuple):
    """Initial components of the distribution of lengths.

    ``edges`` separate the lengths of classes; None for a mixture.  ``unit`` is the unit of the
    locations and scales, and 0 for a class with one length.
    """

    log_share: np.ndarray
    center: np.ndarray
    unit: np.ndarray
    edges: np.ndarray | None


def components_of(kind: str, lengths: np.ndarray) -> Components:
    """Return the components of a ``"mixture"`` or of ``"classes"`` for training lengths."""
    if kind == "mixture":
        shares = (np.arange(_NUM_COMPONENTS) + 0.5) / _NUM_COMPONENTS
        unit = np.full(_NUM_COMPONENTS, max(lengths.std(), 0.1))
        return Components(np.zeros(len(unit)), np.quantile(lengths, shares), unit, None)
    distinct, counts = np.unique(lengths, return_counts=True)
    if len(distinct) <= _MOST_CLASSES:
        edges = (distinct[1:] + distinct[:-1]) / 2
        return Components(np.log(counts + 0.5), distinct, np.zeros(len(distinct)), edges)
    # no edge is a length
    edges = np.unique(np.floor(np.quantile(lengths, np.arange(1, _NUM_BINS) / _NUM_BINS)) + 0.5)
    edges = edges[edges < distinct[-1]]
    bounds = np.concatenate([[distinct[0] - 0.5], edges, [distinct[-1] + 0.5]])
    counts = np.histogram(lengths, bounds)[0]
    center, half = (bounds[1:] + bounds[:-1]) / 2, (bounds[1:] - bounds[:-1]) / 2
    return Components(np.log(counts + 0.5), center, half, edges)


class _Outputs(keras.layers.Layer):
    """Log-shares, locations and log-scales of components, of shape (batch, 3 * components)."""

    def __init__(self, components: Components, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.components = components
        self.dense = dense(3 * len(components.center), kernel_initializer=Constant(), name="dense")

    def build(self, input_shape: Any) -> None:
        self.dense.build(input_shape)

    def call(self, inputs: Any) -> Any:
        log_share, location, log_scale = ops.split(self.dense(inputs), 3, axis=-1)
        first, center, unit, base, widest = _constants(self.components)
        log_share = log_share + first
        log_scale = ops.clip(log_scale + base, _NARROWEST, widest)
        return ops.concatenate([log_share, center + unit * location, log_scale], axis=-1)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return (*input_shape[:-1], 3 * len(self.components.center))


def keras_model(components: Components, latent_dim: int) -> keras.Model:
    """Build the model from codes to components, with the layer names of the default model."""
    code = keras.Input((latent_dim,), name="code")
    hidden = dense(64, activation="gelu", name="hidden")(code)
    return keras.Model(code, _Outputs(components, name="length")(hidden), name="length")


def loss_of(components: Components) -> Any:
    """Return the negative log-likelihood of lengths as a function of lengths and outputs."""

    def loss(lengths: Any, predicted: Any) -> Any:
        log_share, location, log_scale = ops.split(predicted, 3, axis=-1)
        log_share = log_share - ops.logsumexp(log_share, axis=-1, keepdims=True)
        rate, away = ops.exp(-log_scale), lengths[:, None] - location
        above, below = (away + 0.5) * rate, (away - 0.5) * rate
        nats = ops.softplus(-above) + ops.softplus(below) - ops.log1p(-ops.exp(-rate))
        if components.edges is None:
            return -ops.logsumexp(log_share - nats, axis=-1)
        chosen = ops.one_hot(_class_of(lengths, components, ops), len(components.center))
        inside = nats * (components.unit > 0).astype("float32")
        return ops.sum(chosen * (inside - log_share), axis=-1)

    return loss


class Length(LengthModel):
    """The model of `keras_model` in NumPy.

    ``rule`` is how a length is predicted: the ``"mode"`` or the ``"median"`` of the distribution.
    """

    rule = "mode"

    def __init__(
        self,
        specification: Specification,
        weights: Mapping[str, np.ndarray],
        components: Components,
    ) -> None:
        super().__init__(specification, weights)
        self._components, self._longest = components, 2 * specification.max_steps

    def _outputs(self, codes: np.ndarray) -> tuple[Any, ...]:
        z, share = self._activated(codes)
        raw = packed.product(z * share, *self._both)
        log_share, location, log_scale = np.split(raw, 3, axis=1)
        first, center, unit, base, widest = _constants(self._components)
        log_share = log_share + first
        weight = np.exp(log_share - log_share.max(axis=1, keepdims=True))
        weight /= weight.sum(axis=1, keepdims=True)
        log_scale = np.clip(log_scale + base, _NARROWEST, widest)
        return z, share, weight, center + unit * location, log_scale

    def __call__(self, codes: np.ndarray) -> np.ndarray:
        """Predict the lengths (n_sequences,) of codes."""
        _, _, weight, location, log_scale = self._outputs(codes)
        if self._components.edges is not None and self.rule == "mode":
            return np.take_along_axis(location, weight.argmax(axis=1)[:, None], 1)[:, 0]
        grid = np.arange(-1, self._longest + 1, dtype=np.float32)
        above = np.zeros((len(codes), len(grid)), np.float32)  # distribution function
        for k in range(weight.shape[1]):
            away = (grid + 0.5 - location[:, k : k + 1]) * np.exp(-log_scale[:, k : k + 1])
            above += weight[:, k : k + 1] * (0.5 * (1 + np.tanh(0.5 * away)))
        if self.rule == "median":
            return grid[(above >= 0.5).argmax(axis=1)]
        return np.diff(above, axis=1).argmax(axis=1).astype(np.float32)

    def losses(self, codes: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        """Return the negative log-likelihood (n_sequences,) of true lengths, in nats."""
        _, _, weight, location, log_scale = self._outputs(codes)
        rate, away = np.exp(-log_scale), lengths[:, None] - location
        above, below = (away + 0.5) * rate, (away - 0.5) * rate
        nats = np.logaddexp(0, -above) + np.logaddexp(0, below) - np.log1p(-np.exp(-rate))
        if self._components.edges is None:
            return -np.log(np.maximum((weight * np.exp(-nats)).sum(axis=1), 1e-30))
        chosen = _class_of(lengths, self._components, np)[:, None]
        inside = nats * (self._components.unit > 0)
        nats = inside - np.log(np.maximum(weight, 1e-30))
        return np.take_along_axis(nats, chosen, 1)[:, 0]

    def costs(self, codes: np.ndarray, lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the expected cost of a wrong length, in steps, and its gradient."""
        z, share, weight, location, _ = self._outputs(codes)
        cost, slope = cost_of_length(location - lengths[:, None])
        expected = (weight * cost).sum(axis=1)
        d_raw = np.zeros((len(codes), 3 * weight.shape[1]))
        d_raw[:, : weight.shape[1]] = weight * (cost - expected[:, None])
        d_raw[:, weight.shape[1] : 2 * weight.shape[1]] = weight * slope * self._components.unit
        d_hidden = d_raw @ self._both[0].T
        d_hidden *= share + z * np.exp(-0.5 * z * z) / math.sqrt(2 * math.pi)
        gradient = d_hidden @ self._hidden[0].T
        return expected.astype(np.float32), gradient.astype(np.float32)


class Objective(LatentObjective):
    """Latent optimization with the expected cost of a wrong length, for `Length`."""

    def _costs(self, length: Any, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return length.costs(codes, self._lengths)

    def __call__(self, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the objective (n_sequences,) and its gradient (n_sequences, latent_dim)."""
        length, self._length = self._length, None
        loss, gradient = super().__call__(codes)
        self._length = length
        if length is not None:
            cost, d_codes = self._costs(length, codes)
            loss = loss + cost * self._cost_of_step
            gradient = gradient + d_codes * self._cost_of_step[:, None]
            gradient[:, self._learned_dim :] = 0
        return loss, gradient

    def losses(self, codes: np.ndarray) -> np.ndarray:
        """Return the objective (n_sequences,)."""
        length, self._length = self._length, None
        loss = super().losses(codes)
        self._length = length
        if length is not None:
            loss = loss + self._costs(length, codes)[0] * self._cost_of_step
        return loss


class EarlierObjective(Objective):
    """Latent optimization with the earlier cost of a wrong length, which rises slowly."""

    def _costs(self, length: Any, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        predicted, d_predicted = length.with_gradient(codes)
        away = predicted - self._lengths
        off = np.maximum(np.abs(away) - _MARGIN, np.float32(0))
        slope = off * (off + 2) / (1 + off) ** 2 * np.sign(away)
        return off**2 / (1 + off), slope[:, None] * d_predicted


def _constants(components: Components) -> tuple[np.ndarray, ...]:
    """Return first log-shares, centers, units, first log-scales and largest log-scales."""
    unit = np.maximum(components.unit, 0.1)
    arrays = (
        components.log_share,
        components.center,
        components.unit,
        np.log(0.55 * unit),
        np.log(2.0 * unit),
    )
    return tuple(array.astype(np.float32) for array in arrays)


def _class_of(lengths: Any, components: Components, array_module: Any) -> Any:
    edges = np.asarray(components.edges, np.float32)
    return array_module.searchsorted(edges, lengths)
