"""Code files: one row per sequence, as Parquet, CSV, JSON lines or NumPy arrays.

Parquet has a column `id` and a column `code` of fixed-size lists. CSV has `id` and one column per
latent dimension, `code0`, `code1` and so on. A JSON line is {"id": 3, "code": [0.1, -2.5]}. An .npy
file is an array without ids, and .npz has the arrays `code` and `id`. The column of ids may have
another name, that of the data. Parquet and .npz hold the hash of the model, too.
"""

import csv
import json
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

import refold
from refold._support.output import warn
from refold.cli._files import CODE_FORMATS, format_of, write_tables
from refold.errors import DataError, FileFormatError, ParameterError
from refold.sequences import (
    atomic_writer,
    check_code_dtype,
    check_model,
    codes_from_arrow,
    codes_to_arrow,
    integers_from_text,
    parse_jsonl,
    stored_model,
)

Blocks = Iterable[tuple[np.ndarray, np.ndarray]]

# Formats that can hold float16.
_BINARY_FORMATS = ("parquet", "npy", "npz")


def read_codes(
    path: Path,
    id: str | None = None,  # noqa: A002
    model: "refold.Model | None" = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Read codes (n_sequences, latent_dim) and ids from a file in any of the formats."""
    read = _READERS[_codes_format(path)]
    if path.stat().st_size == 0:
        raise FileFormatError(f"{str(path)!r} is empty. Expected a file of codes.")
    codes, ids, model_hash = read(path, id)
    if model is not None and (doubt := check_model(model_hash, model, "This file")):
        warn(doubt)
    codes = np.ascontiguousarray(codes, dtype=np.float32)
    bad = np.flatnonzero(~np.isfinite(codes).all(axis=1)) if codes.size else []
    if len(bad):
        raise FileFormatError(
            f"{str(path)!r}: the code of row {bad[0]} is not finite. Encode the sequences again."
        )
    return codes, ids


def write_codes(
    path: Path,
    blocks: Blocks,
    num_codes: int,
    id: str = "id",  # noqa: A002
    dtype: str = "float32",
    model: "refold.Model | None" = None,
) -> None:
    """Write blocks of codes and ids atomically, in the format of the file suffix."""
    chosen, id_name = _codes_format(path), "id" if _is_code(id) else id
    if chosen in ("npy", "npz"):
        with atomic_writer(path) as stream:
            if chosen == "npy":
                _write_array(stream, blocks, num_codes, dtype)
            else:
                _write_archive(stream, blocks, num_codes, dtype, model)
        return
    tables = (_table(codes, ids, id_name, chosen, dtype, model) for codes, ids in blocks)
    # a dictionary makes floats larger
    write_tables(path, tables, use_dictionary=[id_name], compression="zstd")


def check_dtype(dtype: str, format_name: str) -> None:
    """Check that codes of a type can be written in a format."""
    check_code_dtype(dtype)
    if dtype != "float32" and format_name not in _BINARY_FORMATS:
        *others, last = (f".{name}" for name in _BINARY_FORMATS)
        raise ParameterError(
            f"--dtype {dtype} needs an output in the format {', '.join(others)} or {last}. Got "
            f".{format_name}. Name such a file with -o, or set --output-format."
        )


def _codes_format(path: Path) -> str:
    """Return the format of a code file, by its suffix."""
    chosen = format_of(path)
    if chosen not in CODE_FORMATS:
        raise FileFormatError(
            f"A code file must end in .parquet, .csv, .jsonl, .npy or .npz. Got {str(path)!r}."
        )
    return chosen


def _is_code(name: str) -> bool:
    """Return whether a column holds codes or one dimension of them, such as code12."""
    return name == "code" or (name.startswith("code") and name[4:].isdecimal())


# The readers return codes, ids, and the hash of the model if the file has it.
_Contents = tuple[np.ndarray, np.ndarray, str | None]


def _read_parquet(path: Path, id_name: str | None) -> _Contents:
    with _arrow_errors(f"{str(path)!r} is not a valid Parquet file"), path.open("rb") as stream:
        table = pq.read_table(stream)
    if "code" not in table.column_names:
        raise FileFormatError(
            f"{str(path)!r} has no column 'code'; its columns are {_listing(table.column_names)}. "
            "Pass a file that `refold encode` wrote."
        )
    try:
        codes, ids = codes_from_arrow(table, _id_name(table.column_names, id_name))
    except DataError as error:
        raise FileFormatError(f"{str(path)!r}: {error.message.marked}") from error
    return codes, ids, stored_model(table)


def _read_jsonl(path: Path, id_name: str | None) -> _Contents:
    records, place = parse_jsonl(path.read_bytes(), repr(str(path)))
    codes, ids = [], []
    for row, record in enumerate(records):
        try:
            code = np.array(record["code"], dtype=np.float32)
            identity = record.get(_id_name(list(record), id_name), row)
            if code.ndim != 1 or not isinstance(identity, str | int | float):
                raise ValueError(record)
        except (ValueError, TypeError, KeyError, AttributeError, ArithmeticError) as error:
            raise FileFormatError(
                f'{str(path)!r}, {place(row)}: expected {{"id": ..., "code": [...]}}. '
                f"Got {json.dumps(record)[:40]}."
            ) from error
        if codes and len(code) != len(codes[0]):
            raise FileFormatError(
                f"{str(path)!r}, {place(row)}: the code has {len(code)} dimensions, "
                f"and the codes before it have {len(codes[0])}."
            )
        codes.append(code)
        ids.append(identity)
    return np.array(codes).reshape(len(codes), -1), np.array(ids), None


def _read_csv(path: Path, id_name: str | None) -> _Contents:
    with _arrow_errors(f"{str(path)!r} is not a CSV file"), path.open("rb") as stream:
        # ids as text, because 007 and 7 are different ids
        header = stream.readline().decode("utf-8-sig", "replace")
        others = [name for name in next(csv.reader([header]), []) if not _is_code(name)]
        convert = pyarrow.csv.ConvertOptions(column_types=dict.fromkeys(others, pa.string()))
        stream.seek(0)
        table = pyarrow.csv.read_csv(stream, convert_options=convert)
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
    id_name = _id_name(table.column_names, id_name)
    ids = np.arange(table.num_rows)
    if id_name in table.column_names:
        ids = np.array(integers_from_text(table.column(id_name)).to_pylist())
    return np.column_stack(columns), ids, None


def _read_npy(path: Path, id_name: str | None) -> _Contents:  # noqa: ARG001
    codes = _load(path)
    _check_array(path, codes)
    return codes, np.arange(len(codes)), None


def _read_npz(path: Path, id_name: str | None) -> _Contents:  # noqa: ARG001
    arrays = _load(path)
    if not isinstance(arrays, dict) or "code" not in arrays:
        raise FileFormatError(
            f"{str(path)!r} has no array 'code'. Pass a file that `refold encode` wrote."
        )
    codes = arrays["code"]
    _check_array(path, codes)
    ids = arrays.get("id", np.arange(len(codes)))
    if ids.shape != (len(codes),):
        raise FileFormatError(
            f"{str(path)!r} has {len(codes)} codes and ids of shape {ids.shape}. Expected one id "
            "per code."
        )
    return codes, ids, str(arrays["model"]) if "model" in arrays else None


_READERS = {
    "parquet": _read_parquet,
    "csv": _read_csv,
    "jsonl": _read_jsonl,
    "npy": _read_npy,
    "npz": _read_npz,
}


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


def _id_name(names: list[str], id_name: str | None) -> str:
    """Return the name of the column of ids; ``"id"`` if there is none."""
    others = [name for name in names if not _is_code(name)]
    if id_name in others:
        return str(id_name)
    # a single column besides the codes has the ids, whatever its name
    return others[0] if "id" not in others and len(others) == 1 else "id"


def _listing(names: list[str]) -> str:
    return ", ".join(names[:8]) + (" and more" if len(names) > 8 else "")


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0].rstrip(".") if str(error).strip() else "unreadable"


def _table(
    codes: np.ndarray,
    ids: np.ndarray,
    id_name: str,
    chosen: str,
    dtype: str,
    model: "refold.Model | None",
) -> pa.Table:
    if chosen == "parquet":
        table = codes_to_arrow(codes, ids, dtype, model)
        # renaming drops the metadata
        named = table.rename_columns([id_name, "code"])
        return named.replace_schema_metadata(table.schema.metadata)
    if chosen == "csv":
        columns = {f"code{i}": pa.array(codes[:, i]) for i in range(codes.shape[1])}
    else:  # the shortest decimals that read back as the same float32
        columns = {"code": pa.array(list(codes.astype(str).astype(float)))}
    return pa.table({id_name: pa.array(ids.tolist()), **columns})


def _write_array(stream: IO[bytes], blocks: Blocks, num_codes: int, dtype: str) -> list[np.ndarray]:
    """Write codes as one array, block by block, and return their ids."""
    all_ids = []
    for codes, ids in blocks:
        table = codes_to_arrow(codes, dtype=dtype)
        values = table["code"].combine_chunks().values
        if not all_ids:
            header = {"descr": np.dtype(dtype).str, "fortran_order": False}
            shape = {"shape": (num_codes, table.schema.field("code").type.list_size)}
            np.lib.format.write_array_header_1_0(stream, header | shape)
        stream.write(values.to_numpy(zero_copy_only=False).tobytes())
        all_ids.append(ids)
    return all_ids


def _write_archive(
    stream: IO[bytes], blocks: Blocks, num_codes: int, dtype: str, model: "refold.Model | None"
) -> None:
    """Write the arrays ``code``, ``id`` and ``model`` as .npz."""
    with zipfile.ZipFile(stream, "w") as archive:
        with archive.open("code.npy", "w", force_zip64=True) as member:
            ids = _write_array(member, blocks, num_codes, dtype)
        others = {"id": np.concatenate(ids)}
        if model is not None:
            others["model"] = np.array(model.hash)
        for name, values in others.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, values, allow_pickle=False)
