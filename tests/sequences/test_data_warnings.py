"""Warnings about data: numbers for missing values, outliers, single steps and padding."""

import numpy as np
import pandas as pd
import pytest

import refold
from refold.datasets import question_array
from refold.sequences import Sequences, as_sequences, data_warnings, mark_missing, write
from small_data import mapped, untrained


def rng():
    return np.random.default_rng(0)


def suspects(values):
    """Return the numbers of a column that a warning is about."""
    lines = data_warnings(Sequences.from_list([np.asarray(values)]))
    return sorted(float(line.partition(" occurs ")[0]) for line in lines)


TEMPERATURES = rng().normal(20, 5, 1000)
POSITIVE = np.abs(TEMPERATURES)


@pytest.mark.parametrize(
    "values",
    [
        rng().lognormal(0, 2, 5000),
        np.where(rng().random(5000) < 0.001, 40.0, rng().normal(0, 1, 5000)),
        np.where(rng().random(5000) < 0.3, 2000, rng().normal(2, 1, 5000)),  # on and off
        np.where(np.arange(5000) % 500, 0.0, 999.0 + np.arange(5000)),
        [0.0, 1.0, 999.0],
        np.append(POSITIVE, -200.5),
        np.append(TEMPERATURES, 123.0),
    ],
)
def test_ordinary_columns_cause_no_warning(values):
    assert suspects(values) == []


@pytest.mark.parametrize(
    ("values", "numbers"),
    [
        (TEMPERATURES, [-99999]),
        (TEMPERATURES.astype(np.float32), [999.9] * 3),
        (TEMPERATURES, [-9999, 9999]),
        ([5.0] * 100, [-9999] * 3),
        (POSITIVE, [-200] * 5),
        (TEMPERATURES, [123456]),
        (rng().normal(size=1100), [1e9] * 900),
    ],
)
def test_numbers_far_from_all_others(values, numbers):
    data = np.concatenate([values, np.array(numbers, np.asarray(values).dtype)])
    assert suspects(data) == sorted(set(numbers))


def test_the_line_names_column_value_count_position_and_fix():
    sequences = Sequences.from_list(
        [rng().normal(size=(20, 2)) for _ in range(5)], names=["heat", "rain"]
    )
    sequences.values[[47, 93], 1] = -99999
    (line,) = data_warnings(sequences)
    assert line.startswith("-99999 occurs 2 times in column 'rain' (first in sequence 2, step 7)")
    assert line.endswith("pass missing_values=[-99999].")
    sequences.values[5:7, 0] = -99999, 1e20
    lines = data_warnings(sequences)
    assert "occurs 3 times in columns 'heat', 'rain' (first in sequence 0, step 5, colu" in lines[0]
    assert len(lines) == 2
    assert all("missing_values=[-99999, 1e+20]" in line for line in lines)


@pytest.mark.parametrize("layout", ["list", "long"])
def test_mapped_files_give_the_same_result_as_memory(tmp_path, layout):
    sequences = Sequences.from_list([rng().normal(size=(9, 2)) for _ in range(40)])
    sequences.values[[47, 203], 1] = -99999
    write(sequences, tmp_path / "a.parquet", layout=layout)
    data = mapped(tmp_path / "a.parquet", block_bytes=300)
    assert len(data.block_offsets) > 10
    assert data_warnings(data) == data_warnings(sequences) != []
    whole = mark_missing(sequences, -99999)
    marked = refold.sequences.mapped_blocks(data, lambda block: mark_missing(block, -99999))
    assert marked.is_mapped
    assert data_warnings(marked) == []
    np.testing.assert_array_equal(marked[[5, 22]].values, whole[[5, 22]].values)


def test_sequences_of_one_step():
    (line,) = data_warnings(as_sequences([[0.5], []]))
    assert "sequences have at most one step" in line
    assert "pass [x], or windows of it, refold.sequences.windows([x], 100)" in line


@pytest.mark.parametrize(
    ("side", "end", "advice"),
    [
        ("post", "end with", "Sequences.from_padded(x)."),
        ("pre", "begin with", "Sequences.from_padded(x, padding='pre')."),
    ],
)
def test_padding_of_zeros(side, end, advice):
    x = rng().normal(size=(40, 10, 3))
    for i in range(1, 40):
        x[i, slice(i % 9 + 1, None) if side == "post" else slice(0, i % 9)] = 0
    (line,) = data_warnings(Sequences.from_array(x))
    assert f"of 40 sequences {end} steps of zeros" in line
    assert line.endswith(advice)
    assert data_warnings(Sequences.from_padded(x, padding=side)) == []


def test_padded_categories_and_zeros_in_the_middle():
    labels = np.where(np.arange(8) < 2 + np.arange(20)[:, None] % 7, 3, 0)
    (line,) = data_warnings(Sequences.from_array(labels, column_types="categorical"))
    assert "end with steps of zeros" in line
    assert data_warnings(Sequences.from_array(labels + 1, column_types="categorical")) == []
    assert data_warnings(Sequences.from_array(rng().poisson(0.7, size=(50, 20)))) == []
    x, lengths = question_array(200)
    assert data_warnings(Sequences.from_array(x, lengths)) == []


def test_ids_and_times_in_a_list_of_tables():
    tables = [
        pd.DataFrame({"id": np.full(9, i), "t": np.arange(9), "x": rng().permutation(9) * 1.0})
        for i in range(24)
    ]
    with pytest.warns(UserWarning, match="are features") as warned:
        untrained(tables)
    assert [str(warning.message) for warning in warned] == [
        "All columns of the tables are features, also 'id', which looks like ids, and 't', which "
        "looks like times. Drop them, or pass one table of all steps to Sequences.from_table."
    ]
