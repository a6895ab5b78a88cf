"""The two doors to files: `read` and `write`, for all formats, on paths and binary streams."""

import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

from refold._support.streams import write_all
from refold.errors import DataError, ParameterError
from refold.sequences._as_sequences import as_sequences
from refold.sequences._sequences import Sequences
from refold.sequences.files._atomic_writes import atomic_writer
from refold.sequences.files._compression import compress_for, read_content
from refold.sequences.files._format_registry import check_applies, format_of
from refold.sequences.schema._column_types import Kinds

__all__ = ["read", "write"]

UNITS = ("characters", "words")


def read(
    path: str | os.PathLike[str] | BinaryIO,
    *,
    id: str | None = None,  # noqa: A002
    time: str | None = None,
    columns: Sequence[str] | None = None,
    column_types: Kinds = None,
    unit: str | None = None,
    sort: bool = False,
    layout: str | None = None,
    format: str | None = None,  # noqa: A002
) -> Sequences:
    """Read sequences from a file.

    Parameters
    ----------
    path : str, PathLike or binary stream
        The file. Its suffix says what it is: ``.parquet``, ``.csv``, ``.jsonl``, ``.npz``,
        ``.npy``, ``.txt`` or ``.ts``.
    id : str, optional
        The column that tells sequences apart, of Parquet, CSV and JSON lines; ``"id"`` where
        there is such a column.
    time : str, optional
        The column of times of a long table, of Parquet and CSV, ascending within an id;
        ``"time"`` where there is such a column.
    columns : list of str, optional
        The features of a table; all other columns by default.
    column_types : str, list of str or dict, optional
        Kinds of the columns, as in `Sequences.from_list`; inferred by default.
    unit : {"characters", "words"}, optional
        What a line of text is cut into; characters by default.
    sort : bool, default=False
        Sort the steps of each sequence of a long table by time. Without it, times that do not
        ascend are an error.
    layout : {"long", "wide"}, optional
        ``"wide"`` reads a table with one row a sequence and one column a step. The steps are the
        columns with a number at the end of their names, as ``t0``, ``t1``, or else all but the
        id. Empty cells at the end of a row are no steps.
    format : str, optional
        ``"parquet"``, ``"csv"``, ``"jsonl"``, ``"npz"``, ``"npy"``, ``"txt"`` or ``"ts"``, where
        the suffix does not say. A stream needs it.

    Returns
    -------
    Sequences
        What `write` was given, for Parquet and ``.npz``; other formats lose what they cannot say.

    Raises
    ------
    FileAccessError
        If the file is not there or cannot be read.
    FileFormatError
        If it is empty, cut short, of another format than its name, or has a line that makes no
        sense.
    SchemaError
        If a column is not there.
    DataError
        If the sequences themselves cannot be used.
    ParameterError
        If an argument does not belong to the format.

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
    check_applies(options, chosen)
    if unit is not None and unit not in UNITS:
        raise ParameterError(f"unit must be 'characters' or 'words'. Got {unit!r}.")
    if layout not in {None, "long", "wide"}:
        raise ParameterError(f"layout must be 'long' or 'wide'. Got {layout!r}.")
    if isinstance(columns, str):
        options["columns"] = [columns]
    name = _name(path)
    data = read_content(path, chosen, name)
    try:
        sequences = chosen.reader(data, name, **options)
        sequences.schema = sequences.schema.read_with(id, time)
        return sequences
    except DataError as error:
        # What the data cannot be is said by code that knows no file; the name belongs in front.
        if name in str(error):
            raise
        raise type(error)(f"{name}: {error}") from error


def write(
    sequences: Sequences | Any,
    path: str | os.PathLike[str] | BinaryIO,
    *,
    layout: str | None = None,
    format: str | None = None,  # noqa: A002
    id: str = "id",  # noqa: A002
    time: str = "time",
) -> None:
    """Write sequences to a file, whole or not at all.

    Parameters
    ----------
    sequences : Sequences
        What to write; or a list, array or table that `as_sequences` takes.
    path : str, PathLike or binary stream
        The file; its suffix says the format, as in `read`.
    layout : {"list", "long"}, optional
        ``"list"``, one row a sequence: the default of Parquet, and for JSON lines an object with
        id and named lists. ``"long"``, one row a step: Parquet, and always CSV.
    format : str, optional
        As in `read`.
    id, time : str
        Names of the columns of ids and of steps, of Parquet, CSV and JSON lines.

    Raises
    ------
    FileAccessError
        If the folder is not there, or the file cannot be written.
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
        raise ParameterError(f"A .{chosen.name} file is read and not written. Write .jsonl.")
    if layout is not None and layout not in chosen.layouts:
        known = " or ".join(map(repr, chosen.layouts)) or "none to choose"
        raise ParameterError(f"layout for {chosen.name}: expected {known}. Got {layout!r}.")
    given = {"id": id, "time": time} | ({} if layout is None else {"layout": layout})
    options = {key: value for key, value in given.items() if key in chosen.write_options}
    sequences = as_sequences(sequences)
    if "id" in chosen.write_options:
        _remark_on_unknown(sequences)
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


def _remark_on_unknown(sequences: Sequences) -> None:
    """Warn where text says "<unknown>" for an unknown label, but integers have no such word."""
    for i, column in enumerate(sequences.schema.columns):
        if column.has_integer_categories:
            count = int((sequences.values[:, i] == len(column.categories)).sum())
            if count:
                what = "1 unknown entry" if count == 1 else f"{count} unknown entries"
                warnings.warn(
                    f"{what} of column {column.name!r} {'is' if count == 1 else 'are'} written as "
                    "missing, as the labels are integers. An .npz file keeps the difference.",
                    UserWarning,
                    stacklevel=3,
                )
