"""Sequences of a path: read into memory if they are small, else opened in blocks."""

import os
from pathlib import Path
from typing import Any

import numpy as np

from refold.errors import ParameterError, argument
from refold.sequences._sequences import Sequences
from refold.sequences.files._format_registry import FORMATS, check_applies
from refold.sequences.files._read_write import read
from refold.sequences.files.scan._scan import Scan, scan

# Largest size of all values as float32 that is read at once.
MEMORY_BYTES = 1 << 28


def read_or_scan(
    path: str | os.PathLike[str], *, memory_bytes: int = MEMORY_BYTES, **options: Any
) -> Sequences | Scan:
    """Read sequences from a path, or open them in blocks if they are large."""
    root = Path(path)
    suffixes = FORMATS["parquet"].suffixes
    parquet = root.suffix.lower() in suffixes or options.get("format") == "parquet"
    if not (root.is_dir() or parquet):
        return read(path, **options)
    if root.is_file() and root.stat().st_size <= memory_bytes // 16:
        return read(path, **options)  # errors are those of `read`
    if (options.get("sort") or options.get("layout") == "wide") and not root.is_dir():
        return read(path, **options)  # blocks cannot be sorted or wide
    options.pop("format", None)
    if options.pop("unit", None) is not None:
        check_applies(["unit"], FORMATS["parquet"])
    if options.pop("layout", None) == "wide":
        raise ParameterError(
            f"{root} is a folder, but {argument(layout='wide')} reads one file. Read the files "
            "one by one."
        )
    if options.pop("sort", False):
        raise ParameterError(
            f"{root} is a folder, but {argument(sort=True)} sorts one file. Sort the data by id "
            "and time, or read one file."
        )
    scanned = scan(path, **options)
    num_bytes = 4 * int(scanned.lengths.sum()) * scanned.schema.num_columns
    return scanned.take(np.arange(len(scanned))) if num_bytes <= memory_bytes else scanned
