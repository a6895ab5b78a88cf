"""Data larger than memory: sequences in a folder, mapped from it, and the cache of such folders.

A folder holds `values.npy`, `offsets.npy`, `ids.npy` and `schema.json`.
"""

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import astuple
from pathlib import Path
from typing import Any

import numpy as np

from refold._support.arrays import offsets_from_lengths
from refold._support.output import warn
from refold.errors import FileAccessError
from refold.files.parquet import ParquetFiles
from refold.files.tables import TableOptions
from refold.sequences._schema import Schema
from refold.sequences._sequences import Sequences

# The environment variable with the cache folder; by default that of the user.
CACHE_VARIABLE = "REFOLD_CACHE_DIR"
# Entries with another version are not used.
_VERSION = 1
# Entries that were not used for so long are removed when another one is written.
_KEPT_SECONDS = 14 * 24 * 3600.0

# A folder


@contextmanager
def npy_writer(path: Path) -> Iterator[Callable[[np.ndarray], None]]:
    """Yield a function that appends rows (num_rows, F) to an array; all have the first's dtype."""
    with _writing(path.parent):
        file = path.open("wb")
    header: dict[str, Any] = {}

    def append(values: np.ndarray) -> None:
        if not len(values):
            return
        with _writing(path.parent):
            if not header:
                descr = np.lib.format.dtype_to_descr(values.dtype)
                header.update(descr=descr, fortran_order=False, shape=(0, values.shape[1]))
                np.lib.format.write_array_header_1_0(file, header)
            header["shape"] = header["shape"][0] + len(values), values.shape[1]
            file.write(np.ascontiguousarray(values).data)

    with file:
        yield append
        with _writing(path.parent):
            if header:
                # NumPy pads headers, so that one with more rows has the same size
                file.seek(0)
                np.lib.format.write_array_header_1_0(file, header)
            file.flush()


def write_rest(
    folder: Path, lengths: np.ndarray, ids: np.ndarray, schema: Schema, warnings: Sequence[str] = ()
) -> None:
    """Write what `open_folder` needs besides the values."""
    state = {"schema": schema.to_dict(), "warnings": list(warnings)}
    with _writing(folder):
        np.save(folder / "offsets.npy", offsets_from_lengths(lengths))
        np.save(folder / "ids.npy", ids)
        (folder / "schema.json").write_text(json.dumps(state), encoding="utf-8")


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    """Turn errors of the system into one that says how to choose another folder."""
    try:
        yield
    except OSError as error:
        raise FileAccessError(
            f"{folder} cannot be written: {error.strerror or error}. The environment variable "
            f"{CACHE_VARIABLE} names another folder for the cache, and TMPDIR for temporary files."
        ) from error


def open_folder(folder: Path, *, in_memory: bool = False) -> Sequences:
    """Open the sequences of a folder, mapped or in memory, and repeat the warnings about them."""
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
    with _writing(parent or Path(tempfile.gettempdir())):
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


def mapped_blocks(sequences: Sequences, change: Callable[[Sequences], Sequences]) -> Sequences:
    """Return mapped sequences with each block changed, in a temporary file that goes with them."""
    with temporary_folder(_cache_folder(), keep=True) as folder:
        changed = sequences
        with npy_writer(folder / "values.npy") as append:
            for changed in map(change, sequences.blocks()):
                append(changed.values)
        write_rest(folder, sequences.lengths, sequences.ids, changed.schema)
        mapped = open_folder(folder)
        mapped.block_bytes = sequences.block_bytes
        return deleted_with(mapped, folder)


# The cache


def cached(files: ParquetFiles, options: TableOptions, write: Callable[[Path], None]) -> Sequences:
    """Return the sequences of files, mapped from their entry in the cache, which may be new."""
    folder = _cache_folder()
    stamps = [[str(path.absolute()), *rest] for path, *rest in files.stamps]
    key = json.dumps([_VERSION, stamps, *astuple(options)], default=str)
    entry = folder / hashlib.sha256(key.encode()).hexdigest()[:32]
    if not entry.is_dir():
        # here, because most programs read small files only
        from refold._support.file_lock import waiting_for

        with waiting_for(entry):
            if not entry.is_dir():  # another process may have written it
                _make_room(folder, files)
                with temporary_folder(folder) as new:
                    write(new)
                    with contextlib.suppress(OSError):  # another process was faster, without lock
                        new.rename(entry)
    try:
        os.utime(entry)  # the time of the last use
        return open_folder(entry)
    except OSError as error:
        raise FileAccessError(
            f"{entry}, the copy of {files.root}, cannot be read: {error.strerror}. Read the data "
            "again."
        ) from error


def _cache_folder() -> Path:
    parent = os.environ.get(CACHE_VARIABLE)
    if not parent:
        import platformdirs

        parent = platformdirs.user_cache_dir("refold", appauthor=False)
    folder = Path(parent) / "sequences"
    with _writing(folder):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def _make_room(folder: Path, files: ParquetFiles) -> None:
    """Remove entries that were not used for two weeks, and others if the disk is too small."""
    needed, oldest = 4 * files.num_values, time.time() - _KEPT_SECONDS
    for used, path in sorted((path.stat().st_mtime, path) for path in folder.iterdir()):
        is_entry = not path.name.startswith(".")  # others are locks, or are being written
        if used < oldest or (is_entry and shutil.disk_usage(folder).free < needed):
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise FileAccessError(
            f"{files.root} is larger than memory, and needs {needed / 1e9:.1f} GB of disk in "
            f"{folder}, which has {free / 1e9:.1f} GB left. Name a folder with more space in the "
            f"environment variable {CACHE_VARIABLE}."
        )
