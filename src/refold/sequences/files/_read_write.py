"""`read` and `write`: the entry points for files and binary streams of all formats."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from refold._support.rules import check, one_of, whole
from refold._support.streams import write_all
from refold._support.user_warnings import warn
from refold.errors import DataError, ParameterError, argument
from refold.sequences._parts import ColumnTypes
from refold.sequences._sequences import BLOCK_BYTES, Sequences
from refold.sequences._sets import as_sequences
from refold.sequences.files._atomic_writes import atomic_writer
from refold.sequences.files._cache import cached, in_memory
from refold.sequences.files._file_access import compress_for, read_content
from refold.sequences.files._format import Format
from refold.sequences.files._format_registry import FORMATS, check_applies, format_of
from refold.sequences.files._parquet_files import open_files
from refold.sequences.files._tables import TableOptions

UNITS = ("characters", "words")
# Largest size of all values of Parquet files, as float32, that is read into memory.
MEMORY_BYTES = 1 << 28


def read(
    path: str | os.PathLike[str] | BinaryIO,
    *,
    id: str | None = None,  # noqa: A002
    time: str | None = None,
    columns: Sequence[str] | None = None,
    column_types: ColumnTypes = None,
    unit: str | None = None,
    sort: bool = False,
    time_gaps: bool = False,
    layout: str | None = None,
    format: str | None = None,  # noqa: A002
    memory_bytes: int = MEMORY_BYTES,
) -> Sequences:
    """Read sequences from a file, or from a folder of Parquet files as one table.

    Parameters
    ----------
    path : str, PathLike or binary stream
        The file. Its suffix gives the format: ``.parquet``, ``.csv``, ``.jsonl``, ``.npz``,
        ``.npy``, ``.txt`` or ``.ts``. Of a folder, all files in it and its subfolders that end in
        ``.parquet`` or ``.pq``, in the order of their names. Names that begin with ``.`` or ``_``
        are skipped.
    id : str, optional
        The id column in Parquet, CSV and JSON lines, which tells sequences apart. By default
        ``"id"`` if it exists.
    time : str, optional
        The time column of a long table in Parquet or CSV. Times ascend within an id. By default
        ``"time"`` if it exists.
    columns : list of str, optional
        The feature columns of a table. By default all other columns.
    column_types : str, list of str or dict, optional
        Types of the columns, as in `Sequences.from_list`. Inferred by default.
    unit : {"characters", "words"}, optional
        The tokens that a line of text is split into. Characters by default.
    sort : bool, default=False
        Sort the steps of each sequence of a long table by time. If False, times that do not
        ascend raise an error.
    time_gaps : bool, default=False
        Add the numeric column ``"time_gap"`` to a long table: the time since the previous step of
        the sequence, 0 for the first one. In seconds for dates and times, else in the unit of the
        time column.
    layout : {"long", "wide"}, optional
        ``"wide"`` reads a table with one row per sequence and one column per step. Steps are the
        columns whose names end in a number, such as ``t0``, ``t1``; if there are none, all columns
        but the id. Empty cells at the end of a row are not steps.
    format : str, optional
        ``"parquet"``, ``"csv"``, ``"jsonl"``, ``"npz"``, ``"npy"``, ``"txt"`` or ``"ts"``.
        Needed for a stream, or if the suffix does not tell.
    memory_bytes : int, default=256 MiB
        Largest size of all values of Parquet files, as float32, that is read into memory. Larger
        data are converted once, part by part, and mapped from the disk (see Notes).

    Returns
    -------
    Sequences
        For Parquet and ``.npz``, what `write` was given. Other formats lose what they cannot store.

    Raises
    ------
    FileAccessError
        If the file does not exist or cannot be read.
    FileFormatError
        If the file is empty, cut short, in another format, or has a malformed line.
    SchemaError
        If a column does not exist.
    DataError
        If the sequences are invalid.

    Examples
    --------
    >>> import tempfile
    >>> from refold.sequences import Sequences, read, write
    >>> path = tempfile.mkdtemp() + "/words.txt"
    >>> write(Sequences.from_list([["to", "be"], [], ["or", "not"]], layout="words"), path)
    >>> read(path, unit="words").to_list()
    [['to', 'be'], [], ['or', 'not']]
    """
    is_folder = isinstance(path, str | os.PathLike) and Path(path).is_dir()
    chosen = FORMATS["parquet"] if is_folder else format_of(path, format)
    values = {"id": id, "time": time, "columns": columns, "column_types": column_types}
    values |= {"unit": unit, "layout": layout, "sort": sort or None, "time_gaps": time_gaps or None}
    options = {key: value for key, value in values.items() if value is not None}
    check_applies(options, chosen)
    if unit is not None:
        check("unit", unit, one_of(*UNITS))
    if layout is not None:
        check("layout", layout, one_of("long", "wide"))
    check("memory_bytes", memory_bytes, whole(1))
    if isinstance(columns, str):
        options["columns"] = [columns]
    if is_folder or _is_large(path, chosen, memory_bytes, options):
        sequences = _read_parquet(path, TableOptions(**options), memory_bytes)
        sequences.schema = sequences.schema.read_with(id, time)
        return sequences
    name = _name(path)
    data = read_content(path, chosen, name)
    try:
        sequences = chosen.reader(data, name, **options)
        sequences.schema = sequences.schema.read_with(id, time)
        return sequences
    except DataError as error:
        # The code that checks the data does not know the file, so its name is added here.
        if name in str(error):
            raise
        raise type(error)(f"{name}: {error.message.marked}") from error


def _is_large(path: Any, chosen: Format, memory_bytes: int, options: Mapping[str, Any]) -> bool:
    """Return whether a file may be larger than memory, and can be read in parts."""
    if chosen.name != "parquet" or not isinstance(path, str | os.PathLike):
        return False
    if options.get("sort") or options.get("layout") == "wide" or not Path(path).is_file():
        return False  # parts cannot be sorted or wide
    return Path(path).stat().st_size > memory_bytes // 16


def _read_parquet(path: Any, options: TableOptions, memory_bytes: int) -> Sequences:
    """Read a file or folder part by part."""
    for name, reads in (("layout", options.layout == "wide"), ("sort", options.sort)):
        if reads:
            fix = argument(**{name: getattr(options, name)})
            raise ParameterError(
                f"{path} is a folder, but {fix} reads one file. Read the files one by one, or sort "
                "the data by id and time."
            )
    files = open_files(path, options)
    if 4 * files.num_values <= memory_bytes:
        return in_memory(files, options)
    sequences = cached(files, options)
    sequences.block_bytes = block_bytes_for(memory_bytes)
    return sequences


def block_bytes_for(memory_bytes: int) -> int:
    """Return the size of blocks of mapped sequences, about a twentieth."""
    return max(1, memory_bytes * BLOCK_BYTES // MEMORY_BYTES)


def write(
    sequences: Sequences | Any,
    path: str | os.PathLike[str] | BinaryIO,
    *,
    layout: str | None = None,
    format: str | None = None,  # noqa: A002
    id: str = "id",  # noqa: A002
    time: str = "time",
) -> None:
    """Write sequences to a file, completely or not at all.

    Parameters
    ----------
    sequences : Sequences
        The sequences, or a list, array or table that `as_sequences` takes.
    path : str, PathLike or binary stream
        The file. Its suffix gives the format, as in `read`.
    layout : {"list", "long"}, optional
        ``"list"``: one row per sequence, the default of Parquet; for JSON lines, an object with an
        id and named lists. ``"long"``: one row per step, for Parquet and, always, CSV.
    format : str, optional
        As in `read`.
    id, time : str
        Names of the id and step columns in Parquet, CSV and JSON lines.

    Raises
    ------
    FileAccessError
        If the folder does not exist, or the file cannot be written.
    SchemaError, DataError
        If the format cannot hold the sequences.
    FileFormatError
        If the suffix is unknown.

    Examples
    --------
    >>> import tempfile
    >>> from refold.datasets import ramps
    >>> path = tempfile.mkdtemp() + "/ramps.parquet"
    >>> write(ramps(), path)
    >>> read(path)
    Sequences(n=4, lengths=4 to 9, 1 numeric)
    """
    chosen = format_of(path, format)
    if chosen.writer is None:
        raise ParameterError(f".{chosen.name} files can be read, but not written. Write .jsonl.")
    if layout is not None and layout not in chosen.layouts:
        layouts = " or ".join(map(repr, chosen.layouts)) or "None"
        raise ParameterError(f"layout for {chosen.name}: expected {layouts}. Got {layout!r}.")
    names = {"id": id, "time": time} | ({} if layout is None else {"layout": layout})
    options = {key: value for key, value in names.items() if key in chosen.write_options}
    sequences = as_sequences(sequences)
    if "id" in chosen.write_options:
        _warn_about_unknown(sequences)
    data = compress_for(path, chosen.writer(sequences, **options))
    if isinstance(path, str | os.PathLike):
        with atomic_writer(path) as file:
            file.write(data)
    else:
        write_all(path, data)


def _name(path: str | os.PathLike[str] | BinaryIO) -> str:
    if isinstance(path, str | os.PathLike):
        return str(Path(path))
    name = getattr(path, "name", None)
    if not isinstance(name, str):
        return "The stream"
    return "Standard input" if name == "<stdin>" else name


def _warn_about_unknown(sequences: Sequences) -> None:
    """Warn if unknown entries become missing, since integer categories have no "<unknown>"."""
    for i, column in enumerate(sequences.schema.columns):
        if column.has_integer_categories:
            count = int((sequences.values[:, i] == len(column.categories)).sum())
            if count:
                what = "1 unknown entry" if count == 1 else f"{count} unknown entries"
                warn(
                    f"{what} of column {column.name!r} {'is' if count == 1 else 'are'} written as "
                    "missing, as the categories are integers. An .npz file keeps the difference."
                )
