"""Fitted models with random weights, which need no training and no compilation."""

from dataclasses import replace

import numpy as np

from refold.model import Model
from refold.network.packed.network import PackedNetwork
from refold.network.specification import Specification
from refold.network.weights import weights_of
from refold.sequences import Scaler, as_sequences

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
        "depth": 1,
        "dropout": 0.0,
        "length_mean": 4.0,
        "length_deviation": 2.0,
    }
    specification = Specification(**sizes | changes)
    weights = {
        name: np.asarray(rng.normal(0, 0.3, shape), np.float32)
        for name, shape, _ in weights_of(specification)
    }
    network = PackedNetwork(specification, weights)
    return Model(network, schema, scaler, Scaler.fit(sequences, "features"))
