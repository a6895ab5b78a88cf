"""Writer of code files, block by block, in the formats that `_code_reader` describes."""

import tempfile
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from refold.cli._files_and_streams import CODE_FORMATS, format_of
from refold.cli._table_files import write_tables
from refold.errors import FileFormatError, ParameterError
from refold.sequences import CODE_DTYPES, CodeGrid, atomic_writer, codes_to_arrow

if TYPE_CHECKING:
    Blocks = Iterable[tuple[np.ndarray, np.ndarray]]

_FORMATS = {
    "float32": CODE_FORMATS,
    "float16": ("parquet", "npy", "npz"),
    "int8": ("parquet", "npz"),
}


def write_codes(
    path: Path,
    blocks: "Blocks",
    num_codes: int,
    id: str = "id",  # noqa: A002
    dtype: str = "float32",
    exact: Sequence[int] = (),
    model: Any = None,
) -> None:
    """Write codes and ids atomically, in the format of the file suffix.

    Parameters
    ----------
    path : Path
        Ends in ``.parquet``, ``.csv``, ``.jsonl``, ``.npy`` or ``.npz``.
    blocks : iterable of (codes, ids)
        At least one block: arrays of shape (n, latent_dim) and (n,).
    num_codes : int
        Number of codes in all blocks.
    id : str
        Name of the column of ids. Replaced by ``"id"`` if it is a name of a code column.
    dtype : str
        Type of the stored values, one that `check_dtype` accepts for the format. The grid of int8
        covers all blocks, so float32 codes are held in a temporary file until the last block.
    exact : sequence of int
        Dimensions that have 16 bits on the grid of int8.
    model : SequenceAutoencoder, optional
        Model of the codes. Parquet and ``.npz`` have its hash.
    """
    chosen, id_name = codes_format(path), "id" if is_code(id) else id
    with _on_grid(blocks, num_codes, dtype, exact) as (blocks, grid):
        if chosen in ("npy", "npz"):
            with atomic_writer(path) as stream:
                if chosen == "npy":
                    _write_array(stream, blocks, num_codes, dtype, grid)
                else:
                    _write_archive(stream, blocks, num_codes, dtype, grid, model)
            return
        tables = (_table(codes, ids, id_name, chosen, dtype, grid, model) for codes, ids in blocks)
        # a dictionary makes floats larger, and Parquet has no type of one byte without it
        values = ["code.list.element"] if dtype == "int8" else []
        write_tables(path, tables, use_dictionary=[id_name, *values], compression="zstd")


def check_dtype(dtype: str, format_name: str) -> None:
    """Check that codes of a type can be written in a format.

    Raises
    ------
    ParameterError
        If the type is unknown, or if the format cannot hold it.
    """
    if dtype not in _FORMATS:
        raise ParameterError(f"--dtype must be one of {', '.join(CODE_DTYPES)}. Got {dtype!r}.")
    if format_name not in _FORMATS[dtype]:
        *others, last = (f".{name}" for name in _FORMATS[dtype])
        raise ParameterError(
            f"--dtype {dtype} needs an output in the format {', '.join(others)} or {last}. Got "
            f".{format_name}. Name such a file with -o, or set --output-format."
        )


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
            f"A code file must end in .parquet, .csv, .jsonl, .npy or .npz. Got {str(path)!r}."
        )
    return chosen


@contextmanager
def _on_grid(
    blocks: "Blocks", num_codes: int, dtype: str, exact: Sequence[int]
) -> Iterator[tuple["Blocks", Any]]:
    """Yield the blocks, and for int8 the grid of all their codes."""
    if dtype != "int8":
        yield blocks, None
        return
    with tempfile.TemporaryFile() as stream:
        ids, width = [], 0
        for codes, block_ids in blocks:
            stream.write(np.ascontiguousarray(codes, np.float32).tobytes())
            ids.append(block_ids)
            width = codes.shape[1]
        stream.flush()
        shape = num_codes, width
        codes = np.memmap(stream, np.float32, "r", shape=shape) if num_codes else np.zeros(shape)
        ends = np.cumsum([len(part) for part in ids])[:-1]
        yield zip(np.split(codes, ends), ids, strict=True), CodeGrid.fit(codes, exact)


def _table(
    codes: np.ndarray, ids: np.ndarray, id_name: str, chosen: str, dtype: str, grid: Any, model: Any
) -> pa.Table:
    if chosen == "parquet":
        table = codes_to_arrow(codes, ids, dtype, grid, model)
        # renaming drops the metadata
        named = table.rename_columns([id_name, "code"])
        return named.replace_schema_metadata(table.schema.metadata)
    if chosen == "csv":
        columns = {f"code{i}": pa.array(codes[:, i]) for i in range(codes.shape[1])}
    else:  # the shortest decimals that read back as the same float32
        columns = {"code": pa.array(list(codes.astype(str).astype(float)))}
    return pa.table({id_name: pa.array(ids.tolist()), **columns})


def _write_array(
    stream: IO[bytes], blocks: "Blocks", num_codes: int, dtype: str, grid: Any
) -> list[np.ndarray]:
    """Write codes as one array, block by block, and return their ids."""
    found = []
    for codes, ids in blocks:
        table = codes_to_arrow(codes, dtype=dtype, grid=grid)
        values = table["code"].combine_chunks().values
        if not found:
            header = {"descr": np.dtype(dtype).str, "fortran_order": False}
            shape = {"shape": (num_codes, table.schema.field("code").type.list_size)}
            np.lib.format.write_array_header_1_0(stream, header | shape)
        stream.write(values.to_numpy(zero_copy_only=False).tobytes())
        found.append(ids)
    return found


def _write_archive(
    stream: IO[bytes], blocks: "Blocks", num_codes: int, dtype: str, grid: Any, model: Any
) -> None:
    """Write the arrays ``code``, ``id`` and ``model`` as .npz, and those of the grid of int8."""
    with zipfile.ZipFile(stream, "w") as archive:
        with archive.open("code.npy", "w", force_zip64=True) as member:
            ids = _write_array(member, blocks, num_codes, dtype, grid)
        others = {"id": np.concatenate(ids)} | (grid._asdict() if grid is not None else {})
        others |= {} if model is None else {"model": np.array(model.model_hash_)}
        for name, values in others.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, values, allow_pickle=False)
