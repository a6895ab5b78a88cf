"""Warnings about data: numbers for missing values, outliers, single steps and padding."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import refold
from refold.datasets import load, names, question_array
from refold.sequences import Sequences, data_warnings, mapped_blocks, mark_missing, write
from small_data import mapped, untrained


def rng():
    return np.random.default_rng(0)


def suspects(values):
    """Return the numbers of a column that a warning is about."""
    lines = data_warnings(Sequences.from_list([np.asarray(values)]))
    return sorted(float(line.partition(" occurs ")[0]) for line in lines)


TEMPERATURES = rng().normal(20, 5, 1000)
HARMLESS = {
    "log-normal": rng().lognormal(0, 2, 5000),
    "Pareto": rng().pareto(1.5, 5000),
    "Student's t": rng().standard_t(2, 5000),
    "exponential counts": np.floor(rng().lognormal(0, 3, 5000)),
    "sparse": np.where(rng().random(5000) < 0.01, rng().lognormal(3, 2, 5000), 0),
    "rare spikes": np.where(rng().random(5000) < 0.001, 40.0, rng().normal(0, 1, 5000)),
    "on and off": np.where(rng().random(5000) < 0.3, 2000, rng().normal(2, 1, 5000)),
    "constant with few exceptions": np.where(np.arange(5000) % 500, 7.0, 300.0),
    "zero with few exceptions": np.where(np.arange(5000) % 500, 0.0, 999.0 + np.arange(5000)),
    "few values": [0.0, 1.0, 999.0],
    "times": 1.6e9 + 60.0 * np.arange(5000),
}


@pytest.mark.parametrize("name", HARMLESS)
def test_ordinary_columns_cause_no_warning(name):
    assert suspects(HARMLESS[name]) == []


@pytest.mark.parametrize(
    "codes",
    [[-99999], [-9999] * 30, [-9999, 9999], [999], [999.9] * 3, [1e20], [-32768], [-9999] * 3000],
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_numbers_written_for_missing_values(codes, dtype):
    values = np.concatenate([TEMPERATURES, codes]).astype(dtype)
    assert suspects(values) == sorted(set(codes))


def test_a_repeated_negative_number_among_positive_numbers():
    assert suspects(np.concatenate([np.abs(TEMPERATURES), [-200.0] * 5])) == [-200.0]
    assert suspects(np.concatenate([np.abs(TEMPERATURES), [-200.5]])) == []


def test_values_that_dominate_the_variance():
    assert suspects(np.append(TEMPERATURES, 123456.0)) == [123456.0]
    assert suspects(np.append(TEMPERATURES, [-99999.0, -100000.0])) == [-100000.0, -99999.0]
    assert suspects(np.append(TEMPERATURES[:50], 123456.0)) == []
    assert suspects(np.append(TEMPERATURES, 123.0)) == []
    assert suspects([5.0] * 100 + [-9999.0] * 3) == [-9999.0]


@pytest.mark.parametrize("count", [1, 30, 900])
@pytest.mark.parametrize("name", ["normal", "log-normal", "many zeros"])
def test_the_number_of_outliers_does_not_matter(name, count):
    values = rng().normal(size=2000)
    if name != "normal":
        values = np.exp(values)
    if name == "many zeros":
        values[values < 2] = 0.0
    assert data_warnings(Sequences.from_list(values.reshape(-1, 20))) == []
    values[rng().choice(2000, count, replace=False)] = 1e9
    (line,) = data_warnings(Sequences.from_list(values.reshape(-1, 20)))
    assert line.startswith(f"1000000000 occurs {f'{count} times' if count > 1 else 'once'} in")


def test_pieces_give_the_same_result_as_all_values():
    values = np.concatenate([TEMPERATURES, [np.nan], [-99999.0] * 7])
    pieces = Sequences.from_list(np.array_split(rng().permutation(values), 13))
    whole = data_warnings(pieces)
    pieces.block_bytes = 4
    assert len(pieces.block_offsets) == 14
    assert data_warnings(pieces) == whole
    assert whole[0].startswith("-99999 occurs 7 times")


def test_the_line_names_column_value_count_position_and_fix():
    sequences = Sequences.from_list(
        [rng().normal(size=(20, 2)) for _ in range(5)], names=["heat", "rain"]
    )
    sequences.values[[47, 93], 1] = -99999
    (line,) = data_warnings(sequences)
    assert line.startswith("-99999 occurs 2 times in column 'rain' (first in sequence 2, step 7)")
    assert line.endswith("pass missing_values=[-99999].")
    sequences.values[5, 0] = -99999
    (line,) = data_warnings(sequences)
    assert "occurs 3 times in columns 'heat', 'rain' (first in sequence 0, step 5, column" in line
    sequences.values[6, 0] = 1e20
    lines = data_warnings(sequences)
    assert len(lines) == 2
    assert all("missing_values=[-99999, 1e+20]" in line for line in lines)


@pytest.mark.parametrize("layout", ["list", "long"])
def test_mapped_files_give_the_same_result_as_memory(tmp_path, layout):
    sequences = Sequences.from_list([rng().normal(size=(9, 2)) for _ in range(40)])
    sequences.values[[47, 203], 1] = -99999
    write(sequences, tmp_path / "a.parquet", layout=layout)
    data = mapped(tmp_path / "a.parquet", block_bytes=300)
    assert data_warnings(data) == data_warnings(sequences)
    whole = mark_missing(sequences, -99999)
    marked = mapped_blocks(data, lambda block: mark_missing(block, -99999))
    assert marked.is_mapped
    assert data_warnings(marked) == data_warnings(whole) == []
    assert marked.schema == whole.schema
    np.testing.assert_array_equal(marked[[5, 22]].values, whole[[5, 22]].values)
    np.testing.assert_array_equal(marked.summary.num_observed, [360, 358])
    np.testing.assert_allclose(marked.summary.scale, np.nanstd(whole.values, axis=0))


def test_the_shipped_data_causes_no_warning():
    for name in set(names()) - {"question"}:
        assert data_warnings(load(name)) == []


@pytest.mark.parametrize("x", [np.ones((30, 1)), [[0.5], [0.7]], [[0.5], []], ["a", "b"]])
def test_sequences_of_one_step(x):
    (line,) = data_warnings(refold.sequences.as_sequences(x))
    assert "sequences have at most one step" in line
    assert "pass [x], or windows of it, refold.sequences.windows([x], 100)" in line


@pytest.mark.parametrize("side", ["post", "pre"])
def test_padding_of_zeros(side, tmp_path):
    x = rng().normal(size=(40, 10, 3))
    for i in range(1, 40):
        steps = slice(i % 9 + 1, None) if side == "post" else slice(0, i % 9)
        x[i, steps] = 0
    (line,) = data_warnings(Sequences.from_array(x))
    end, how = {
        "post": ("end with", "Sequences.from_padded(x)."),
        "pre": ("begin with", "Sequences.from_padded(x, padding='pre')."),
    }[side]
    assert f"of 40 sequences {end} steps of zeros" in line
    assert line.endswith(how)
    write(Sequences.from_array(x), tmp_path / "a.parquet")
    assert data_warnings(mapped(tmp_path / "a.parquet")) == [line]
    assert data_warnings(Sequences.from_padded(x, padding=side)) == []


def test_padded_categories_and_zeros_in_the_middle():
    labels = np.where(np.arange(8) < 2 + np.arange(20)[:, None] % 7, 3, 0)
    (line,) = data_warnings(Sequences.from_array(labels, column_types="categorical"))
    assert "end with steps of zeros" in line
    assert data_warnings(Sequences.from_array(labels + 1, column_types="categorical")) == []
    assert data_warnings(Sequences.from_array(rng().poisson(0.7, size=(50, 20)))) == []
    x, lengths = question_array(200)
    assert "end with steps of zeros" in data_warnings(Sequences.from_array(x))[0]
    assert data_warnings(Sequences.from_array(x, lengths)) == []


@pytest.mark.parametrize("of", [pd.DataFrame, pa.table])
def test_ids_and_times_in_a_list_of_tables(of):
    tables = [
        of({"id": np.full(9, i), "t": np.arange(9), "x": rng().permutation(9) * 1.0})
        for i in range(24)
    ]
    with pytest.warns(UserWarning, match="are features") as warned:
        untrained(tables)
    assert [str(one.message) for one in warned] == [
        "All columns of the tables are features, also 'id', which looks like ids, and 't', which "
        "looks like times. Drop them, or pass one table of all steps to Sequences.from_table."
    ]
    named = [finding.name for finding in refold.diagnosis.data_findings(tables)]
    assert {"id-like", "time-like"} <= set(named)
    untrained([table[["x"]] if of is pd.DataFrame else table.select(["x"]) for table in tables])
