"""One list of all architectures that read ragged data, for all property tests."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import keras
import numpy as np

from refold.layers import LSTM, PaddingMask
from refold.models import Models, join_encoder_and_decoder, make_default_models

STEPS = 7


class Case(NamedTuple):
    """A function that builds models, and data for them."""

    build: Callable[[], Models]
    column_types: list[str]
    num_categories: list[int]
    flags: bool = False
    options: Mapping[str, Any] = {}  # of the `Specification` of the models

    def data(self, n: int = 12, *, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
        """Return inputs and targets of all lengths from 0 to ``STEPS``, padded with NaN."""
        rng = np.random.default_rng(seed)
        y = rng.normal(size=(n, STEPS, len(self.column_types))).astype("float32")
        for i, column_type in enumerate(self.column_types):
            if column_type != "numeric":
                y[:, :, i] = rng.integers(self.num_categories[i] or 2, size=(n, STEPS))
        is_padding = np.arange(STEPS) >= np.arange(n)[:, None] % (STEPS + 1)
        x = y.copy()
        if self.flags:
            missing = rng.random(x.shape) < 0.3
            x[missing], y[missing] = 0.0, np.nan
            x = np.concatenate([x, ~missing], axis=-1).astype("float32")
        x[is_padding], y[is_padding] = np.nan, np.nan
        return x, y


def _default(column_types: list[str], num_categories: list[int], **options: Any) -> Case:
    def build() -> Models:
        keras.utils.set_random_seed(1)
        sizes = {"latent_dim": 4, "max_steps": STEPS, "units": 8}
        columns: Any = {"column_types": column_types, "num_categories": num_categories}
        models = make_default_models(**columns, **sizes, **options)
        # weights that are zero would hide errors
        rng = np.random.default_rng(1)
        for variable in models.encoder.weights + models.decoder.weights:
            if variable.path.endswith(("/start", "rocket_dim/kernel")):
                variable.assign(0.3 * rng.normal(size=variable.shape))
        return models

    flags = bool(options.get("observed_flags"))
    return Case(build, column_types, num_categories, flags, options)


def _custom() -> Models:
    """Return custom models whose decoder has more steps than the data."""
    keras.utils.set_random_seed(1)
    x = keras.Input((None, 2))
    code = keras.Input((4,))
    encoder = keras.Model(x, LSTM(4)(PaddingMask()(x)))
    repeated = keras.layers.RepeatVector(STEPS + 2)(code)
    decoder = keras.Model(code, LSTM(2, return_sequences=True)(repeated))
    return join_encoder_and_decoder(encoder, decoder)


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
