"""Fitted models of each kind with random weights, which need no training and no compilation."""

from dataclasses import replace

import numpy as np

from refold.model import Model
from refold.network.packed.network import PackedNetwork
from refold.network.specification import Specification, list_weights
from refold.sequences import Scaler, Sequences, as_sequences

LENGTHS = (0, 1, 5, 9, 4, 0, 2, 9, 3, 1)


def numeric(num_columns=2, seed=0, lengths=LENGTHS):
    """Draw sequences with a mean far from 0."""
    rng = np.random.default_rng(seed)
    return [rng.normal(5, 3, (n, num_columns)) for n in lengths]


def fitted(data, *, scale="features", seed=1, missing=(), **changes):
    """Return a model of data with random weights."""
    rng = np.random.default_rng(seed)
    sequences = as_sequences(data)
    schema, scaler = replace(sequences.schema, missing=missing), Scaler.fit(sequences, scale)
    sizes = {
        "architecture": "default",
        "column_types": [column.type for column in schema.columns],
        "num_categories": [len(column.categories) for column in schema.columns],
        "observed_flags": bool(np.isnan(sequences.values).any()),
        "latent_dim": 5,
        "max_steps": 7,  # shorter than the longest
        "units": 8,
        "length_mean": 4.0,
        "length_deviation": 2.0,
    }
    specification = Specification(**sizes | changes)
    weights = {
        name: np.asarray(rng.normal(0, 0.3, shape), np.float32)
        for name, shape, _ in list_weights(specification)
    }
    network = PackedNetwork(specification, weights)
    return Model(network, schema, scaler, Scaler.fit(sequences, "features"))


RNG = np.random.default_rng(0)
NUMBERS = numeric()
GAPS = [np.where(RNG.random(x.shape) < 0.3, np.nan, x) for x in NUMBERS]
WORDS = [[str(RNG.choice(["a", "b", "", "dd"])) for _ in range(n)] for n in LENGTHS]
IDS = Sequences.from_list(
    [RNG.choice([7, -1, 900], n) for n in LENGTHS], column_types="categorical"
)


def mixed():
    """Draw numeric, binary and categorical columns with missing values."""
    table = {"id": np.repeat(np.arange(len(LENGTHS)), LENGTHS)}
    num_rows = len(table["id"])
    table["a"], table["b"] = RNG.normal(300, 2, (2, num_rows))
    is_missing = RNG.random(num_rows) < 0.2
    table["word"] = np.where(is_missing, None, RNG.choice(["x", "y", "z"], num_rows))
    table["on"] = RNG.choice([0.0, 1.0, np.nan], num_rows)
    table["c"] = RNG.normal(-3, 2, num_rows)
    table["code"] = RNG.choice([4, 5], num_rows)
    types = {"word": "categorical", "on": "binary", "code": "categorical"}
    order = ["a", "word", "on", "b", "c", "code"]
    return Sequences.from_table(
        {name: table[name] for name in ["id", *order]}, id="id", column_types=types
    )


def counts():
    """Draw a column of counts and one of numbers."""
    rows = [np.stack([RNG.poisson(4, n), RNG.normal(9, 2, n)], axis=1) for n in LENGTHS]
    return Sequences.from_list(rows, column_types=["count", "numeric"])


MODEL_CASES = {
    "numeric": (NUMBERS, {}),
    "length dimension": (NUMBERS, {"depth": 2, "length_dim": 1, "by_length": True}),
    "variational, unscaled": (NUMBERS, {"variational": True, "linear_path": False, "scale": None}),
    "patches, ROCKET": (NUMBERS, {"patch": 2, "depth": 2, "rocket_dim": 2, "length_dim": 1}),
    "autoregressive": (NUMBERS, {"decoder": "autoregressive", "depth": 2}),
    "far from 0": ([x + 1e6 for x in NUMBERS], {}),
    "gaps": (GAPS, {"patch": 3}),
    "scaled by sequence": (GAPS, {"scale": "sequence", "depth": 2}),
    "words, autoregressive": (WORDS, {"decoder": "autoregressive"}),
    "words": (WORDS, {"linear_path": True, "rocket_dim": 1, "patch": 2}),
    "integers": (IDS, {"decoder": "autoregressive", "linear_path": True}),
    "counts": (counts(), {"length_dim": 1}),
    "counts, scaled by sequence": (counts(), {"scale": "sequence"}),
    "mixed": (mixed(), {"length_dim": 1}),
    "mixed, autoregressive": (mixed(), {"decoder": "autoregressive"}),
}
