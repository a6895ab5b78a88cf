"""`read` and `write`: the entry points for files and binary streams of all formats."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

from refold._support.rules import check, one_of
from refold._support.streams import write_all
from refold._support.user_warnings import warn
from refold.errors import DataError, ParameterError
from refold.sequences._as_sequences import as_sequences
from refold.sequences._sequences import Sequences
from refold.sequences.files._atomic_writes import atomic_writer
from refold.sequences.files._file_access import compress_for, read_content
from refold.sequences.files._format_registry import check_applies, format_of
from refold.sequences.schema._column_types import ColumnTypes

UNITS = ("characters", "words")


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
) -> Sequences:
    """Read sequences from a file.

    Parameters
    ----------
    path : str, PathLike or binary stream
        The file. Its suffix gives the format: ``.parquet``, ``.csv``, ``.jsonl``, ``.npz``,
        ``.npy``, ``.txt`` or ``.ts``.
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
    ParameterError
        If an argument does not apply to the format.

    Examples
    --------
    >>> import tempfile
    >>> from refold.sequences import Sequences, read, write
    >>> path = tempfile.mkdtemp() + "/words.txt"
    >>> write(Sequences.from_list([["to", "be"], [], ["or", "not"]], layout="words"), path)
    >>> read(path, unit="words").to_list()
    [['to', 'be'], [], ['or', 'not']]
    """
    chosen = format_of(path, format)
    given = {"id": id, "time": time, "columns": columns, "column_types": column_types, "unit": unit}
    given["layout"] = layout
    options = {key: value for key, value in given.items() if value is not None}
    options |= {"sort": True} if sort else {}
    options |= {"time_gaps": True} if time_gaps else {}
    check_applies(options, chosen)
    if unit is not None:
        check("unit", unit, one_of(*UNITS))
    if layout is not None:
        check("layout", layout, one_of("long", "wide"))
    if isinstance(columns, str):
        options["columns"] = [columns]
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
    ParameterError
        If the format is unknown or has no such layout.
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
        known = " or ".join(map(repr, chosen.layouts)) or "None"
        raise ParameterError(f"layout for {chosen.name}: expected {known}. Got {layout!r}.")
    given = {"id": id, "time": time} | ({} if layout is None else {"layout": layout})
    options = {key: value for key, value in given.items() if key in chosen.write_options}
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
