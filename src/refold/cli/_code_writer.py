"""Writer of code files, block by block, in the formats that `_code_reader` describes."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import csv

from refold.cli._files_and_streams import CODE_FORMATS, format_of
from refold.errors import FileFormatError
from refold.sequences import atomic_writer, codes_to_arrow

if TYPE_CHECKING:
    Blocks = Iterable[tuple[np.ndarray, np.ndarray]]

__all__ = ["codes_format", "is_code", "write_codes"]


def write_codes(
    path: Path,
    blocks: "Blocks",
    num_codes: int,
    id: str = "id",  # noqa: A002
) -> None:
    """Write codes and ids atomically, in the format of the file suffix.

    Parameters
    ----------
    path : Path
        Ends in ``.parquet``, ``.csv``, ``.jsonl`` or ``.npy``.
    blocks : iterable of (codes, ids)
        At least one block: arrays of shape (n, latent_dim) and (n,).
    num_codes : int
        Number of codes in all blocks.
    id : str
        Name of the column of ids. Replaced by ``"id"`` if it is a name of a code column.
    """
    with atomic_writer(path) as stream:
        _WRITERS[codes_format(path)](stream, blocks, num_codes, "id" if is_code(id) else id)


def is_code(name: str) -> bool:
    """Return whether a column holds codes or one dimension of them.

    Examples
    --------
    >>> is_code("code"), is_code("code12"), is_code("codename")
    (True, True, False)
    """
    return name == "code" or (name.startswith("code") and name[4:].isdecimal())


def codes_format(path: Path) -> str:
    """Return the format of a code file, by its suffix.

    Raises
    ------
    FileFormatError
        If the suffix is not one of a code file.
    """
    chosen = format_of(path)
    if chosen not in CODE_FORMATS:
        raise FileFormatError(
            f"A code file must end in .parquet, .csv, .jsonl or .npy. Got {str(path)!r}."
        )
    return chosen


def _write_parquet(stream: Any, blocks: "Blocks", num_codes: int, id_name: str) -> None:  # noqa: ARG001
    writer = None
    for codes, ids in blocks:
        table = codes_to_arrow(codes, ids).rename_columns([id_name, "code"])
        if writer is None:
            writer = pq.ParquetWriter(stream, table.schema)
        writer.write_table(table)
    if writer is not None:
        writer.close()


def _write_csv(stream: Any, blocks: "Blocks", num_codes: int, id_name: str) -> None:  # noqa: ARG001
    writer = None
    for codes, ids in blocks:
        dimensions = {
            f"code{i}": pa.array(codes[:, i], type=pa.float32()) for i in range(codes.shape[1])
        }
        table = pa.table({id_name: pa.array(ids.tolist()), **dimensions})
        if writer is None:
            writer = csv.CSVWriter(stream, table.schema)
        writer.write_table(table)
    if writer is not None:
        writer.close()


def _write_jsonl(stream: Any, blocks: "Blocks", num_codes: int, id_name: str) -> None:  # noqa: ARG001
    for codes, ids in blocks:
        for name, code in zip(ids.tolist(), codes, strict=True):
            # the shortest decimals that read back as the same float32
            shortest = [float(value) for value in code.astype(str)]
            stream.write((json.dumps({id_name: name, "code": shortest}) + "\n").encode())


def _write_npy(stream: Any, blocks: "Blocks", num_codes: int, id_name: str) -> None:  # noqa: ARG001
    started = False
    for codes, _ in blocks:
        if not started:
            shape = {"descr": codes.dtype.str, "fortran_order": False}
            np.lib.format.write_array_header_1_0(
                stream, {**shape, "shape": (num_codes, codes.shape[1])}
            )
            started = True
        stream.write(np.ascontiguousarray(codes).tobytes())


_WRITERS = {
    "parquet": _write_parquet,
    "csv": _write_csv,
    "jsonl": _write_jsonl,
    "npy": _write_npy,
}
