"""Writer of code files, block by block, in the formats that `_code_reader` describes."""

import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import IO

import numpy as np
import pyarrow as pa

import refold
from refold.cli._files_and_streams import CODE_FORMATS, format_of
from refold.cli._table_files import write_tables
from refold.errors import FileFormatError, ParameterError
from refold.sequences import atomic_writer, check_code_dtype, codes_to_arrow

Blocks = Iterable[tuple[np.ndarray, np.ndarray]]

# Formats that can hold float16.
_BINARY_FORMATS = ("parquet", "npy", "npz")


def write_codes(
    path: Path,
    blocks: Blocks,
    num_codes: int,
    id: str = "id",  # noqa: A002
    dtype: str = "float32",
    model: "refold.Model | None" = None,
) -> None:
    """Write blocks of codes and ids atomically, in the format of the file suffix."""
    chosen, id_name = codes_format(path), "id" if is_code(id) else id
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


def is_code(name: str) -> bool:
    """Return whether a column holds codes or one dimension of them, such as code12."""
    return name == "code" or (name.startswith("code") and name[4:].isdecimal())


def codes_format(path: Path) -> str:
    """Return the format of a code file, by its suffix."""
    chosen = format_of(path)
    if chosen not in CODE_FORMATS:
        raise FileFormatError(
            f"A code file must end in .parquet, .csv, .jsonl, .npy or .npz. Got {str(path)!r}."
        )
    return chosen


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
    found = []
    for codes, ids in blocks:
        table = codes_to_arrow(codes, dtype=dtype)
        values = table["code"].combine_chunks().values
        if not found:
            header = {"descr": np.dtype(dtype).str, "fortran_order": False}
            shape = {"shape": (num_codes, table.schema.field("code").type.list_size)}
            np.lib.format.write_array_header_1_0(stream, header | shape)
        stream.write(values.to_numpy(zero_copy_only=False).tobytes())
        found.append(ids)
    return found


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
