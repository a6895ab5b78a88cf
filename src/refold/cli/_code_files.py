"""Code files: one row per sequence, or per window, as Parquet, CSV, JSON lines or NumPy arrays.

- Parquet has a column ``id``, and a column ``code`` of fixed-size lists. Its metadata hold the hash
  of the model, the number of calibration sequences of the model, and the version of Refold.
- CSV has a column ``id``, and a column for each latent dimension: ``code0``, ``code1`` and so on.
- A JSON line is ``{"id": 3, "code": [0.1, -2.5]}``.
- An .npy file is an array without ids.
- An .npz file with the arrays ``code``, ``id`` and ``model`` can be read but not written.

The column of ids may have another name, as in the data. If a model cuts series into windows, a
row has the id of the series, and the steps of its window in the columns ``start`` and ``end``. If
the data have times, a row also has ``start_time`` and ``time_gap``, and a window ``end_time``.
"""

import csv
import json
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

import refold
from refold._support.messages import warn
from refold.cli._outputs import CODE_FORMATS, OutputTarget, find_format_name_or_none, write_tables
from refold.errors import FileFormatError, RefoldError
from refold.sequences import (
    MODEL_HASH_KEY,
    Windows,
    check_model_hash,
    codes_from_arrow,
    codes_to_arrow,
    compute_median_gaps,
    integers_from_text_if_exact,
    make_window_ids,
    parse_jsonl_entries,
    parse_times,
    stored_model_hash,
    times_from_gaps,
    vectors_to_arrow,
)

# Key of the version of Refold that wrote a Parquet file, in the metadata of the file.
_VERSION_METADATA_KEY = "refold.version"
# Key of the number of calibration sequences of the model, in the metadata of Parquet files.
_NUM_CALIBRATED_METADATA_KEY = "refold.calibration_sequences"
# Columns with the index of the first step of a window, and of the step after its last step.
_WINDOW_START_END_COLUMNS = ("start", "end")
# Columns with the time of the first step of a sequence or window, and the median time between its
# steps. This gap is in seconds, or in the unit of the times if they are numbers.
_START_TIME_AND_GAP_COLUMNS = ("start_time", "time_gap")
# All columns that say where a code lies in a series. A column of ids cannot have such a name.
SPAN_COLUMNS = (*_WINDOW_START_END_COLUMNS, *_START_TIME_AND_GAP_COLUMNS, "end_time")
# Formats of code files that can hold float16.
FLOAT16_FORMATS = ("parquet", "npy")
# Exceptions of libraries for a damaged file, or for values that are not numbers.
_READ_ERRORS = (
    *(ValueError, TypeError, AttributeError, LookupError, ArithmeticError, EOFError),
    *(pa.ArrowException, zipfile.BadZipFile, zlib.error),
)


def read_code_file(
    path: Path,
    expected_id_column: str | None = None,
    model: "refold.Model | None" = None,
    format: str | None = None,  # noqa: A002
) -> tuple[np.ndarray, np.ndarray, Callable[[np.ndarray], pa.Array] | None]:
    """Read codes (num_codes, code_size), ids (num_codes,), and a function for times, or None.

    The function takes the lengths (num_codes,) of the decoded sequences, and returns the times of
    all their steps, one sequence after the other. It is None if the file has no times.
    """
    file_name, format_name = str(path), format or find_format_name_or_none(path.name)
    if format_name not in (*CODE_FORMATS, "npz"):
        raise FileFormatError(
            f"A code file must end in .parquet, .csv, .jsonl, .npy or .npz. Got {file_name!r}."
        )
    with _convert_to_code_file_error(file_name, format_name):
        table = _read_code_file_as_table(path, format_name)
        id_column = _guess_id_column_name(table.column_names, expected_id_column)
        if {id_column, *_WINDOW_START_END_COLUMNS} <= {*table.column_names}:
            # a window gets an id such as a[0:100]; the only window of a series gets the series' id
            columns = (table[name].to_pylist() for name in (id_column, *_WINDOW_START_END_COLUMNS))
            series_ids, starts, ends = columns
            num_windows_by_series = Counter(series_ids)
            is_only_window = [num_windows_by_series[series_id] == 1 for series_id in series_ids]
            ids = make_window_ids(series_ids, starts, ends, is_only_window)
            # a column has one type, so all ids become text if any is text such as 7[0:100]
            ids = pa.array(ids if all(is_only_window) else [*map(str, ids)])
            table = table.set_column(table.column_names.index(id_column), id_column, ids)
        codes, ids = codes_from_arrow(table, id_column)
        get_times = None
        if {*_START_TIME_AND_GAP_COLUMNS} <= {*table.column_names}:
            times, gaps = (table[name].combine_chunks() for name in _START_TIME_AND_GAP_COLUMNS)
            start_times = parse_times(times, _START_TIME_AND_GAP_COLUMNS[0])
            gaps = np.asarray(gaps.cast(pa.float64()))
            get_times = partial(times_from_gaps, start_times, gaps)
    if model is not None:
        # raises an error for codes of another model, and returns a warning if no hash is stored
        warning = check_model_hash(stored_model_hash(table), model, "This file")
        if warning is not None:
            warn(warning)
    return codes, ids, get_times


def read_code_file_properties(path: Path) -> dict[str, Any]:
    """Return the metadata of a Parquet file of codes, without reading the codes."""
    # opened by Python, because errors of PyArrow about missing files do not name the file
    with _convert_to_code_file_error(str(path), "parquet"), path.open("rb") as stream:
        file_metadata = pq.read_metadata(stream)
        schema = file_metadata.schema.to_arrow_schema()
        code_type = schema.field("code").type
        metadata = {key.decode(): text.decode() for key, text in (schema.metadata or {}).items()}
        calibration_text = metadata.get(_NUM_CALIBRATED_METADATA_KEY)
        return {
            "codes": file_metadata.num_rows,
            "code_size": code_type.list_size if pa.types.is_fixed_size_list(code_type) else None,
            "id": _guess_id_column_name(schema.names, None),
            "model_hash": metadata.get(MODEL_HASH_KEY),
            "refold_version": metadata.get(_VERSION_METADATA_KEY),
            "calibration_sequences": None if calibration_text is None else int(calibration_text),
        }


@contextmanager
def _convert_to_code_file_error(file_name: str, format_name: str) -> Iterator[None]:
    """Turn errors about the content of a file into a FileFormatError that names the file."""
    try:
        yield
    except _READ_ERRORS as error:
        if isinstance(error, RefoldError):  # many errors of Refold are a ValueError, too
            # `marked` keeps the marks of arguments, so that `id=` in the new error below can become
            # --id on the command line
            problem = error.message.marked
        else:
            # a file that ends too early causes an error without a text
            reason = str(error).strip().partition("\n")[0].rstrip(".") or "it is cut short"
            problem = f"It is not a .{format_name} file of codes ({reason})."
        problem = problem if file_name in problem else f"{file_name!r}: {problem}"
        raise FileFormatError(f"{problem} Pass a file that `refold encode` wrote.") from error


def _read_code_file_as_table(path: Path, format_name: str) -> pa.Table:
    """Read a file as a table with a column `code` of vectors, and the file's other columns."""
    if format_name == "jsonl":
        # row_name takes the index of a record and returns its place in the file, such as "line 2"
        records, row_name = parse_jsonl_entries(path.read_bytes(), repr(str(path)))
        for row, record in enumerate(records):
            code = record.get("code") if isinstance(record, dict) else None
            if not isinstance(code, list) or not all(isinstance(x, int | float) for x in code):
                raise FileFormatError(
                    f"{str(path)!r}, {row_name(row)}: expected an object such as "
                    f'{{"id": 3, "code": [0.1, -2.5]}}. Got {json.dumps(record)[:40]}.'
                )
        # the keys of all records, in the order of their first appearance
        keys = dict.fromkeys(key for record in records for key in record)
        return pa.table({key: [record.get(key) for record in records] for key in keys})
    with path.open("rb") as stream:
        if format_name == "parquet":
            return pq.read_table(stream)
        if format_name == "npy":
            return codes_to_arrow(np.load(stream))
        if format_name == "npz":
            arrays = dict(np.load(stream))
            model_metadata = {MODEL_HASH_KEY: str(arrays["model"])} if "model" in arrays else None
            table = codes_to_arrow(arrays.get("code"), arrays.get("id"))
            return table.replace_schema_metadata(model_metadata)
        return _read_code_csv(stream)


def _read_code_csv(byte_stream: IO[bytes]) -> pa.Table:
    """Read a CSV file as a table in which the columns code0, code1 and so on are one column."""
    header = byte_stream.readline().decode("utf-8-sig", "replace")
    names = next(csv.reader([header]), [])
    if not any(map(_is_code_column, names)) or len({*names}) < len(names):
        raise FileFormatError(
            f"The first line is {header.strip()[:40]!r}. Expected different names, separated by "
            "commas: id,code0,code1."
        )
    # Ids are read as text, because 007 and 7 are different ids. They become integers if all of them
    # are integers in their shortest form.
    numeric_names = {*filter(_is_code_column, names), *_START_TIME_AND_GAP_COLUMNS}
    text_types = {name: pa.string() for name in names if name not in numeric_names}
    byte_stream.seek(0)
    options = pyarrow.csv.ConvertOptions(column_types=text_types)
    table = pyarrow.csv.read_csv(byte_stream, convert_options=options)
    columns = {name: integers_from_text_if_exact(table.column(name)) for name in text_types}
    columns |= {name: table.column(name) for name in _START_TIME_AND_GAP_COLUMNS if name in names}
    # all other columns hold codes, in the order of the latent dimensions: code10 is after code9
    code_columns = sorted({*names} - {*columns}, key=lambda name: int(name.removeprefix("code")))
    values = [table.column(name).cast(pa.float32()).to_numpy() for name in code_columns]
    columns["code"] = vectors_to_arrow(np.column_stack(values))
    return pa.table(columns)


def _is_code_column(name: str) -> bool:
    """Return whether a column of a CSV file holds one dimension of codes, such as code12."""
    return name.startswith("code") and name.removeprefix("code").isdecimal()


def _guess_id_column_name(column_names: list[str], expected_name: str | None) -> str:
    """Return the expected name if a file has this column, and else the most likely id column."""
    other_names = [name for name in column_names if name not in ("code", *SPAN_COLUMNS)]
    if expected_name in other_names:
        return str(expected_name)  # the type checker needs `str`: the name is not None here
    # without a column `id`, a single other column holds the ids
    return other_names[0] if "id" not in other_names and len(other_names) == 1 else "id"


def make_span_table(windows: Windows, id_column: str, *, has_windows: bool) -> pa.Table | None:
    """Return a table with the id, window and times of each code; None if a code has only an id.

    If series are not cut, each of them is one window, and ``has_windows`` is False.
    """
    sequences = windows.sequences  # one sequence for each window
    if sequences.times is None:
        return windows.to_table(id_column) if has_windows else None
    # the table has ids, windows, and the times of the first and last step; the gaps are added to it
    table = windows.to_table(id_column)
    # a code of a single step has no gap: NaN, which from_pandas stores as a missing value
    gaps = [compute_median_gaps(block.times, block.offsets) for block in sequences.blocks()]
    gap_column = pa.array(np.concatenate(gaps), from_pandas=True)
    table = table.append_column(_START_TIME_AND_GAP_COLUMNS[1], gap_column)
    return table if has_windows else table.select([id_column, *_START_TIME_AND_GAP_COLUMNS])


def write_codes(
    target: OutputTarget,
    code_blocks: Iterable[tuple[np.ndarray, np.ndarray]],
    id_column: str = "id",
    dtype: str = "float32",
    metadata_model: "refold.Model | None" = None,
    span_table: pa.Table | None = None,
) -> None:
    """Write blocks of codes (num_codes, code_size) with ids (num_codes,) as one file.

    The table from ``make_span_table``, if any, has a row for each code of all blocks. The file
    then has the columns of this table instead of the ids.
    """
    # an id column cannot have the name of a column of codes
    id_column = "id" if id_column == "code" or _is_code_column(id_column) else id_column
    code_tables = (codes_to_arrow(codes, ids, dtype, metadata_model) for codes, ids in code_blocks)
    with target.open_stream() as stream:
        if target.format_name == "npy":
            # an array needs all codes in memory, but the other formats are written block by block
            np.save(stream, _codes_to_array(pa.concat_tables(code_tables)))
            return
        tables = _format_code_tables(
            code_tables, target.format_name, id_column, metadata_model, span_table
        )
        # a dictionary makes repeated ids smaller, but the floats of codes larger
        parquet_options = {"use_dictionary": [id_column], "compression": "zstd"}
        write_tables(stream, target.format_name, tables, **parquet_options)


def _format_code_tables(
    code_tables: Iterable[pa.Table],
    format_name: str,
    id_column: str,
    metadata_model: "refold.Model | None",
    span_table: pa.Table | None,
) -> Iterator[pa.Table]:
    """Yield each table of ids and codes with the columns and the metadata of the file format."""
    num_written_rows = 0
    for table in code_tables:
        columns = {id_column: table["id"]}
        if span_table is not None:
            rows = span_table.slice(num_written_rows, len(table))
            columns = dict(zip(rows.column_names, rows.columns, strict=True))
        num_written_rows += len(table)
        metadata = None
        if format_name == "parquet":
            columns["code"] = table["code"]
            metadata = {**(table.schema.metadata or {}), _VERSION_METADATA_KEY: refold.__version__}
            if metadata_model is not None:
                metadata[_NUM_CALIBRATED_METADATA_KEY] = str(metadata_model.num_calibrated)
        elif format_name == "csv":
            codes = _codes_to_array(table)
            columns |= {f"code{i}": pa.array(codes[:, i]) for i in range(codes.shape[1])}
        else:  # JSON lines: the shortest decimals that are the same float32 when they are read
            columns["code"] = pa.array(list(_codes_to_array(table).astype(str).astype(float)))
        yield pa.table(columns).replace_schema_metadata(metadata)


def _codes_to_array(table: pa.Table) -> np.ndarray:
    """Return the codes of a table as an array (num_codes, code_size)."""
    codes = table["code"].combine_chunks()
    return codes.values.to_numpy(zero_copy_only=False).reshape(len(codes), codes.type.list_size)
