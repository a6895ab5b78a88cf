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
from collections.abc import Iterable
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

import refold
from refold._support.output import warn
from refold.cli._outputs import CODE_FORMATS, format_of, write_tables
from refold.errors import DataError, FileFormatError, ParameterError, RefoldError
from refold.sequences import (
    MODEL_KEY,
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


# Reading


def read_codes(
    path: Path,
    id: str | None = None,  # noqa: A002
    model: "refold.Model | None" = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Read codes (n_sequences, latent_dim) and ids from a file in any of the formats."""
    name, chosen = str(path), format_of(path)
    if chosen not in CODE_FORMATS:
        raise FileFormatError(
            f"A code file must end in .parquet, .csv, .jsonl, .npy or .npz. Got {name!r}."
        )
    try:
        if path.stat().st_size == 0:
            raise DataError("The file is empty. Expected codes.")
        table = _READERS[chosen](path)
        columns = table.column_names if isinstance(table, pa.Table) else list(table)
        if "code" not in columns:
            raise DataError(
                f"It has no codes, but {', '.join(columns[:8]) or 'nothing'}. Pass a file that "
                "`refold encode` wrote."
            )
        codes, ids = codes_from_arrow(table, _id_column(columns, id))
    except _DAMAGES as error:
        line = str(error).strip().partition("\n")[0].rstrip(".")
        problem = f"It is not a .{chosen} file of codes ({line or 'unreadable'})."
        if isinstance(error, RefoldError):
            problem = error.message.marked
        problem = problem if name in problem else f"{name!r}: {problem}"
        raise FileFormatError(problem) from error
    if model is not None and (doubt := check_model(stored_model(table), model, "This file")):
        warn(doubt)
    return codes, ids


_DAMAGES = (ValueError, LookupError, EOFError, pa.ArrowException, zipfile.BadZipFile, zlib.error)


def _is_code(name: str) -> bool:
    """Return whether a column holds codes or one dimension of them, such as code12."""
    return name == "code" or (name.startswith("code") and name[4:].isdecimal())


def _id_column(names: list[str], id_name: str | None) -> str:
    """Return the name of the column of ids; ``"id"`` if there is none."""
    others = [name for name in names if not _is_code(name)]
    if id_name in others:
        return str(id_name)
    # a single column besides the codes has the ids, whatever its name
    return others[0] if "id" not in others and len(others) == 1 else "id"


def _read_parquet(path: Path) -> pa.Table:
    with path.open("rb") as stream:
        return pq.read_table(stream)


def _read_jsonl(path: Path) -> dict[str, Any]:
    records, place = parse_jsonl(path.read_bytes(), repr(str(path)))
    codes = []
    for row, record in enumerate(records):
        try:
            codes.append(np.array(record["code"], dtype=np.float32))
        except (ValueError, TypeError, LookupError, ArithmeticError) as error:
            raise FileFormatError(
                f'{str(path)!r}, {place(row)}: expected {{"id": ..., "code": [...]}}. '
                f"Got {json.dumps(record)[:40]}."
            ) from error
    others = {name: [record.get(name) for record in records] for name in records[0]}
    return others | {"code": pa.array(codes, pa.list_(pa.float32()))}


def _read_csv(path: Path) -> pa.Table:
    with path.open("rb") as stream:
        header = stream.readline().decode("utf-8-sig", "replace")
        names = next(csv.reader([header]), [])
        # ids as text, because 007 and 7 are different ids
        texts = {name: pa.string() for name in names if not _is_code(name)}
        stream.seek(0)
        options = pyarrow.csv.ConvertOptions(column_types=texts)
        table = pyarrow.csv.read_csv(stream, convert_options=options)
    dimensions = [name for name in (f"code{i}" for i in range(len(names))) if name in names]
    columns = {name: integers_from_text(table.column(name)) for name in texts}
    if dimensions:
        values = [table.column(name).cast(pa.float32()).to_numpy() for name in dimensions]
        columns["code"] = codes_to_arrow(np.column_stack(values))["code"]
    return pa.table(columns)


def _read_npy(path: Path) -> pa.Table:
    with path.open("rb") as stream:
        return codes_to_arrow(np.load(stream))


def _read_npz(path: Path) -> pa.Table | dict[str, Any]:
    with path.open("rb") as stream, np.load(stream) as loaded:
        arrays = dict(loaded)
    if "code" not in arrays:
        return arrays
    table = codes_to_arrow(arrays["code"], arrays.get("id"))
    about = {MODEL_KEY: str(arrays["model"])} if "model" in arrays else None
    return table.replace_schema_metadata(about)


_READERS = {
    "parquet": _read_parquet,
    "csv": _read_csv,
    "jsonl": _read_jsonl,
    "npy": _read_npy,
    "npz": _read_npz,
}


# Writing


def check_dtype(dtype: str, format_name: str) -> None:
    """Check that codes of a type can be written in a format."""
    check_code_dtype(dtype)
    if dtype != "float32" and format_name not in _BINARY_FORMATS:
        raise ParameterError(
            f"--dtype {dtype} needs an output in the format .parquet, .npy or .npz. Got "
            f".{format_name}. Name such a file with -o, or set --output-format."
        )


def write_codes(
    path: Path,
    blocks: Blocks,
    num_codes: int,
    id: str = "id",  # noqa: A002
    dtype: str = "float32",
    model: "refold.Model | None" = None,
) -> None:
    """Write blocks of codes and ids atomically, in the format of the file suffix."""
    id_name = "id" if _is_code(id) else id
    match format_of(path):
        case "npy":
            with atomic_writer(path) as stream:
                _write_array(stream, blocks, num_codes, dtype)
        case "npz":
            with atomic_writer(path) as stream, zipfile.ZipFile(stream, "w") as archive:
                with archive.open("code.npy", "w", force_zip64=True) as member:
                    ids = _write_array(member, blocks, num_codes, dtype)
                arrays = {"id": np.concatenate(ids)}
                if model is not None:
                    arrays["model"] = np.array(model.hash)
                for name, values in arrays.items():
                    with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                        np.lib.format.write_array(member, values, allow_pickle=False)
        case chosen:
            tables = (_table(codes, ids, id_name, chosen, dtype, model) for codes, ids in blocks)
            # a dictionary makes floats larger
            write_tables(path, tables, use_dictionary=[id_name], compression="zstd")


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


def _table(
    codes: np.ndarray,
    ids: np.ndarray,
    id_name: str,
    chosen: str | None,
    dtype: str,
    model: "refold.Model | None",
) -> pa.Table:
    """Return a block as a table of Parquet, of CSV or of JSON lines."""
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
