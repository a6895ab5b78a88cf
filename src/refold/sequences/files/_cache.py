"""The cache on disk: sequences of files larger than memory, converted once and then mapped."""

import contextlib
import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import astuple
from pathlib import Path

from refold.errors import FileAccessError
from refold.sequences._sequences import Sequences
from refold.sequences.files._folder import (
    NpyWriter,
    deleted_with,
    open_folder,
    temporary_folder,
    write_rest,
    writing,
)
from refold.sequences.files._joined_parts import join
from refold.sequences.files._parquet_files import ParquetFiles
from refold.sequences.files._tables import TableOptions

# The environment variable with the cache folder; by default that of the user.
CACHE_VARIABLE = "REFOLD_CACHE_DIR"
# Entries with another version are not used.
_VERSION = 1
# Entries that were not used for so long are removed when another one is written.
_KEPT_SECONDS = 14 * 24 * 3600.0


def cached(files: ParquetFiles, options: TableOptions) -> Sequences:
    """Return the sequences of files, mapped from their entry in the cache, which may be new."""
    folder = _cache_folder()
    entry = folder / _key(files, options)
    if not entry.is_dir():
        # here, because most programs read small files only
        from refold._support.file_lock import waiting_for

        with waiting_for(entry):
            if not entry.is_dir():  # another process may have written it
                _make_room(folder, files)
                _write(entry, files, options)
    try:
        os.utime(entry)  # the time of the last use
        return open_folder(entry)
    except OSError as error:
        raise FileAccessError(
            f"{entry}, the copy of {files.root}, cannot be read: {error.strerror}. Read the data "
            "again."
        ) from error


def in_memory(files: ParquetFiles, options: TableOptions) -> Sequences:
    """Return the sequences of files in memory."""
    with temporary_folder() as folder:
        _join(files, folder, options)
        return open_folder(folder, in_memory=True)


def mapped_blocks(sequences: Sequences, change: Callable[[Sequences], Sequences]) -> Sequences:
    """Return mapped sequences with each block changed, in a temporary file that goes with them."""
    with temporary_folder(_cache_folder(), keep=True) as folder:
        changed = sequences
        with NpyWriter(folder / "values.npy") as values:
            for changed in map(change, sequences.blocks()):
                values.append(changed.values)
        write_rest(folder, sequences.lengths, sequences.ids, changed.schema)
        mapped = open_folder(folder)
        mapped.block_bytes = sequences.block_bytes
        return deleted_with(mapped, folder)


def _cache_folder() -> Path:
    chosen = os.environ.get(CACHE_VARIABLE)
    if not chosen:
        import platformdirs

        chosen = platformdirs.user_cache_dir("refold", appauthor=False)
    folder = Path(chosen) / "sequences"
    with writing(folder):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def _key(files: ParquetFiles, options: TableOptions) -> str:
    stamps = [[str(path.absolute()), *rest] for path, *rest in files.stamps]
    parts = [_VERSION, stamps, *astuple(options)]
    return hashlib.sha256(json.dumps(parts, default=str).encode()).hexdigest()[:32]


def _write(entry: Path, files: ParquetFiles, options: TableOptions) -> None:
    """Write an entry beside its place, and move it there when it is complete."""
    with temporary_folder(entry.parent) as folder:
        _join(files, folder, options)
        with contextlib.suppress(OSError):  # if another process was faster, without a lock
            folder.rename(entry)


def _join(files: ParquetFiles, folder: Path, options: TableOptions) -> None:
    types, path = options.column_types, files.stamps[0].path
    join(files.parts(), folder, files.layout, files.schema, types, files.stored, path)


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
