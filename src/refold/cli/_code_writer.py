"""Writer of code files, block by block, in the formats that `_code_reader` describes."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from refold.cli._files_and_streams import CODE_FORMATS, format_of
from refold.cli._table_files import write_tables
from refold.errors import FileFormatError
from refold.sequences import atomic_writer, codes_to_arrow

if TYPE_CHECKING:
    Blocks = Iterable[tuple[np.ndarray, np.ndarray]]


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
    chosen, id_name = codes_format(path), "id" if is_code(id) else id
    if chosen == "npy":
        _write_array(path, blocks, num_codes)
    else:
        write_tables(path, (_table(codes, ids, id_name, chosen) for codes, ids in blocks))


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


def _table(codes: np.ndarray, ids: np.ndarray, id_name: str, chosen: str) -> pa.Table:
    if chosen == "parquet":
        return codes_to_arrow(codes, ids).rename_columns([id_name, "code"])
    if chosen == "csv":
        columns = {f"code{i}": pa.array(codes[:, i]) for i in range(codes.shape[1])}
    else:  # the shortest decimals that read back as the same float32
        columns = {"code": pa.array(list(codes.astype(str).astype(float)))}
    return pa.table({id_name: pa.array(ids.tolist()), **columns})


def _write_array(path: Path, blocks: "Blocks", num_codes: int) -> None:
    with atomic_writer(path) as stream:
        for i, (codes, _) in enumerate(blocks):
            if not i:
                header = {"descr": codes.dtype.str, "fortran_order": False}
                shape = {"shape": (num_codes, codes.shape[1])}
                np.lib.format.write_array_header_1_0(stream, header | shape)
            stream.write(np.ascontiguousarray(codes).tobytes())
