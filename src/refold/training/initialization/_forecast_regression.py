"""Initial weights of the forecaster: ridge regression of future steps on codes."""

from typing import Any

import numpy as np

from refold.models import Network
from refold.training._progress import doing
from refold.training.initialization._ridge_regression import ridge

# Candidate penalties, relative to the number of sequences.
_PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)
# Number of cross-validation folds.
_FOLDS = 5
# Lower bound of the residual, as a share of the power.
_LEAST = 1e-4


def set_forecast_initialization(
    network: Network, codes: np.ndarray, future: np.ndarray, sequence: np.ndarray
) -> None:
    """Set the forecaster's linear path to a regression on codes; its LSTMs initially add nothing.

    The penalty is the one with the smallest error on held-out sequences.

    Parameters
    ----------
    network : Network
        Network with a forecaster and numeric columns.
    codes : array of shape (n, latent_dim)
        Current codes of the steps before the cuts.
    future : array of shape (n, forecast_steps, n_columns)
        Scaled future steps; NaN where nothing was observed.
    sequence : array of int of shape (n,)
        Index of the sequence of each row. Rows of one sequence are held out together.

    Examples
    --------
    >>> from refold.models import Specification, build
    >>> sizes = {"latent_dim": 2, "max_steps": 5, "units": 8, "depth": 1, "dropout": 0.0}
    >>> lengths = {"length_mean": 4.0, "length_deviation": 1.0, "forecast_steps": 1}
    >>> network = build(Specification("default", ["numeric"], [0], False, **sizes, **lengths))
    >>> codes = np.random.default_rng(0).standard_normal((50, 2)).astype("float32")
    >>> future = codes[:, None, :1] - codes[:, None, 1:]
    >>> set_forecast_initialization(network, codes, future, np.arange(50))
    >>> predicted = network.forecaster.predict(codes, verbose=0)[:, 0, 0]
    >>> bool(np.abs(predicted - codes[:, 0] + codes[:, 1]).max() < 1e-2)
    True
    """
    doing("regressing future steps on codes")
    specification = network.specification
    model: Any = network.forecaster
    numeric = [i for i, type_ in enumerate(specification.column_types) if type_ == "numeric"]
    future = future[:, :, numeric].astype(float)
    observed = ~np.isnan(future)
    values = np.where(observed, future, 0.0)
    mean, deviation = codes.mean(axis=0, dtype=float), codes.std(axis=0, dtype=float)
    deviation = np.where(deviation > 0, deviation, 1.0)
    standard = (codes - mean) / deviation
    errors = [
        _held_out_error(
            standard, values, observed, _penalties(c, len(codes), codes.shape[1]), sequence
        )
        for c in _PENALTIES
    ]
    best = int(np.argmin([error.sum() for error in errors]))
    penalty = _penalties(_PENALTIES[best], len(codes), codes.shape[1])
    weights = ridge(standard, values, observed, penalty)
    count = np.maximum(observed.sum(axis=(0, 1)), 1)
    power = (values**2).sum(axis=(0, 1))
    residual = np.sqrt(np.maximum(errors[best], _LEAST * power) / count)
    share = float(np.clip(errors[best].sum() / max(power.sum(), 1e-12), _LEAST, 1.0))

    widths = np.array([n or 1 for n in specification.num_categories])
    places = (np.cumsum(widths) - widths)[numeric]
    linear_layer: Any = model.get_layer("linear_steps_ahead")
    head: Any = model.get_layer("head_ahead")
    start, bias = np.zeros(linear_layer.start.shape), np.zeros(linear_layer.bias.shape)
    weights = weights[:, : linear_layer.num_steps]
    start[..., places] = weights[:-1] / deviation[:, None, None]
    bias[:, places] = weights[-1] - np.tensordot(mean, start[..., places], 1)
    linear_layer.start.assign(start.astype(np.float32))
    linear_layer.bias.assign(bias.astype(np.float32))
    linear_layer.unit.assign(float(np.sqrt(share / specification.latent_dim)))
    scale, kernel = np.array(head.scale.value), np.array(head.dense.kernel.value)
    scale[places], kernel[:, places] = residual, 0.0
    head.scale.assign(scale)
    head.dense.kernel.assign(kernel)


def _penalties(share: float, num_sequences: int, latent_dim: int) -> np.ndarray:
    """Return the penalty of each latent dimension, and a tiny one for the constant."""
    return np.append(np.full(latent_dim, share * num_sequences), 1e-6)


def _held_out_error(
    codes: np.ndarray,
    values: np.ndarray,
    observed: np.ndarray,
    penalty: np.ndarray,
    sequence: np.ndarray,
) -> np.ndarray:
    """Return the squared error of each column on held-out sequences."""
    error = np.zeros(values.shape[2])
    parts = min(_FOLDS, len(np.unique(sequence)))
    if parts < 2:
        return (values**2).sum(axis=(0, 1))
    for fold in range(parts):
        out = sequence % parts == fold
        weights = ridge(codes[~out], values[~out], observed[~out], penalty)
        predicted = np.tensordot(codes[out], weights[:-1], 1) + weights[-1]
        error += (((predicted - values[out]) * observed[out]) ** 2).sum(axis=(0, 1))
    return error
