"""Column types: how columns are read, and losses that are the same in NumPy, JAX and Keras."""

import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest

from refold.errors import DataError
from refold.layers import ColumnHead as KerasHead
from refold.network.packed.heads import PackedHead
from refold.sequences import Sequences, concatenate
from refold.sequences.types import COLUMN_TYPES

RNG = np.random.default_rng(0)
LOGITS = RNG.normal(size=(50, 3)).astype(np.float32)
TARGETS = {
    "numeric": RNG.normal(size=50),
    "binary": RNG.integers(0, 2, 50),
    "categorical": RNG.integers(0, 3, 50),
    "count": RNG.poisson(1.5, 50) / 1.3,
}


def case(name):
    """Return logits (50, width) and targets (50, 1) of a column."""
    width = COLUMN_TYPES[name].width(3)
    return LOGITS[:, :width], TARGETS[name].astype(np.float32)[:, None]


@pytest.mark.parametrize("name", COLUMN_TYPES)
def test_losses_links_and_gradients_are_the_same_everywhere(name):
    logits, targets = case(name)
    type_ = COLUMN_TYPES[name]
    head = PackedHead([name], [3 if type_.has_categories else 0])
    layer = KerasHead([name], [3 if type_.has_categories else 0])
    layer.build((None, head.num_outputs))
    layer.dense.kernel.assign(np.eye(head.num_outputs, dtype=np.float32))
    outputs = head.activate(logits.copy())
    written = layer(logits)
    np.testing.assert_allclose(np.asarray(written), outputs, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(layer.likeliest(written), head.values(outputs), rtol=1e-5)
    loss = type_.loss(targets, outputs, np)
    assert loss.shape == (50, 1)
    assert (loss >= -1e-6).all()
    for xp in (jnp, keras.ops):
        other = type_.loss(xp.array(targets), xp.array(outputs), xp)
        np.testing.assert_allclose(np.asarray(other), loss, rtol=1e-5, atol=1e-6)
    _, gradient = head.errors(outputs, targets, np.ones_like(targets))
    expected = jax.grad(lambda x: type_.loss(jnp.array(targets), layer(x), jnp).sum())(logits)
    np.testing.assert_allclose(gradient, expected, rtol=1e-4, atol=1e-5)


def test_counts_are_declared_and_whole():
    rows = [[0, 3, 1], [2, np.nan]]
    assert Sequences.from_list(rows).schema.columns[0].type == "numeric"
    counts = Sequences.from_list(rows, column_types="count")
    assert counts.schema.columns[0].type == "count"
    assert counts.schema.numeric.all()
    assert str(counts) == "Sequences(n=2, lengths=2 to 3, 1 count)"
    for wrong in (-1, 0.5):
        with pytest.raises(DataError, match="count column holds whole numbers from 0"):
            Sequences.from_list([[1, wrong]], column_types="count")
        with pytest.raises(DataError, match="sequence 0, step 1, column 'x0'"):
            Sequences.from_list([[1.0, wrong]]).align(counts.schema)


@pytest.mark.parametrize(
    ("one", "other", "together"),
    [("binary", "count", "count"), ("count", "numeric", "numeric"), ("count", "count", "count")],
)
def test_sets_of_numbers_have_the_more_general_type(one, other, together):
    sets = [Sequences.from_list([[0, 1]], column_types=name) for name in (one, other)]
    assert concatenate(sets).schema.columns[0].type == together


def test_a_linear_path_keeps_the_mean_of_counts():
    mean, spread = np.array([0.01, 0.5, 4.0]), np.array([0.0, 0.3, 1.0])
    level, slope = COLUMN_TYPES["count"].before_link(mean, spread)
    written = mean + spread * RNG.normal(size=(200_000, 3))
    counts = np.exp(level + slope * (written - mean))
    np.testing.assert_allclose(counts.mean(axis=0), mean, rtol=0.01)
