"""Schemas, column types, data under another schema, and numbers that stand for missing values."""

import json

import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest

from refold.errors import DataError, ParameterError, SchemaError
from refold.layers import ColumnHead as KerasHead
from refold.network.packed.heads import PackedHead
from refold.sequences import Column, Schema, Sequences, concatenate, mark_missing, read, write
from refold.sequences.types import COLUMN_TYPES

RNG = np.random.default_rng(0)
LOGITS = RNG.normal(size=(50, 3)).astype(np.float32)
TARGETS = {
    "numeric": RNG.normal(size=50),
    "binary": RNG.integers(0, 2, 50),
    "categorical": RNG.integers(0, 3, 50),
    "count": RNG.poisson(1.5, 50) / 1.3,
}


def test_columns_by_type_and_json():
    columns = ("x", "numeric"), ("event", "categorical", ("a", "b", "c")), ("on", "binary")
    mixed = Schema(tuple(Column(*column) for column in columns), missing=(-9999,))
    assert mixed.numeric.tolist() == [True, False, False]
    assert mixed.categorical_indices.tolist() == [1]
    assert mixed.output_width == 5
    integers = Schema((Column("token", "categorical", (3, 5)),), "tokens")
    for schema in (mixed, integers):
        assert Schema.from_dict(json.loads(json.dumps(schema.to_dict()))) == schema


X = Column("x", "numeric")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Column("", "numeric"), "name must be text that is not empty"),
        (lambda: Column("x", "numeric", ("a",)), r"Got \('a',\) of the numeric column 'x'"),
        (lambda: Schema((X, X)), "two columns named 'x'. Rename one"),
        (lambda: Schema((X,), "tokens"), "'tokens' needs one categorical column. Got 1 numeric"),
        (lambda: Schema.from_dict({}), "A schema must be a dictionary"),
    ],
)
def test_impossible_schemas(make, message):
    with pytest.raises((SchemaError, DataError, ParameterError), match=message):
        make()


@pytest.mark.parametrize("name", COLUMN_TYPES)
def test_losses_links_and_gradients_are_the_same_everywhere(name):
    type_ = COLUMN_TYPES[name]
    logits, targets = LOGITS[:, : type_.output_width(3)], TARGETS[name].astype(np.float32)[:, None]
    head = PackedHead([name], [3 if type_.has_categories else 0])
    layer = KerasHead([name], [3 if type_.has_categories else 0])
    layer.build((None, head.num_outputs))
    layer.dense.kernel.assign(np.eye(head.num_outputs, dtype=np.float32))
    outputs = head.activate(logits.copy())
    decoded = layer(logits)
    np.testing.assert_allclose(np.asarray(decoded), outputs, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(layer.likeliest(decoded), head.likeliest_values(outputs), rtol=1e-5)
    loss = type_.loss(targets, outputs, np)
    for xp in (jnp, keras.ops):
        backend_loss = type_.loss(xp.array(targets), xp.array(outputs), xp)
        np.testing.assert_allclose(np.asarray(backend_loss), loss, rtol=1e-5, atol=1e-6)
    _, gradient = head.errors(outputs, targets, np.ones_like(targets))
    expected = jax.grad(lambda x: type_.loss(jnp.array(targets), layer(x), jnp).sum())(logits)
    np.testing.assert_allclose(gradient, expected, rtol=1e-4, atol=1e-5)


def test_counts_are_declared_and_whole():
    rows = [[0, 3, 1], [2, np.nan]]
    assert Sequences.from_list(rows).schema.columns[0].type == "numeric"
    counts = Sequences.from_list(rows, column_types="count")
    assert str(counts) == "Sequences(n=2, lengths=2 to 3, 1 count)"
    for name, together in (("binary", "count"), ("numeric", "numeric")):
        sets = [counts, Sequences.from_list([[0, 1]], column_types=name)]
        assert concatenate(sets).schema.columns[0].type == together
    for wrong in (-1, 0.5):
        with pytest.raises(DataError, match="count column holds whole numbers from 0"):
            Sequences.from_list([[1, wrong]], column_types="count")
        with pytest.raises(DataError, match="sequence 0, step 1, column 'x0'"):
            Sequences.from_list([[1.0, wrong]]).convert_to_schema(counts.schema)


def test_unknown_categories_are_counted_in_one_warning():
    fitted = Sequences.from_list([[["a", "x"]], [["b", "y"]]]).schema
    data = Sequences.from_list([[["a", "z"]], [["q", "z"]], [["q", "y"]], [[None, "x"]]])
    message = r"2 entries of column 'x0' \('q'\); 2 entries of"
    with pytest.warns(UserWarning, match=message) as caught:
        aligned = data.convert_to_schema(fitted)
    assert [warning.filename for warning in caught] == [__file__]
    np.testing.assert_array_equal(aligned.values, [[0, 2], [2, 2], [2, 1], [np.nan, 0]])


SPEED = Schema((Column("speed", "numeric"), Column("on", "binary")))


def test_columns_are_matched_by_name_or_position():
    swapped = Sequences.from_list([[[1.0, 5.0], [0.0, 6.0]]], names=["on", "speed"])
    np.testing.assert_array_equal(swapped.convert_to_schema(SPEED).values, [[5.0, 1.0], [6.0, 0.0]])
    unnamed = Sequences.from_list([[[5.0, 1.0]]])
    np.testing.assert_array_equal(unnamed.convert_to_schema(SPEED).values, [[5.0, 1.0]])


@pytest.mark.parametrize(
    ("row", "names", "message"),
    [
        ([1.0, 2.0, 3.0], None, "have 3 features, but the model was fitted on 2"),
        ([1.0, 2.0], ["speed", "off"], "have 2 features .without 'on'; with 'off'., but"),
        ([1.0, "a"], ["speed", "on"], "'on' holds text categories, but the model was fitted on"),
        ([1.0, 7.0], ["speed", "on"], "Got 7 at sequence 0, step 0, column 'on'. A binary"),
    ],
)
def test_another_schema_is_refused(row, names, message):
    with pytest.raises(DataError, match=message):
        Sequences.from_list([[row]], names=names).convert_to_schema(SPEED)


def test_categories_are_compared_as_text_if_one_side_is_text():
    sleep = Sequences.from_list([["1", "2", "N5"]]).schema
    assert Sequences.from_list([[2, 1], []]).convert_to_schema(sleep).to_list() == [["2", "1"], []]
    text = Sequences.from_list([["No", "TRUE", "False"]]).schema
    converted = Sequences.from_list([[True, False]]).convert_to_schema(text)
    assert converted.to_list() == [["TRUE", "False"]]
    integers = Sequences.from_list([[1, 2]], column_types="categorical").schema
    with pytest.warns(UserWarning, match=r"1 entry of column 'token' \('N5'\)"):
        aligned = Sequences.from_list([["2", "N5"]]).convert_to_schema(integers)
    assert aligned.values[:, 0].tolist() == [1, 2]

    with pytest.raises(SchemaError, match="holds numeric values, but the model was fitted on te"):
        Sequences.from_list([[5, 7]]).convert_to_schema(sleep)
    with pytest.raises(DataError, match=r"Got 0\.5 at sequence 0, step 0, column 'x0'"):
        Sequences.from_list([[0.5]]).convert_to_schema(integers)


def test_missing_value_markers_change_only_numeric_columns():
    rows = [[-1.0, 5.0], [2.5, -1.0]]
    sequences = Sequences.from_list([rows], column_types=["numeric", "categorical"])
    marked = mark_missing(sequences, -1)
    np.testing.assert_array_equal(marked.values, [[np.nan, 1], [2.5, 0]])
    binary = mark_missing(Sequences.from_list([[0, 1, 1]]), [-9, 1])
    new = Sequences.from_list([[0, -9, 1]])
    np.testing.assert_array_equal(new.convert_to_schema(binary.schema)[0], [0, np.nan, 1])


def test_markers_have_the_precision_of_the_data_and_are_kept_in_files(tmp_path):
    values = np.array([1e20, 0.1, 999.9], np.float32)
    marked = mark_missing(Sequences.from_list([values]), [1e20, 999.9])
    assert np.isnan(marked.values[:, 0]).tolist() == [True, False, True]
    assert marked.values.dtype == np.float32
    write(marked, tmp_path / "a.parquet")
    np.testing.assert_array_equal(read(tmp_path / "a.parquet")[0], marked[0])
    assert Schema.from_dict(marked.schema.to_dict()).missing == (1e20, 999.9)

    with pytest.raises(ParameterError, match="must be a finite number or a list of them"):
        mark_missing(Sequences.from_list([[1.0]]), [np.nan])
