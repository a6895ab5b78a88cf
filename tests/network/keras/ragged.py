"""One list of all architectures that read ragged data, for all property tests."""

from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any, NamedTuple

import keras
import numpy as np

from refold.layers import LSTM, PaddingMask
from refold.models import Models, Specification, autoencoder, default

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
        for i, (column_type, labels) in enumerate(
            zip(self.column_types, self.num_categories, strict=True)
        ):
            if column_type != "numeric":
                y[:, :, i] = rng.integers(labels or 2, size=(n, STEPS))
        lengths = np.arange(n) % (STEPS + 1)
        padded = np.arange(STEPS) >= lengths[:, None]
        x = y.copy()
        if self.flags:
            missing = rng.random(x.shape) < 0.3
            x[missing], y[missing] = 0.0, np.nan
            x = np.concatenate([x, ~missing], axis=-1).astype("float32")
        x[padded], y[padded] = np.nan, np.nan
        return x, y


def _default(column_types: list[str], num_categories: list[int], **options: Any) -> Case:
    def build() -> Models:
        keras.utils.set_random_seed(1)
        sizes = {"latent_dim": 4, "max_steps": STEPS, "units": 8}
        models = default(column_types, num_categories=num_categories, **sizes, **options)
        # weights that are zero would hide errors
        rng = np.random.default_rng(1)
        zero = [models.encoder.get_layer("linear_code").initial_map]
        zero.append(models.decoder.get_layer("linear_steps").initial_map)
        if options.get("rocket_dim"):
            zero.append(models.encoder.get_layer("rocket_dim").kernel)
        for weight in zero:
            weight.assign(0.3 * rng.normal(size=weight.shape))
        return models

    flags = bool(options.get("observed_flags"))
    names = {field.name for field in fields(Specification)} & set(options)
    specified = {name: options[name] for name in names}
    return Case(build, column_types, num_categories, flags, specified)


def _custom() -> Models:
    """Return custom models whose decoder has more steps than the data."""
    keras.utils.set_random_seed(1)
    x = keras.Input((None, 2))
    code = keras.Input((4,))
    encoder = keras.Model(x, LSTM(4)(PaddingMask()(x)))
    repeated = keras.layers.RepeatVector(STEPS + 2)(code)
    return autoencoder(encoder, keras.Model(code, LSTM(2, return_sequences=True)(repeated)))


TWO = ["numeric", "numeric"], [0, 0]
CATEGORICAL = ["numeric", "categorical"], [0, 3]
# Each model is compiled for each test, so a case combines independent options.
CASES = {
    "numeric": _default(["numeric"] * 3, [0] * 3),
    "mixed": _default(["numeric", "categorical", "binary"], [0, 3, 0]),
    "autoregressive": _default(
        *CATEGORICAL, depth=2, dropout=0.3, observed_flags=True, decoder="autoregressive"
    ),
    "patches, by GRUs": _default(*TWO, patch=3, depth=2, dropout=0.3, cell="gru"),
    "patches, ROCKET": _default(*CATEGORICAL, patch=3, rocket_dim=1, observed_flags=True),
    "own": Case(_custom, *TWO, options={"architecture": "custom"}),
}
