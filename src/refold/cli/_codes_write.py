"""Files of codes, written block by block: what they look like is told in `_codes_files`."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from refold.cli._io import CODE_FORMATS, format_of
from refold.errors import FileFormatError

if TYPE_CHECKING:
    import numpy as np

    Blocks = Iterable[tuple[np.ndarray, np.ndarray]]

__all__ = ["codes_format", "write_codes"]


def write_codes(path: Path, blocks: "Blocks", num_codes: int) -> None:
    """Write codes and ids whole or not at all, in the format that the name says.

    Parameters
    ----------
    path : Path
        Ends in ``.parquet``, ``.csv``, ``.jsonl`` or ``.npy``.
    blocks : iterable of (codes, ids)
        At least one: arrays of shape (n, latent_dim) and (n,), written as they come.
    num_codes : int
        Number of codes in all blocks together.
    """
    from refold.sequences import atomic_writer

    with atomic_writer(path) as stream:
        _WRITERS[codes_format(path)](stream, blocks, num_codes)


def codes_format(path: Path) -> str:
    """Return the format of a file of codes, by its name.

    Raises
    ------
    FileFormatError
        If codes are not kept in such files.
    """
    chosen = format_of(path)
    if chosen not in CODE_FORMATS:
        raise FileFormatError(
            f"Codes are kept in .parquet, .csv, .jsonl or .npy files. Got {str(path)!r}."
        )
    return chosen


def _write_parquet(stream: Any, blocks: "Blocks", num_codes: int) -> None:  # noqa: ARG001
    import pyarrow.parquet as pq

    from refold.sequences import codes_to_arrow

    writer = None
    for codes, ids in blocks:
        table = codes_to_arrow(codes, ids)
        if writer is None:
            writer = pq.ParquetWriter(stream, table.schema)
        writer.write_table(table)
    if writer is not None:
        writer.close()


def _write_csv(stream: Any, blocks: "Blocks", num_codes: int) -> None:  # noqa: ARG001
    import pyarrow as pa
    from pyarrow import csv

    writer = None
    for codes, ids in blocks:
        numbers = {
            f"code{i}": pa.array(codes[:, i], type=pa.float32()) for i in range(codes.shape[1])
        }
        table = pa.table({"id": pa.array(ids.tolist()), **numbers})
        if writer is None:
            writer = csv.CSVWriter(stream, table.schema)
        writer.write_table(table)
    if writer is not None:
        writer.close()


def _write_jsonl(stream: Any, blocks: "Blocks", num_codes: int) -> None:  # noqa: ARG001
    for codes, ids in blocks:
        for name, code in zip(ids.tolist(), codes, strict=True):
            shortest = [float(number) for number in code.astype(str)]  # reads back to the same
            stream.write((json.dumps({"id": name, "code": shortest}) + "\n").encode())


def _write_npy(stream: Any, blocks: "Blocks", num_codes: int) -> None:
    import numpy as np

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
