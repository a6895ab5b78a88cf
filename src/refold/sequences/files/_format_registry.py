"""The registry of file formats, each with its suffixes, reader, writer and options."""

import os
from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path

from refold.errors import FileFormatError, ParameterError, argument
from refold.sequences.files._file_access import local_path
from refold.sequences.files._format import COMPRESSIONS, Format
from refold.sequences.files.formats._csv import csv_columns, read_csv, write_csv
from refold.sequences.files.formats._json import json_columns, read_json, read_jsonl, write_jsonl
from refold.sequences.files.formats._labels import (
    csv_labels,
    json_labels,
    parquet_labels,
    ts_labels,
)
from refold.sequences.files.formats._npy import read_npy, read_npz, write_npy, write_npz
from refold.sequences.files.formats._parquet import read_parquet, write_parquet
from refold.sequences.files.formats._text import read_text, write_text
from refold.sequences.files.formats._ts import read_ts, write_ts

TABLE = frozenset({"id", "time", "columns", "column_types", "sort", "layout", "time_gaps"})

_CSV = Format(
    "csv",
    (".csv",),
    read_csv,
    TABLE,
    write_csv,
    frozenset({"id", "time"}),
    ("long",),
    is_table=True,
    columns=csv_columns,
    labels=csv_labels,
)

# To add a format, write a module in formats/ with a reader and, if needed, a writer, and add it.
_FORMATS = (
    Format(
        "parquet",
        (".parquet", ".pq"),
        read_parquet,
        TABLE,
        write_parquet,
        frozenset({"id", "time", "layout"}),
        ("list", "long"),
        magic=b"PAR1",
        is_table=True,
        labels=parquet_labels,
    ),
    _CSV,
    replace(
        _CSV,
        name="tsv",
        suffixes=(".tsv",),
        reader=partial(read_csv, delimiter="\t"),
        writer=partial(write_csv, delimiter="\t"),
        columns=partial(csv_columns, delimiter="\t"),
        labels=partial(csv_labels, delimiter="\t"),
    ),
    Format(
        "jsonl",
        (".jsonl", ".ndjson"),
        read_jsonl,
        TABLE | {"unit"},
        write_jsonl,
        frozenset({"id", "layout"}),
        ("list",),
        columns=partial(json_columns, lines=True),
        labels=partial(json_labels, lines=True),
    ),
    Format(
        "json",
        (".json",),
        read_json,
        TABLE | {"unit"},
        columns=partial(json_columns, lines=False),
        labels=partial(json_labels, lines=False),
    ),
    Format("npz", (".npz",), read_npz, frozenset({"column_types"}), write_npz, magic=b"PK\x03\x04"),
    Format("npy", (".npy",), read_npy, frozenset({"column_types"}), write_npy, magic=b"\x93NUMPY"),
    Format("txt", (".txt",), read_text, frozenset({"unit"}), write_text),
    Format("ts", (".ts",), read_ts, frozenset({"column_types"}), write_ts, labels=ts_labels),
)
FORMATS = {format_.name: format_ for format_ in _FORMATS}
"""The file formats of `read` and `write`, by name."""


def format_of(source: object, name: str | None = None) -> Format:
    """Return the format of a file by a given name, else by its suffix, as of words.csv.gz."""
    if name is not None:
        name = _without_compression(name)
        if name not in FORMATS:
            raise ParameterError(f"The format {name!r} is unknown. Known: {', '.join(FORMATS)}.")
        return FORMATS[name]
    if not isinstance(source, str | os.PathLike):
        raise ParameterError(f"A stream needs format=, one of: {', '.join(FORMATS)}.")
    path = local_path(source)
    if (chosen := format_named(path.name)) is not None:
        return chosen
    suffixes = ", ".join(suffix for format_ in _FORMATS for suffix in format_.suffixes)
    shown = f"the unknown suffix {path.suffix!r}" if path.suffix else "no suffix"
    raise FileFormatError(
        f"{path} has {shown}. Known: {suffixes}, and text with {', '.join(COMPRESSIONS)} added; "
        "or name the format."
    )


def format_named(name: str) -> Format | None:
    """Return the format for the suffix of a file name, or None."""
    suffix = Path(_without_compression(name)).suffix.lower()
    return next((format_ for format_ in _FORMATS if suffix in format_.suffixes), None)


def check_applies(options: Iterable[str], chosen: Format) -> None:
    """Raise ``ParameterError`` if the format does not take an option of `read`."""
    for key in options:
        if key not in chosen.read_options:
            others = [format_.name for format_ in _FORMATS if key in format_.read_options]
            raise ParameterError(
                f"{argument(f'{key}=')} does not apply to the format {chosen.name}, only to "
                f"{', '.join(others)}."
            )


def _without_compression(name: str) -> str:
    """Return ``data.csv`` for ``data.csv.gz``, and any other name unchanged."""
    stem, dot, suffix = name.rpartition(".")
    inner = f".{stem.rpartition('.')[2].lower()}"
    text = any(inner in format_.suffixes for format_ in _FORMATS if format_.is_text)
    return stem if dot and f".{suffix}".lower() in COMPRESSIONS and text else name
