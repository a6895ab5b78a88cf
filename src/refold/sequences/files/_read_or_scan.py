"""A path as sequences: in memory where they fit well, else in blocks."""

import os
from pathlib import Path
from typing import Any

import numpy as np

from refold.errors import ParameterError
from refold.sequences._sequences import Sequences
from refold.sequences.files._format_registry import FORMATS, check_applies
from refold.sequences.files._read_write import read
from refold.sequences.files.scan._scan import Scan, scan

__all__ = ["read_or_scan"]

MEMORY_BYTES = 1 << 28


def read_or_scan(
    path: str | os.PathLike[str], *, memory_bytes: int = MEMORY_BYTES, **options: Any
) -> Sequences | Scan:
    """Read sequences from a path, or open them to be read in blocks if they are many.

    Parameters
    ----------
    path : str or PathLike
        A file as for `read`, or a folder of Parquet files as for `scan`.
    memory_bytes : int, default=256 MiB
        What the values of all sequences may take as float32 to be read at once. Only Parquet can
        be read in blocks, and not with ``sort=True``.
    **options
        As for `read`.

    Returns
    -------
    Sequences or Scan

    Raises
    ------
    RefoldError
        As `read` and `scan` do.

    Examples
    --------
    >>> import tempfile
    >>> from refold.datasets import ramps
    >>> from refold.sequences import write
    >>> path = tempfile.mkdtemp() + "/ramps.parquet"
    >>> write(ramps(), path)
    >>> read_or_scan(path)
    Sequences(n=4, lengths=4 to 9, 1 numeric)
    >>> read_or_scan(path, memory_bytes=10)
    Scan(n=4, blocks=1, lengths=4 to 9, 1 numeric)
    """
    place = Path(path)
    suffixes = FORMATS["parquet"].suffixes
    parquet = place.suffix.lower() in suffixes or options.get("format") == "parquet"
    if not (place.is_dir() or parquet):
        return read(path, **options)
    if place.is_file() and place.stat().st_size <= memory_bytes // 16:
        return read(path, **options)  # the ways of small files, to the word of their messages
    if (options.get("sort") or options.get("layout") == "wide") and not place.is_dir():
        return read(path, **options)  # blocks of a file cannot be sorted, and are of long tables
    options.pop("format", None)
    if options.pop("unit", None) is not None:
        check_applies(["unit"], FORMATS["parquet"])
    if options.pop("layout", None) == "wide":
        raise ParameterError(
            f"{place} is a folder, and layout='wide' is of one file. Read the files one by one."
        )
    if options.pop("sort", False):
        raise ParameterError(
            f"{place} is a folder, whose files are not sorted by sort=True. Sort the data by id "
            "and time, or read one file."
        )
    found = scan(path, **options)
    num_bytes = 4 * int(found.lengths.sum()) * found.schema.num_columns
    return found.take(np.arange(len(found))) if num_bytes <= memory_bytes else found
