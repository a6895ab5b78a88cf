"""Reader of code files: one row per sequence, as Parquet, CSV, JSON lines or NumPy arrays."""

import json
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from csv import reader as rows
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import csv

import refold
from refold._support.user_warnings import warn
from refold.cli._code_writer import codes_format, is_code
from refold.errors import DataError, FileFormatError
from refold.sequences import (
    check_model,
    codes_from_arrow,
    integers_from_text,
    parse_jsonl,
    stored_model,
)

# Parquet has a column `id` and a column `code` of fixed-size lists. CSV has `id` and one column per
# latent dimension, `code0`, `code1` and so on. A JSON line is {"id": 3, "code": [0.1, -2.5]}. An
# .npy file is an array without ids, and .npz has the arrays `code` and `id`. The column of ids may
# have another name, that of the data. Parquet and .npz hold the hash of the model, too.

# Codes, ids, and the hash of the model if the file has it.
_Read = tuple[np.ndarray, np.ndarray, str | None]


def read_codes(
    path: Path,
    id: str | None = None,  # noqa: A002
    model: "refold.Model | None" = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Read codes (n_sequences, latent_dim) and ids from a file in any of the formats."""
    chosen = codes_format(path)
    if path.stat().st_size == 0:
        raise FileFormatError(f"{str(path)!r} is empty. Expected a file of codes.")
    codes, ids, stored = _READERS[chosen](path, id)
    if model is not None and (doubt := check_model(stored, model, "This file")):
        warn(doubt)
    codes = np.ascontiguousarray(codes, dtype=np.float32)
    bad = np.flatnonzero(~np.isfinite(codes).all(axis=1)) if codes.size else []
    if len(bad):
        raise FileFormatError(
            f"{str(path)!r}: the code of row {bad[0]} is not finite. Encode the sequences again."
        )
    return codes, ids


def _read_parquet(path: Path, asked: str | None) -> _Read:
    with _arrow_errors(f"{str(path)!r} is not a valid Parquet file"), path.open("rb") as stream:
        table = pq.read_table(stream)
    if "code" not in table.column_names:
        raise FileFormatError(
            f"{str(path)!r} has no column 'code'; its columns are {_listing(table.column_names)}. "
            "Pass a file that `refold encode` wrote."
        )
    try:
        return *codes_from_arrow(table, _id_name(table.column_names, asked)), stored_model(table)
    except DataError as error:
        raise FileFormatError(f"{str(path)!r}: {error.message.marked}") from error


def _read_csv(path: Path, asked: str | None) -> _Read:
    with _arrow_errors(f"{str(path)!r} is not a CSV file"), path.open("rb") as stream:
        # ids as text, because 007 and 7 are different ids
        header = stream.readline().decode("utf-8-sig", "replace")
        others = [name for name in next(rows([header]), []) if not is_code(name)]
        convert = csv.ConvertOptions(column_types=dict.fromkeys(others, pa.string()))
        stream.seek(0)
        table = csv.read_csv(stream, convert_options=convert)
    duplicates = [name for name, count in Counter(table.column_names).items() if count > 1]
    if duplicates:
        raise FileFormatError(
            f"{str(path)!r} has more than one column {duplicates[0]!r}. Rename one."
        )
    names = [f"code{i}" for i in range(len(table.column_names))]
    names = [name for name in names if name in table.column_names]
    if not names:
        raise FileFormatError(
            f"{str(path)!r} has no columns code0, code1, ...; its columns are "
            f"{_listing(table.column_names)}."
        )
    with _arrow_errors(f"{str(path)!r}: a column of codes has a value that is not a number"):
        columns = [table.column(name).cast(pa.float32()).to_numpy() for name in names]
    return np.column_stack(columns), _ids(table, _id_name(table.column_names, asked)), None


def _read_jsonl(path: Path, asked: str | None) -> _Read:
    records, lines = parse_jsonl(path.read_bytes(), repr(str(path)))
    ids = []
    for row, record in enumerate(records):
        identity: Any = None
        if isinstance(record, dict):
            identity = record.get(_id_name(list(record), asked), row)
        if not isinstance(identity, str | int | float) or "code" not in record:
            raise FileFormatError(
                f'{str(path)!r}, {lines(row)}: expected {{"id": ..., "code": [...]}}. '
                f"Got {json.dumps(record)[:40]}."
            )
        ids.append(identity)
    return _stack(path, [record["code"] for record in records], lines), np.array(ids), None


def _read_npy(path: Path, asked: str | None) -> _Read:  # noqa: ARG001
    codes = _load(path)
    _check_array(path, codes)
    return codes, np.arange(len(codes)), None


def _read_npz(path: Path, asked: str | None) -> _Read:  # noqa: ARG001
    stored = _load(path)
    if not isinstance(stored, dict) or "code" not in stored:
        raise FileFormatError(
            f"{str(path)!r} has no array 'code'. Pass a file that `refold encode` wrote."
        )
    codes = stored["code"]
    _check_array(path, codes)
    ids = stored.get("id", np.arange(len(codes)))
    if ids.shape != (len(codes),):
        raise FileFormatError(
            f"{str(path)!r} has {len(codes)} codes and ids of shape {ids.shape}. Expected one id "
            "per code."
        )
    return codes, ids, str(stored["model"]) if "model" in stored else None


def _load(path: Path) -> Any:
    """Return the array of an .npy file, or a dict with those of an .npz file."""
    try:
        with path.open("rb") as stream:
            loaded = np.load(stream, allow_pickle=False)
            return dict(loaded) if isinstance(loaded, np.lib.npyio.NpzFile) else loaded
    except (ValueError, EOFError, OSError, zipfile.BadZipFile, zlib.error) as error:
        if isinstance(error, FileNotFoundError | PermissionError):
            raise
        raise FileFormatError(
            f"{str(path)!r} is not a valid {path.suffix} file ({_first_line(error)})."
        ) from error


def _check_array(path: Path, codes: object) -> None:
    if not isinstance(codes, np.ndarray) or codes.ndim != 2 or codes.dtype.kind not in "fiu":
        raise FileFormatError(
            f"{str(path)!r} must hold a numeric array of shape (n_sequences, latent_dim). "
            f"Got shape {getattr(codes, 'shape', None)}."
        )


@contextmanager
def _arrow_errors(message: str) -> Iterator[None]:
    try:
        yield
    except pa.ArrowException as error:
        raise FileFormatError(f"{message} ({_first_line(error)}).") from error


def _stack(path: Path, rows: list[Any], lines: Callable[[int], str]) -> np.ndarray:
    width = None
    for i, row in enumerate(rows):
        if not isinstance(row, list) or not all(isinstance(value, int | float) for value in row):
            raise FileFormatError(f"{str(path)!r}, {lines(i)}: the code is not a list of numbers.")
        width = len(row) if width is None else width
        if len(row) != width:
            raise FileFormatError(
                f"{str(path)!r}, {lines(i)}: the code has {len(row)} dimensions, "
                f"and the codes before it have {width}."
            )
    try:
        return np.array(rows, dtype=np.float32).reshape(len(rows), width or 0)
    except OverflowError as error:
        raise FileFormatError(
            f"{str(path)!r}: a code has a value that is too large for float32."
        ) from error


def _id_name(names: list[str], asked: str | None) -> str:
    """Return the name of the column of ids; ``"id"`` if there is none."""
    beside = [name for name in names if not is_code(name)]
    if asked in beside:
        return str(asked)
    # a single column besides the codes has the ids, whatever its name
    return beside[0] if "id" not in beside and len(beside) == 1 else "id"


def _ids(table: pa.Table, name: str) -> np.ndarray:
    if name not in table.column_names:
        return np.arange(table.num_rows)
    return np.array(integers_from_text(table.column(name)).to_pylist())


def _listing(names: list[str]) -> str:
    return ", ".join(names[:8]) + (" and more" if len(names) > 8 else "")


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0].rstrip(".") if str(error).strip() else "unreadable"


_READERS = {
    "parquet": _read_parquet,
    "csv": _read_csv,
    "jsonl": _read_jsonl,
    "npy": _read_npy,
    "npz": _read_npz,
}
