"""Warnings about data: numbers for missing values, outliers, single steps and padding."""

from functools import partial

import numpy as np
import pandas as pd
import pytest

import refold
from refold.datasets import padded_moving_ones
from refold.sequences import Sequences, as_sequences, data_warnings, mark_missing, write
from small_data import fit_without_training, read_as_mapped

rng = partial(np.random.default_rng, 0)  # returns a new generator with a fixed seed
TEMPERATURES = rng().normal(20, 5, 1000)


@pytest.mark.parametrize(
    ("values", "numbers"),
    [
        (TEMPERATURES, [-99999]),
        (TEMPERATURES.astype(np.float32), [999.9] * 3),
        (TEMPERATURES, [-9999, 9999]),
        ([5.0] * 100, [-9999] * 3),
        (TEMPERATURES, [123456]),
        (rng().normal(size=1100), [1e20] * 900),
    ],
)
def test_numbers_far_from_all_others(values, numbers):
    data = np.concatenate([values, np.array(numbers, np.asarray(values).dtype)])
    lines = data_warnings(Sequences.from_list([data]))
    suspects = sorted(float(line.partition(" occurs ")[0]) for line in lines)
    assert suspects == sorted(set(numbers))


@pytest.mark.parametrize(
    "values",
    [
        rng().lognormal(0, 2, 5000),
        np.where(rng().random(5000) < 0.001, 40.0, rng().normal(0, 1, 5000)),
        np.where(rng().random(5000) < 0.3, 2000, rng().normal(2, 1, 5000)),  # on and off
        [0.0, 1.0, 999.0],
        np.append(TEMPERATURES, 123.0),
    ],
)
def test_ordinary_columns_cause_no_warning(values):
    assert data_warnings(Sequences.from_list([np.asarray(values)])) == []


@pytest.mark.parametrize("layout", ["list", "long"])
def test_the_line_names_columns_value_count_position_and_fix_also_of_files(tmp_path, layout):
    arrays = [rng().normal(size=(9, 2)) for _ in range(40)]
    sequences = Sequences.from_list(arrays, names=["heat", "rain"])
    sequences.values[[47, 203], 1] = -99999
    (line,) = data_warnings(sequences)
    location = "'rain' 2 times, first at sequence 5, step 2, column 'rain', far"
    assert line.startswith(f"-99999 occurs in {location}")
    assert line.endswith("pass missing_values=[-99999].")
    sequences.values[5:7, 0] = -99999, 1e20
    lines = data_warnings(sequences)
    assert "occurs in 'heat', 'rain' 3 times, first at sequence 0, step 5" in lines[0]
    assert len(lines) == 2
    assert all("missing_values=[-99999, 1e+20]" in line for line in lines)
    write(sequences, tmp_path / "a.parquet", layout=layout)
    data = read_as_mapped(tmp_path / "a.parquet", block_bytes=300)
    assert data_warnings(data) == lines
    in_memory = mark_missing(sequences, [-99999, 1e20])
    marked = refold.sequences.apply_to_mapped_blocks(
        data, lambda block: mark_missing(block, [-99999, 1e20])
    )
    assert marked.is_mapped
    assert data_warnings(marked) == []
    np.testing.assert_array_equal(marked[[5, 22]].values, in_memory[[5, 22]].values)


def test_sequences_of_one_step():
    (line,) = data_warnings(as_sequences([[0.5], []]))
    assert "sequences have at most one step" in line
    assert "pass [x], or add window=100." in line


@pytest.mark.parametrize("side", ["post", "pre"])
def test_padding_of_zeros(side):
    x = rng().normal(size=(40, 10, 3))
    for i in range(1, 40):
        x[i, slice(i % 9 + 1, None) if side == "post" else slice(0, i % 9)] = 0
    (line,) = data_warnings(Sequences.from_array(x))
    end = "end" if side == "post" else "begin"
    assert f"of 40 sequences {end} with steps of zeros" in line
    assert f"padding_value=0{', padding_side=' * (side == 'pre')}" in line
    assert data_warnings(Sequences.from_array(x, padding_value=0, padding_side=side)) == []


def test_padded_categories_and_zeros_in_the_middle():
    labels = np.where(np.arange(8) < 2 + np.arange(20)[:, None] % 7, 3, 0)
    (line,) = data_warnings(Sequences.from_array(labels, column_types="categorical"))
    assert "end with steps of zeros" in line
    assert data_warnings(Sequences.from_array(labels + 1, column_types="categorical")) == []
    assert data_warnings(Sequences.from_array(rng().poisson(0.7, size=(50, 20)))) == []
    x, lengths = padded_moving_ones(200)
    assert data_warnings(Sequences.from_array(x, lengths)) == []


def test_ids_and_times_in_a_list_of_tables():
    tables = [
        pd.DataFrame({"id": np.full(9, i), "t": np.arange(9), "x": rng().permutation(9) * 1.0})
        for i in range(24)
    ]
    with pytest.warns(UserWarning, match="are features") as warned:
        fit_without_training(tables)
    assert [str(warning.message) for warning in warned] == [
        "All columns of the tables are features, also 'id', which looks like ids, and 't', which "
        "looks like times. Drop them, or pass one table of all steps to Sequences.from_table."
    ]
