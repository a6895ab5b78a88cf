"""Runs in this process: units, parts, the manifest, failures and bad input. test_ray.py has Ray."""

import contextlib
import json
import os
import subprocess
import sys
import warnings
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import refold
from cluster_data import check_codes, make_long_table, make_table, read_codes, read_parts
from refold.cli import main
from refold.cluster import _run
from refold.errors import (
    DataError,
    FileAccessError,
    FileFormatError,
    MissingFileError,
    ParameterError,
    RefoldError,
    SchemaError,
)
from small_data import draw_ragged_sequences, fit_without_training

fsspec = pytest.importorskip("fsspec")  # comes with Ray
local = pytest.importorskip("fsspec.implementations.local")
INFINITE = np.full((2, 2), np.inf)


def call_in_process(function, arguments, *_, **__):
    """Call a function in this process instead of on a cluster."""
    for call in arguments:
        result = function(*call)
        if isinstance(result, RefoldError):
            raise result
        yield result


@pytest.fixture(autouse=True)
def without_cluster(monkeypatch):
    monkeypatch.setattr(_run, "run_tasks_on_cluster", call_in_process)
    monkeypatch.setattr(_run, "connect", lambda *_, **__: contextlib.nullcontext())


def run(name, model, source, output, *, part_steps=40, **options):
    """Run an operation in this process, and return the summary."""
    function = getattr(refold.cluster, name)
    options = {"num_workers": 1, "verbose": 0, "part_steps": part_steps} | options
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return function(model, source, output, **options)


@pytest.fixture
def codes(tmp_path):
    return tmp_path / "codes"


@pytest.fixture
def encode(model, tmp_path, codes):
    """Return a function that encodes a table, or the files at a path, into the folder of codes."""

    def encode(source, rows=20, **options):
        if isinstance(source, pa.Table):
            pq.write_table(source, tmp_path / "x.parquet", row_group_size=rows)
            source = tmp_path / "x.parquet"
        output = options.pop("output", codes)
        return run("encode", options.pop("model", model), source, output, **options)

    return encode


# What is written


def test_codes_are_those_of_one_machine(encode, model, folder, sequences, codes):
    summary = encode(folder)
    check_codes(codes, [f"s{i}" for i in range(120)], model.encode(sequences))
    refold.sequences.codes_from_arrow(read_parts(codes), model=model)  # no warning
    assert (summary.num_sequences, summary.num_failed) == (120, 0)
    assert summary.num_steps == sum(map(len, sequences))
    first_bytes = {part: part.read_bytes() for part in codes.glob("part-*")}
    assert summary.num_parts == len(first_bytes) > 6
    lost, cut_short = sorted(first_bytes)[1:3]
    lost.unlink()
    cut_short.write_bytes(first_bytes[cut_short][:100])
    second_run = encode(folder)
    assert (second_run.num_sequences, second_run.num_there) == (120, summary.num_parts - 2)
    assert {part: part.read_bytes() for part in codes.glob("part-*")} == first_bytes
    assert encode(folder).num_steps == 0


def test_ids_without_a_column_are_rows_of_all_files(encode, sequences, tmp_path, codes):
    table = make_table(sequences).drop_columns(["id"])
    for name, rows in (("0", table.slice(0, 60)), ("1", table.slice(0, 0)), ("2", table.slice(60))):
        pq.write_table(rows, tmp_path / f"{name}.parquet", row_group_size=20)
    encode(str(tmp_path / "?.parquet"), dtype="float16")
    assert read_codes(codes)[0] == list(range(120))
    assert read_parts(codes).schema.field("code").type.value_type == pa.float16()


@given(
    lengths=st.lists(st.integers(0, 6), min_size=1, max_size=25),
    rows=st.integers(1, 30),
    part_steps=st.integers(1, 40),
    block_steps=st.integers(1, 12),
    cut=st.none() | st.integers(0, 60),
)
@settings(max_examples=15, deadline=None)
def test_parts_hold_each_sequence_once(
    model, tmp_path_factory, lengths, rows, part_steps, block_steps, cut
):
    folder, is_long = tmp_path_factory.mktemp("units"), cut is not None
    sequences = [np.full((n + is_long, 2), i, float) for i, n in enumerate(lengths)]
    table = (make_long_table if is_long else make_table)(sequences)
    # a sequence of a long table may go on in the next row group or file
    pq.write_table(table.slice(0, cut), folder / "0.parquet", row_group_size=rows)
    pq.write_table(table.slice(len(table) if cut is None else cut), folder / "1.parquet")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_run, "MAX_BLOCK_VALUES", 2 * block_steps)
        patch.setattr(_run, "MIN_BLOCK_STEPS", 1)
        run("encode", model, folder, folder / "codes", part_steps=part_steps)
    ids = [i if is_long else f"s{i}" for i in range(len(lengths))]
    check_codes(folder / "codes", ids, model.encode(sequences))


def test_row_groups_are_joined_or_cut(model, tmp_path):
    table = make_table([np.ones((2, 2))] * 400)
    # a row group is decoded from its start, so it is cut into eight at most
    for rows, num_parts in ((1000, 8), (10, 20)):
        path, output = tmp_path / f"{rows}.parquet", tmp_path / f"codes{rows}"
        pq.write_table(table, path, row_group_size=rows)
        assert run("encode", model, path, output, part_steps=40).num_parts == num_parts


def test_reconstructions_are_those_of_one_machine(
    model, model_file, folder, sequences, tmp_path, capsys
):
    files = [str(model_file), str(folder), "-o", str(tmp_path / "back")]
    assert main(["reconstruct", *files, "--clip", "--on", "auto"]) == 0
    assert "Reconstructed 120 sequences in 3 parts" in capsys.readouterr().err
    reconstructed = refold.sequences.read(tmp_path / "back")
    assert reconstructed.ids.tolist() == [f"s{i}" for i in range(120)]
    assert all(map(np.array_equal, reconstructed, model.reconstruct(sequences, clip=True)))


def test_detections_are_those_of_one_machine(model, sequences, tmp_path):
    sequences = [sequence + 40 * (i == 3) for i, sequence in enumerate(sequences)]
    # a p-value of exactly alpha is an anomaly
    alpha = float(np.sort(model.detect(sequences, alpha=0.2).p_values)[20])
    expected = model.detect(sequences, alpha=alpha)
    pq.write_table(make_table(sequences), tmp_path / "x.parquet", row_group_size=30)
    summary = run("detect", model, tmp_path / "x.parquet", tmp_path / "found", alpha=alpha)
    result = read_parts(tmp_path / "found")
    names = ["score", "error", "distance", "p_value", "anomalous", "step", "column"]
    assert result.select(names).equals(expected.to_table().select(names))
    assert summary.num_anomalous == expected.anomalous.sum()
    assert f"; {summary.num_anomalous} are anomalous" in str(summary)
    second_run = run("detect", model, tmp_path / "x.parquet", tmp_path / "found", alpha=alpha)
    assert second_run.num_anomalous == summary.num_anomalous
    assert second_run.num_there == summary.num_parts


def test_a_worker_needs_neither_keras_nor_jax(model_file, folder, tmp_path):
    code = f"""
import contextlib, sys
import refold
from refold.cluster import _run
_run.run_tasks_on_cluster = lambda function, calls, *_, **__: [function(*call) for call in calls]
_run.connect = lambda *_, **__: contextlib.nullcontext()
given = {str(model_file)!r}, {str(folder)!r}, {str(tmp_path / "codes")!r}
print(refold.cluster.encode(*given, num_workers=1, verbose=0).num_sequences)
print({{"jax", "keras", "scipy", "sklearn"}} & {{*sys.modules}})
"""
    finished = subprocess.check_output([sys.executable, "-c", code], text=True)
    assert finished.split() == ["120", "set()"]


# Sequences that fail


def test_what_cannot_be_encoded_is_listed_and_the_rest_is_written(encode, model, sequences, codes):
    faulty = [INFINITE if i in (5, 50) else sequence for i, sequence in enumerate(sequences)]
    table = make_table(faulty)
    x = table["x1"].to_pylist()
    x[70] = [1.0] * 9  # another length than x0
    table = table.set_column(2, "x1", pa.array(x))
    summary = encode(table)
    assert [failure.row for failure in summary.failures] == [5, 50, 70]
    assert summary.num_failed == 3
    assert "infinite value" in summary.failures[0].reason
    lines = (codes / "_failures.jsonl").read_text().splitlines()
    assert [json.loads(line)["row"] for line in lines] == [5, 50, 70]
    valid_rows = np.delete(np.arange(120), [5, 50, 70])
    expected = model.encode([sequences[i] for i in valid_rows])
    check_codes(codes, [f"s{i}" for i in valid_rows], expected)
    assert encode(codes.parent / "x.parquet").num_failed == 3
    # a part of failures alone has the columns of the others
    table, output = make_table([INFINITE, np.ones((2, 2))]), codes.parent / "two"
    assert encode(table, 1, part_steps=1, output=output).num_failed == 1
    assert read_codes(output)[0] == ["s1"]


def test_wrong_columns_end_the_run(encode):
    table = pa.table({"x0": [["a"], ["b"]], "x1": [["a"], ["b"]]})
    with pytest.raises(SchemaError, match=r"x\.parquet: Column 'x0' holds text categories, but"):
        encode(table)


def test_missing_values_are_warned_of_once(model, tmp_path):
    table = make_table([np.full((3, 2), np.nan)] * 4)
    pq.write_table(table, tmp_path / "x.parquet", row_group_size=1)
    paths = tmp_path / "x.parquet", tmp_path / "codes"
    with pytest.warns(UserWarning, match="missing") as caught_warnings:
        refold.cluster.encode(model, *paths, part_steps=1, verbose=0)
    assert len(caught_warnings) == 1


# Output folders


def test_a_folder_of_other_files_or_of_another_run_is_refused(
    encode, model, sequences, tmp_path, codes
):
    table = make_table(sequences[:9])
    encode(table)
    for changes, message in (
        ({"dtype": "float16"}, "a run with dtype='float32', not 'float16'"),
        ({"model": fit_without_training(draw_ragged_sequences(30))}, "a run with another model"),
    ):
        with pytest.raises(ParameterError, match=f"holds parts of {message}"):
            encode(tmp_path / "x.parquet", **changes)
    with pytest.raises(ParameterError, match="a run with operation='encode', not 'detect'"):
        run("detect", model, tmp_path / "x.parquet", codes, alpha=0.1)
    pq.write_table(table, tmp_path / "y.parquet")
    with pytest.raises(ParameterError, match=r"other source files, not .*y\.parquet\. Name a new"):
        encode(tmp_path / "y.parquet")
    with pytest.raises(ParameterError, match=r"holds 'codes', and has no manifest"):
        encode(tmp_path / "y.parquet", output=tmp_path)
    with pytest.raises(ParameterError, match=r"x\.parquet is a file"):
        encode(tmp_path / "y.parquet", output=tmp_path / "x.parquet")


# Sources


def test_a_source_that_changes_ends_the_run(encode, sequences, tmp_path, codes, monkeypatch):
    def call_and_change(function, arguments, *_, **__):
        for i, result in enumerate(call_in_process(function, arguments)):
            yield result
            if i == 1:
                os.utime(tmp_path / "x.parquet", (1, 1))

    monkeypatch.setattr(_run, "run_tasks_on_cluster", call_and_change)
    with pytest.raises(FileAccessError, match=r"x\.parquet has changed since the run began"):
        encode(make_table(sequences))
    assert len([*codes.glob("part-*")]) == 2


def test_the_rows_of_an_id_must_be_together(encode, tmp_path):
    table = make_long_table([np.ones((3, 2))] * 4)
    (tmp_path / "data").mkdir()
    pq.write_table(table.slice(3), tmp_path / "data/0.parquet", row_group_size=2)
    last_rows = pa.concat_tables([table.slice(11), table.slice(5, 1)])
    pq.write_table(last_rows, tmp_path / "data/1.parquet")
    message = r"The rows of id '1' are not together: they begin again in row 1 of .*1\.parquet\."
    with pytest.raises(DataError, match=message):
        encode(tmp_path / "data", part_steps=4)


def test_options_of_the_fit_are_remembered_and_those_of_a_call_are_taken(tmp_path):
    gaps = {"who": [7, 7, 7, 8], "at": [0.0, 1.0, 5.0, 2.0], "x": [1.0, 2.0, 3.0, 4.0]}
    gap_options = {"id": "who", "time": "at", "columns": ["x"], "time_gaps": True}
    days = ["1.05.2024", "2.05.2024", "2.05.2024", "10.05.2024"] * 9
    repeated = {"who": np.repeat(range(9), 4), "at": days, "x": np.arange(36.0) % 7}
    repeated_options = {"id": "who", "time": "at", "time_format": "%d.%m.%Y", "duplicates": "last"}
    for rows, options, ids in (
        (gaps, gap_options, [7, 8]),
        (repeated, repeated_options, [*range(9)]),
    ):
        path, output = tmp_path / f"{len(ids)}.parquet", tmp_path / f"codes{len(ids)}"
        pq.write_table(pa.table(rows), path)
        expected = refold.sequences.read(path, **options)
        fitted = fit_without_training(expected)
        run("encode", fitted, path, output)
        assert read_parts(output)["who"].to_pylist() == ids
        assert np.array_equal(read_codes(output)[1], fitted.transform(expected))
        second_run = run("encode", fitted, path, output, **options)
        assert second_run.num_there == second_run.num_parts
    bare = fit_without_training(list(expected))  # the training data had no names
    run("encode", bare, path, tmp_path / "bare", **options)
    assert np.array_equal(read_codes(tmp_path / "bare")[1], bare.transform(expected))
    refused = run("encode", fitted, path, tmp_path / "y", duplicates="error")
    assert refused.num_failed == 9
    assert "1 row repeats a time of the same id" in refused.failures[0].reason
    with pytest.raises(ParameterError, match="duplicates must be"):
        run("encode", fitted, path, tmp_path / "z", duplicates="all")


@pytest.mark.parametrize("to_table", [make_table, make_long_table])
def test_results_of_windows_are_those_of_one_machine(tmp_path, to_table):
    rng = np.random.default_rng(0)
    series = [rng.normal(size=(steps, 2)) for steps in (30, 3, 41, 8)] * 3
    ae = fit_without_training(series, window=10, step=4, calibration_fraction=0.4)
    model, path = ae.model_, tmp_path / "x.parquet"
    pq.write_table(to_table(series), path, row_group_size=4)
    sequences = refold.sequences.read(path)
    windows, result = model.windows(sequences), model.detect(sequences, 0.1)
    summary = run("encode", model, path, tmp_path / "codes")
    assert read_parts(tmp_path / "codes").equals(
        refold.sequences.codes_to_arrow(model.encode(sequences), windows, model=model)
    )
    assert summary.num_parts > 3
    assert f"Encoded {len(windows.starts)} windows in" in str(summary)
    summary = run("detect", model, path, tmp_path / "found", alpha=0.1)
    expected = result.to_table().drop_columns(["adjusted_p_value"])
    assert read_parts(tmp_path / "found").equals(expected)
    run("reconstruct", model, path, tmp_path / "back")
    reconstructed = refold.sequences.read(tmp_path / "back").to_list()
    assert all(map(np.array_equal, reconstructed, model.reconstruct(series)))
    pq.write_table(make_long_table(series).drop_columns(["id"]), path)
    with pytest.raises(SchemaError, match="no column of ids, so all rows are one series"):
        run("encode", model, path, tmp_path / "others")


def test_globs_and_folders(encode, tmp_path):
    (tmp_path / "data/c/e").mkdir(parents=True)
    (tmp_path / "data/_hidden").mkdir()
    for i, name in enumerate(("b.parquet", "c/d.parquet", "c/e/xz.pq", "_hidden/x.parquet")):
        pq.write_table(make_table([np.ones((1, 2))], i), tmp_path / "data" / name)
    for pattern, ids in (("", [0, 1, 2]), ("**/*.parquet", [3, 0, 1]), ("c/*/[!y]?.pq", [2])):
        output = tmp_path / f"codes{len(ids)}{ids[0]}"
        encode(f"{tmp_path}/data/{pattern}", output=output)
        assert read_codes(output)[0] == [f"s{i}" for i in ids]


class FlakyFileSystem(local.LocalFileSystem):
    """Fails at the first attempts to open a file."""

    protocol = "flaky"
    cachable = False
    num_failures_left = 0

    def _open(self, path, *args, **kwargs):
        if FlakyFileSystem.num_failures_left:
            FlakyFileSystem.num_failures_left -= 1
            raise ConnectionResetError("the connection was reset")
        return super()._open(path, *args, **kwargs)


def test_a_store_is_tried_again_and_then_named(model, sequences, tmp_path, monkeypatch):
    fsspec.register_implementation("flaky", FlakyFileSystem, clobber=True)
    monkeypatch.setattr(_run, "RETRY_WAIT_SECONDS", (0.0, 0.0))
    pq.write_table(make_table(sequences[:5]), tmp_path / "x.parquet")
    monkeypatch.setattr(FlakyFileSystem, "num_failures_left", 2)
    run("encode", model, f"flaky://{tmp_path}/x.parquet", f"flaky://{tmp_path}/codes")
    assert read_codes(tmp_path / "codes")[0] == [f"s{i}" for i in range(5)]
    monkeypatch.setattr(FlakyFileSystem, "num_failures_left", 10**6)
    message = r"flaky://.*x\.parquet, .* after 3 attempts: the connection was reset"
    with pytest.raises(FileAccessError, match=message):
        run("encode", model, f"flaky://{tmp_path}/x.parquet", tmp_path / "others")


def test_an_object_store(model, sequences, tmp_path):
    """Files of a bucket appear when they are closed, so they are not renamed."""
    bucket = fsspec.filesystem("memory")
    pq.write_table(make_table(sequences[:30]), tmp_path / "x.parquet", row_group_size=10)
    bucket.pipe("/bucket/data/x.parquet", (tmp_path / "x.parquet").read_bytes())
    for _ in range(2):
        summary = run("encode", model, "memory://bucket/data", "memory://bucket/codes")
    assert summary.num_there == summary.num_parts
    bucket.get("/bucket/codes", str(tmp_path), recursive=True)
    check_codes(tmp_path / "codes", [f"s{i}" for i in range(30)], model.encode(sequences[:30]))


@pytest.mark.parametrize(
    ("source", "error", "message"),
    [
        ("nowhere.parquet", MissingFileError, r"There is no file or folder .*nowhere\.parquet"),
        ("folder", FileFormatError, "folder has no file whose name ends in"),
        ("x.csv", FileFormatError, r"x\.csv has no file whose name ends in"),
        ("broken.parquet", FileFormatError, r"broken\.parquet cannot be read: .* Write it again"),
        ("empty.parquet", FileFormatError, r"has columns \(id, x0, x1\), but no rows"),
        ("gopher://x.parquet", ParameterError, "The URL 'gopher://x.parquet' cannot be opened"),
        (5, ParameterError, "Expected a path, URL or glob of Parquet files for source"),
    ],
)
def test_bad_sources(encode, tmp_path, monkeypatch, source, error, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    for name in ("x.csv", "broken.parquet", "folder/_hidden.parquet"):
        (tmp_path / name).write_bytes(b"no Parquet file")
    pq.write_table(make_table([]), "empty.parquet")
    with pytest.raises(error, match=message):
        encode(source)


def test_files_must_agree(encode, sequences, tmp_path):
    (tmp_path / "data").mkdir()
    pq.write_table(make_table(sequences[:3]), tmp_path / "data/0.parquet")
    numbered = make_table(sequences[3:6]).set_column(0, "id", pa.array([1, 2, 3]))
    pq.write_table(numbered, tmp_path / "data/1.parquet")
    with pytest.raises(SchemaError, match=r"and integers as ids, but .*, and text\."):
        encode(tmp_path / "data")
    pq.write_table(make_long_table(sequences[3:6]), tmp_path / "data/1.parquet")
    with pytest.raises(SchemaError, match=r"1\.parquet has one row per step, .* per sequence"):
        encode(tmp_path / "data")


# Models and arguments


def test_other_arguments_are_checked(encode, model, folder, tmp_path):
    specification = replace(model.model_.network.specification, cell="gru")
    network = SimpleNamespace(specification=specification)  # building one takes ten seconds
    gru = replace(model.model_, network=network)
    for changes, message in (
        ({"model": gru}, r"This model runs with Keras \(.*cell='gru'\)"),
        ({"dtype": "int8"}, "dtype must be 'float32' or 'float16'"),
        ({"num_workers": 0}, "num_workers must be"),
    ):
        with pytest.raises(ParameterError, match=message):
            encode(folder, **changes)
    with pytest.raises(ParameterError, match=r"alpha=0\.001 needs at least"):
        run("detect", model, folder, tmp_path / "found", alpha=0.001)


def test_a_worker_with_another_version_says_so(encode, folder, monkeypatch):
    def call_elsewhere(function, arguments, *_, **__):
        monkeypatch.setattr(refold, "__version__", "0.0")
        yield from call_in_process(function, arguments)

    monkeypatch.setattr(_run, "run_tasks_on_cluster", call_elsewhere)
    with pytest.raises(ParameterError, match=r"A worker has Refold 0\.0, and this process has"):
        encode(folder)
