"""Code files: one row per sequence, as Parquet, CSV, JSON lines or NumPy arrays.

Parquet has a column `id` and a column `code` of fixed-size lists. CSV has `id` and one column per
latent dimension, `code0`, `code1` and so on. A JSON line is {"id": 3, "code": [0.1, -2.5]}. An .npy
file is an array without ids. The column of ids may have another name, that of the data. Codes of
windows have the id of the series and the columns `start` and `end`. Codes of data with times have
the columns `start_time` and `time_gap`, the usual gap in seconds or in the unit of the times; those
of windows have `end_time`, too. Parquet holds the hash of the model, its number of calibration
sequences, and the version of Refold, too. The arrays `code`, `id` and `model` of an .npz file are
only read.
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
from refold._support.output import warn
from refold.cli._outputs import CODE_FORMATS, Output, format_of, write_tables
from refold.errors import FileFormatError, ParameterError, RefoldError
from refold.sequences import (
    MODEL_KEY,
    Windows,
    check_code_dtype,
    check_model,
    codes_from_arrow,
    codes_to_arrow,
    integers_from_text,
    parse_jsonl,
    parse_times,
    stored_model,
    times_from,
    usual_gaps,
    vectors_to_arrow,
    window_ids,
)

# Metadata of Parquet files beside that of the model's hash.
_VERSION_KEY, _CALIBRATION_KEY = "refold.version", "refold.calibration_sequences"
# Columns with the first step of a window and the step after its last one, and those of times.
_PLACE = ("start", "end")
_TIMES = ("start_time", "time_gap")
PLACES = (*_PLACE, *_TIMES, "end_time")
# Formats that can hold float16.
_BINARY_FORMATS = ("parquet", "npy")
# What libraries raise for a damaged file, and for values that are no numbers.
_DAMAGES = (
    *(ValueError, TypeError, AttributeError, LookupError, ArithmeticError, EOFError),
    *(pa.ArrowException, zipfile.BadZipFile, zlib.error),
)


def read_codes(
    path: Path,
    id: str | None = None,  # noqa: A002
    model: "refold.Model | None" = None,
    format: str | None = None,  # noqa: A002
) -> tuple[np.ndarray, np.ndarray, Callable[[np.ndarray], pa.Array] | None]:
    """Read codes (n_sequences, width), ids, and what turns lengths into times, if there are any."""
    name, chosen = str(path), format or format_of(path.name)
    if chosen not in (*CODE_FORMATS, "npz"):
        raise FileFormatError(
            f"A code file must end in .parquet, .csv, .jsonl, .npy or .npz. Got {name!r}."
        )
    with _named(name, chosen):
        table = _read(path, chosen)
        id_column = _id_column(table.column_names, id)
        codes, ids = codes_from_arrow(_with_window_ids(table, id_column), id_column)
        times_of = None
        if {*_TIMES} <= {*table.column_names}:
            times, gaps = (table[name].combine_chunks() for name in _TIMES)
            gaps = np.asarray(gaps.cast(pa.float64()))
            times_of = partial(times_from, parse_times(times, _TIMES[0]), gaps)
    if model is not None and (doubt := check_model(stored_model(table), model, "This file")):
        warn(doubt)
    return codes, ids, times_of


def describe_codes(path: Path) -> dict[str, Any]:
    """Return what a Parquet file says about its codes and their model, without reading them."""
    with _named(str(path), "parquet"), path.open("rb") as stream, pq.ParquetFile(stream) as file:
        schema = file.schema_arrow
        kind = schema.field("code").type
        stored = {key.decode(): text.decode() for key, text in (schema.metadata or {}).items()}
        count = stored.get(_CALIBRATION_KEY)
        return {
            "codes": file.metadata.num_rows,
            "code_size": kind.list_size if pa.types.is_fixed_size_list(kind) else None,
            "id": _id_column(schema.names, None),
            "model_hash": stored.get(MODEL_KEY),
            "refold_version": stored.get(_VERSION_KEY),
            "calibration_sequences": None if count is None else int(count),
        }


@contextmanager
def _named(name: str, chosen: str) -> Iterator[None]:
    """Name the file in errors about its content."""
    try:
        yield
    except _DAMAGES as error:
        if isinstance(error, RefoldError):
            problem = error.message.marked
        else:
            line = str(error).strip().partition("\n")[0].rstrip(".") or "it is cut short"
            problem = f"It is not a .{chosen} file of codes ({line})."
        problem = problem if name in problem else f"{name!r}: {problem}"
        raise FileFormatError(f"{problem} Pass a file that `refold encode` wrote.") from error


def _read(path: Path, chosen: str) -> pa.Table:
    """Read a file as a table with the columns `code` and, if it has any, those of ids."""
    if chosen == "jsonl":
        records, rows = parse_jsonl(path.read_bytes(), repr(str(path)))
        for row, record in enumerate(records):
            if not isinstance(record, dict) or not _is_numbers(record.get("code")):
                raise FileFormatError(
                    f"{str(path)!r}, {rows(row)}: expected an object such as "
                    f'{{"id": 3, "code": [0.1, -2.5]}}. Got {json.dumps(record)[:40]}.'
                )
        keys = dict.fromkeys(key for record in records for key in record)
        return pa.table({key: [record.get(key) for record in records] for key in keys})
    with path.open("rb") as stream:
        if chosen == "parquet":
            return pq.read_table(stream)
        if chosen == "npy":
            return codes_to_arrow(np.load(stream))
        if chosen == "npz":
            arrays = dict(np.load(stream))
            about = {MODEL_KEY: str(arrays["model"])} if "model" in arrays else None
            table = codes_to_arrow(arrays.get("code"), arrays.get("id"))
            return table.replace_schema_metadata(about)
        return _read_csv(stream)


def _is_numbers(code: object) -> bool:
    return isinstance(code, list) and all(isinstance(value, int | float) for value in code)


def _read_csv(stream: IO[bytes]) -> pa.Table:
    header = stream.readline().decode("utf-8-sig", "replace")
    names = next(csv.reader([header]), [])
    if not any(map(_is_code, names)) or len({*names}) < len(names):
        raise FileFormatError(
            f"The first line is {header.strip()[:40]!r}. Expected different names, separated by "
            "commas: id,code0,code1."
        )
    # ids as text, because 007 and 7 are different ids
    texts = {name: pa.string() for name in names if not (_is_code(name) or name in _TIMES)}
    stream.seek(0)
    options = pyarrow.csv.ConvertOptions(column_types=texts)
    table = pyarrow.csv.read_csv(stream, convert_options=options)
    columns = {name: integers_from_text(table.column(name)) for name in texts}
    columns |= {name: table.column(name) for name in _TIMES if name in names}
    dimensions = sorted({*names} - {*columns}, key=lambda name: int(name[4:]))
    values = [table.column(name).cast(pa.float32()).to_numpy() for name in dimensions]
    columns["code"] = vectors_to_arrow(np.column_stack(values))
    return pa.table(columns)


def _is_code(name: str) -> bool:
    """Return whether a column of a CSV file holds one dimension of codes, such as code12."""
    return name.startswith("code") and name[4:].isdecimal()


def _id_column(names: list[str], id_name: str | None) -> str:
    """Return the name of the column of ids; ``"id"`` if there is none."""
    others = [name for name in names if name not in ("code", *PLACES)]
    if id_name in others:
        return str(id_name)
    # a single column besides the codes has the ids, whatever its name
    return others[0] if "id" not in others and len(others) == 1 else "id"


def _with_window_ids(table: pa.Table, id_column: str) -> pa.Table:
    """Return a table of codes in which windows have ids of their own, such as a[0:100]."""
    if not {id_column, *_PLACE} <= {*table.column_names}:
        return table
    names, starts, ends = (table[name].to_pylist() for name in (id_column, *_PLACE))
    counts = Counter(names)
    ids = window_ids(names, starts, ends, [counts[name] == 1 for name in names])
    ids = pa.array([*map(str, ids)] if max(counts.values(), default=0) > 1 else ids)
    return table.set_column(table.column_names.index(id_column), id_column, ids)


def check_dtype(dtype: str, format_name: str) -> None:
    """Check that codes of a type can be written in a format."""
    check_code_dtype(dtype)
    if dtype != "float32" and format_name not in _BINARY_FORMATS:
        raise ParameterError(
            f"--dtype {dtype} needs an output in the format .parquet or .npy. Got "
            f".{format_name}. Name such a file with -o."
        )


def places_of(windows: Windows, id_name: str, *, is_cut: bool) -> pa.Table | None:
    """Return the ids, places and times of codes, one row each; None if there are only ids."""
    sequences = windows.sequences
    if sequences.times is None:
        return windows.to_table(id_name) if is_cut else None
    table = windows.to_table(id_name)
    gaps = [usual_gaps(block.times, block.offsets) for block in sequences.blocks()]
    table = table.append_column(_TIMES[1], pa.array(np.concatenate(gaps), from_pandas=True))
    return table if is_cut else table.select([id_name, *_TIMES])


def write_codes(
    output: Output,
    blocks: Iterable[tuple[np.ndarray, np.ndarray]],  # codes and ids
    id: str = "id",  # noqa: A002
    dtype: str = "float32",
    model: "refold.Model | None" = None,
    places: pa.Table | None = None,
) -> None:
    """Write blocks of codes and ids; with a table of places, its columns instead of the ids."""
    id_name = "id" if id == "code" or _is_code(id) else id
    about = {_VERSION_KEY: refold.__version__}
    if model is not None:
        about[_CALIBRATION_KEY] = str(model.num_calibrated)
    tables = (codes_to_arrow(codes, ids, dtype, model) for codes, ids in blocks)
    with output.writing() as stream:
        if output.format == "npy":
            # an array needs all codes in memory; the other formats take them block by block
            np.save(stream, _array(pa.concat_tables(tables)))
            return
        named = (_in_columns(table, id_name, output.format, about) for table in tables)
        if places is not None:
            named = _with_places(named, places)
        # a dictionary makes floats larger
        parquet = {"use_dictionary": [id_name], "compression": "zstd"}
        write_tables(stream, output.format, named, **parquet)


def _with_places(tables: Iterable[pa.Table], places: pa.Table) -> Iterator[pa.Table]:
    """Replace the first column, of ids, by those of the places."""
    done = 0
    for table in tables:
        part = places.slice(done, len(table))
        done += len(table)
        columns = dict(zip(part.column_names, part.columns, strict=True))
        columns |= {name: table[name] for name in table.column_names[1:]}
        yield pa.table(columns).replace_schema_metadata(table.schema.metadata)


def _array(table: pa.Table) -> np.ndarray:
    """Return the codes of a table as an array (n_sequences, width)."""
    codes = table["code"].combine_chunks()
    return codes.values.to_numpy(zero_copy_only=False).reshape(len(codes), codes.type.list_size)


def _in_columns(
    table: pa.Table, id_name: str, chosen: str | None, about: dict[str, str]
) -> pa.Table:
    """Return a table of codes with the columns of Parquet, of CSV or of JSON lines."""
    if chosen == "parquet":
        # renaming drops the metadata
        named = table.rename_columns([id_name, "code"])
        return named.replace_schema_metadata({**(table.schema.metadata or {}), **about})
    codes = _array(table)
    if chosen == "csv":
        columns = {f"code{i}": pa.array(codes[:, i]) for i in range(codes.shape[1])}
    else:  # the shortest decimals that read back as the same float32
        columns = {"code": pa.array(list(codes.astype(str).astype(float)))}
    return pa.table({id_name: table["id"], **columns})
