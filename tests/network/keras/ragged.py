"""One list of all architectures that read ragged data, for all property tests."""

from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any, NamedTuple

import keras
import numpy as np

from refold.layers import LSTM, PaddingMask
from refold.models import Models, autoencoder, default
from refold.network.specification import Specification

STEPS = 7


class Case(NamedTuple):
    """A function that builds models, and data for them."""

    build: Callable[[], Models]
    column_types: list[str]
    num_categories: list[int]
    flags: bool = False
    # The specification of the models, except their columns.
    options: Mapping[str, Any] = {}

    def data(self, n: int = 12, *, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
        """Return inputs and targets of all lengths from 0 to ``STEPS``, padded with NaN."""
        rng = np.random.default_rng(seed)
        y = rng.normal(size=(n, STEPS, len(self.column_types))).astype("float32")
        for i, (kind, labels) in enumerate(
            zip(self.column_types, self.num_categories, strict=True)
        ):
            if kind == "binary":
                y[:, :, i] = rng.integers(2, size=(n, STEPS))
            elif kind == "categorical":
                y[:, :, i] = rng.integers(labels, size=(n, STEPS))
        lengths = np.arange(n) % (STEPS + 1)
        padded = np.arange(STEPS) >= lengths[:, None]
        x = y.copy()
        if self.flags:
            missing = rng.random(x.shape) < 0.3
            x[missing], y[missing] = 0.0, np.nan
            x = np.concatenate([x, ~missing], axis=-1).astype("float32")
        x[padded], y[padded] = np.nan, np.nan
        return x, y


def _default(
    column_types: list[str], num_categories: list[int] | None = None, **options: object
) -> Case:
    num_categories = num_categories or [0] * len(column_types)

    def build() -> Models:
        keras.utils.set_random_seed(1)
        models = default(
            column_types,
            num_categories=num_categories,
            latent_dim=4,
            max_steps=STEPS,
            units=8,
            **options,
        )
        # weights that are zero would hide errors
        rng = np.random.default_rng(1)
        if "numeric" in column_types:
            for model, name in ((models.encoder, "linear_code"), (models.decoder, "linear_steps")):
                start = model.get_layer(name).start
                start.assign(0.3 * rng.normal(size=start.shape))
        if options.get("rocket_dim"):
            kernel = models.encoder.get_layer("rocket_dim").kernel
            kernel.assign(0.3 * rng.normal(size=kernel.shape))
        return models

    flags = bool(options.get("observed_flags"))
    known = {
        name: options[name]
        for name in options
        if name in {field.name for field in fields(Specification)}
    }
    return Case(build, column_types, num_categories, flags, known)


def _own() -> Models:
    """Return custom models whose decoder has more steps than the data."""
    keras.utils.set_random_seed(1)
    x = keras.Input((None, 2))
    code = keras.Input((4,))
    encoder = keras.Model(x, LSTM(4)(PaddingMask()(x)))
    repeated = keras.layers.RepeatVector(STEPS + 2)(code)
    return autoencoder(encoder, keras.Model(code, LSTM(2, return_sequences=True)(repeated)))


CASES = {
    "numeric": _default(["numeric"] * 3),
    "deep": _default(["numeric"] * 2, depth=2, dropout=0.3, code_noise=0.1),
    "binary": _default(["binary"] * 4),
    "mixed": _default(["numeric", "categorical", "binary"], [0, 3, 0]),
    "missing values": _default(["numeric", "categorical"], [0, 3], observed_flags=True),
    "autoregressive": _default(
        ["numeric", "categorical"],
        [0, 3],
        depth=2,
        dropout=0.3,
        observed_flags=True,
        decoder="autoregressive",
    ),
    "patches, by GRUs": _default(["numeric"] * 2, patch=3, depth=2, dropout=0.3, cell="gru"),
    "patches of all kinds": _default(
        ["numeric", "categorical", "binary"], [0, 3, 0], patch=4, observed_flags=True
    ),
    "rocket_dim": _default(["numeric"] * 2, rocket_dim=2),
    "discriminative patches": _default(
        ["numeric", "categorical"], [0, 3], patch=3, rocket_dim=1, observed_flags=True
    ),
    "own": Case(_own, ["numeric"] * 2, [0, 0], options={"architecture": "custom"}),
}
# For properties of whole models, each of which must be compiled. A case combines independent
# options.
COMBINED = {
    "numeric": CASES["numeric"],
    "missing values": _default(
        ["numeric", "categorical", "binary"], [0, 3, 0], observed_flags=True
    ),
    "autoregressive": CASES["autoregressive"],
    "patches": _default(
        ["numeric", "categorical", "binary"], [0, 3, 0], patch=4, depth=2, dropout=0.3
    ),
    "rocket_dim": _default(["numeric"] * 2, depth=2, dropout=0.3, code_noise=0.1, rocket_dim=2),
    "discriminative patches": CASES["discriminative patches"],
    "own": CASES["own"],
}
