import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from refold.sequences import Scaler, Sequences, concatenate, pad

quick = settings(max_examples=40, deadline=None)
numbers = st.floats(-1e6, 1e6) | st.just(float("nan"))


@st.composite
def arrays(draw, elements=numbers):
    num_features = draw(st.integers(1, 3))
    lengths = draw(st.lists(st.integers(0, 5), min_size=1, max_size=5))
    dtype = draw(st.sampled_from([np.float32, np.float64]))
    if dtype == np.float32:
        elements = st.floats(-1e6, 1e6, width=32) | st.just(float("nan"))
    return [draw(hnp.arrays(dtype, (n, num_features), elements=elements)) for n in lengths]


tokens = st.lists(st.lists(st.text(max_size=3) | st.none(), max_size=4), min_size=1, max_size=5)
strings = st.lists(st.text(max_size=6), min_size=1, max_size=5)
integers = st.lists(st.lists(st.integers(-9, 9), max_size=4), min_size=1, max_size=5)


def assert_same(a, b):
    assert a.schema == b.schema
    assert a.values.dtype == b.values.dtype
    np.testing.assert_array_equal(a.values, b.values)
    np.testing.assert_array_equal(a.offsets, b.offsets)


@quick
@given(arrays())
def test_list_and_back(data):
    sequences = Sequences.from_list(data, column_types="numeric")
    for before, after in zip(data, sequences.to_list(), strict=True):
        assert before.dtype == after.dtype
        np.testing.assert_array_equal(before, after)
    assert_same(Sequences.from_list(sequences.to_list(), schema=sequences.schema), sequences)


@quick
@given(tokens)
def test_tokens_and_back(data):
    assert Sequences.from_list(data, column_types="categorical").to_list() == data


@quick
@given(strings)
def test_strings_and_back(data):
    back = Sequences.from_list(data, column_types="categorical", layout="characters").to_list()
    assert back == data


@quick
@given(integers)
def test_integer_labels_and_back(data):
    sequences = Sequences.from_list(data, column_types="categorical")
    if sequences.lengths.sum():
        assert sequences.to_list() == data


@quick
@given(arrays(), st.sampled_from([-1.0, float("nan")]))
def test_padded_and_back(data, value):
    sequences = Sequences.from_list(data, column_types="numeric")
    again = Sequences.from_array(
        sequences.to_padded(value), sequences.lengths, column_types="numeric"
    )
    assert_same(again, sequences)


@quick
@given(arrays() | tokens | strings | integers)
def test_arrow_and_back(data):
    sequences = Sequences.from_list(data)
    assert_same(Sequences.from_arrow(sequences.to_arrow()), sequences)


@quick
@given(arrays() | tokens | strings | integers)
def test_long_table_and_back(data):
    sequences = Sequences.from_list(data)
    sequences = sequences[sequences.lengths > 0]
    if len(sequences):
        table = sequences.to_table()
        mixed = np.random.default_rng(0).permutation(table["id"].to_numpy())
        interleaved = table.take(np.argsort(np.argsort(mixed, kind="stable")))
        again = Sequences.from_table(interleaved, id="id", time="time")
        assert_same(again[np.argsort(again.ids)], sequences)


@quick
@given(arrays(), st.data())
def test_choosing_commutes_with_the_list(data, draw):
    sequences = Sequences.from_list(data, column_types="numeric")
    indices = draw.draw(st.lists(st.integers(0, len(data) - 1), max_size=6))
    for i, chosen in zip(indices, sequences[indices], strict=True):
        np.testing.assert_array_equal(chosen, data[i])


@quick
@given(arrays())
def test_concatenating_the_parts_gives_the_whole(data):
    sequences = Sequences.from_list(data, column_types="numeric")
    assert_same(concatenate([sequences[:1], sequences[1:]]), sequences)


@quick
@given(arrays(), st.booleans(), st.integers(0, 3))
def test_padding_is_invertible_and_marks_exactly_the_padded_steps(data, flags, extra):
    sequences = Sequences.from_list(data, column_types="numeric")
    num_steps = max(1, int(sequences.lengths.max())) + extra
    x, y = pad(sequences, np.arange(len(sequences)), num_steps, flags=flags)
    padded = np.arange(num_steps) >= sequences.lengths[:, None]
    np.testing.assert_array_equal(np.isnan(x).all(axis=2), padded)
    np.testing.assert_array_equal(np.isnan(x).any(axis=2), padded)
    np.testing.assert_array_equal(y[~padded], sequences.values.astype(np.float32))


@quick
@given(arrays(), st.sampled_from(["features", "sequence", None]))
@pytest.mark.filterwarnings("ignore:Column")
def test_scaling_is_invertible(data, mode):
    sequences = Sequences.from_list(data, column_types="numeric")
    if np.isnan(sequences.values).all(axis=0).any():
        return
    scaler = Scaler.fit(sequences, mode)
    statistics = scaler.statistics(sequences)
    assert np.isfinite(statistics).all()
    scaled = scaler.transform(sequences)
    back = scaler.inverse_transform(scaled, statistics)
    size = np.nanmax(np.abs(sequences.values), axis=0, initial=1e-30)
    tolerance = 4 * np.finfo(sequences.values.dtype).eps * size
    error = np.abs(back.values.astype(float) - sequences.values.astype(float))
    assert (np.isnan(error) | (error <= tolerance)).all()
