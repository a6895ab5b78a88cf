"""A folder with sequences that may be larger than memory: how it is written, and opened again.

It holds `values.npy`, `offsets.npy`, `ids.npy` and `schema.json`. Values are mapped from it.
"""

import json
import shutil
import tempfile
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from refold._support.offsets import offsets_from_lengths
from refold._support.user_warnings import warn
from refold.errors import FileAccessError
from refold.sequences._schema import Schema
from refold.sequences._sequences import Sequences


class NpyWriter:
    """Writer of an array (num_steps, F), row after row; all rows have the dtype of the first."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._header: dict[str, Any] = {}

    def __enter__(self) -> Self:
        with writing(self._path.parent):
            self._file = self._path.open("wb")
        return self

    def append(self, values: np.ndarray) -> None:
        """Write rows behind those before."""
        if not len(values):
            return
        with writing(self._path.parent):
            if not self._header:
                descr = np.lib.format.dtype_to_descr(values.dtype)
                self._header = {"descr": descr, "fortran_order": False, "shape": values.shape}
                np.lib.format.write_array_header_1_0(self._file, self._header)
            else:
                num_rows, width = self._header["shape"]
                self._header["shape"] = num_rows + len(values), width
            self._file.write(np.ascontiguousarray(values).data)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with self._file, writing(self._path.parent):
            if error is None and self._header:
                # NumPy pads headers, so that one with more rows has the same size
                self._file.seek(0)
                np.lib.format.write_array_header_1_0(self._file, self._header)


def write_rest(
    folder: Path, lengths: np.ndarray, ids: np.ndarray, schema: Schema, warnings: Sequence[str] = ()
) -> None:
    """Write what `open_folder` needs besides the values."""
    state = {"schema": schema.to_dict(), "warnings": list(warnings)}
    with writing(folder):
        np.save(folder / "offsets.npy", offsets_from_lengths(lengths))
        np.save(folder / "ids.npy", ids)
        (folder / "schema.json").write_text(json.dumps(state), encoding="utf-8")


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Turn errors of the system into one that says how to choose another folder."""
    try:
        yield
    except OSError as error:
        raise FileAccessError(
            f"{folder} cannot be written: {error.strerror or error}. The environment variable "
            "REFOLD_CACHE_DIR names another folder for the cache, and TMPDIR for temporary files."
        ) from error


def open_folder(folder: Path, *, in_memory: bool = False) -> Sequences:
    """Open the sequences that `join` wrote, mapped or in memory, and repeat its warnings."""
    state = json.loads((folder / "schema.json").read_text(encoding="utf-8"))
    values, offsets, ids = (
        np.load(folder / f"{name}.npy", mmap_mode=None if in_memory else "r")
        for name in ("values", "offsets", "ids")
    )
    for message in state["warnings"]:
        warn(message)
    schema = Schema.from_dict(state["schema"])
    return Sequences.trusted(values, offsets, ids, schema, is_mapped=not in_memory)


@contextmanager
def temporary_folder(parent: Path | None = None, *, keep: bool = False) -> Iterator[Path]:
    """Yield a temporary folder, which is deleted at the end; or after an error if it is kept."""
    with writing(parent or Path(tempfile.gettempdir())):
        folder = Path(tempfile.mkdtemp(prefix=".refold-", dir=parent))
    done = False
    try:
        yield folder
        done = True
    finally:
        if not (done and keep):
            shutil.rmtree(folder, ignore_errors=True)


def deleted_with(sequences: Sequences, folder: Path) -> Sequences:
    """Delete a folder with the values that are mapped from it, or when Python ends."""
    weakref.finalize(sequences.values.base, shutil.rmtree, folder, ignore_errors=True)
    return sequences
