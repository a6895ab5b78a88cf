"""The functions that read and write files of all formats, and read batches of rows.

`read`, `write`, `read_labels` and `column_names` find the `Format` of a file, and call functions of
the format. `read_for` reads a file in the same way as the training data of a model.
"""

import contextlib
import itertools
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa

from refold._support.atomic_files import atomic_writer, require_local_path
from refold._support.messages import write_all
from refold._support.rules import check, integer_rule, one_of
from refold.errors import (
    DataError,
    FileFormatError,
    ParameterError,
    RefoldError,
    SchemaError,
    argument,
)
from refold.files.csv import CSV, TSV
from refold.files.formats import CODEC_BY_SUFFIX, Format, read_decompressed_bytes
from refold.files.json import JSON, JSONL
from refold.files.mapped import (
    StoredTableBatches,
    convert_to_mapped_folder,
    folder_deleted_on_error,
    open_cached,
    open_folder_and_delete_later,
)
from refold.files.npy import NPY, NPZ
from refold.files.parquet import (
    PARQUET,
    open_parquet_files,
    read_parquet_column_names,
    read_parquet_rows,
)
from refold.files.tables import (
    TableOptions,
    find_step_columns,
    must_be_in_memory,
    name_file_in_errors,
    resolve_table_options,
    sequences_from_table,
)
from refold.files.text import TXT
from refold.files.ts import TS
from refold.sequences._conversions import as_sequences
from refold.sequences._encoding import ColumnTypes, RowNamer, is_missing_value, to_id_array
from refold.sequences._schema import Schema, has_default_names
from refold.sequences._sequences import BLOCK_BYTES, Sequences
from refold.sequences._tables import (
    DUPLICATES_RULE,
    check_id_type,
    has_arrow_interface,
    to_arrow_table,
)

# To add a format, write a module with a `Format` and name it here. Only two formats have code in
# this module: Parquet, which can be read in chunks, and text, whose text unit `read_for` sets.
FORMATS = {format_.name: format_ for format_ in (PARQUET, CSV, TSV, JSONL, JSON, NPZ, NPY, TXT, TS)}
"""The file formats of `read` and `write`, by name."""

# Parquet files whose values take more bytes than this, as float32, are mapped from the disk and not
# read into memory. 256 MiB fit into the memory of any machine.
DEFAULT_MEMORY_BYTES = 1 << 28
# Few Parquet files unpack to more than this many times their size. So a file whose size is less
# than `memory_bytes` divided by this number fits into memory.
_ASSUMED_UNPACKING_RATIO = 16


def find_format(path_or_stream: object, format_name: str | None = None) -> Format:
    """Return the format with this name; without a name, the format for the suffix of the path."""
    format_names = ", ".join(FORMATS)
    if format_name is not None:
        # a suffix is a name, too: "pq" is Parquet
        format_ = FORMATS.get(format_name) or find_format_or_none(f"data.{format_name}")
        if format_ is None:
            raise ParameterError(f"The format {format_name!r} is unknown. Known: {format_names}.")
        return format_
    if not isinstance(path_or_stream, str | os.PathLike):
        raise ParameterError(f"A stream needs format=, one of: {format_names}.")
    path = require_local_path(path_or_stream)
    if (format_ := find_format_or_none(path.name)) is not None:
        return format_
    suffixes = ", ".join(suffix for format_ in FORMATS.values() for suffix in format_.suffixes)
    problem = f"the unknown suffix {path.suffix!r}" if path.suffix else "no suffix"
    raise FileFormatError(
        f"{path} has {problem}. Known: {suffixes}, and text with {', '.join(CODEC_BY_SUFFIX)} "
        "added; or name the format."
    )


def find_format_or_none(file_name: str) -> Format | None:
    """Return the format for the suffix of a file name, such as data.csv or data.csv.gz, or None."""
    path = Path(file_name.lower())
    for format_ in FORMATS.values():
        # the suffix of a compressed file is the one before .gz
        is_compressed = format_.is_text and path.suffix in CODEC_BY_SUFFIX
        if (Path(path.stem) if is_compressed else path).suffix in format_.suffixes:
            return format_
    return None


def read(
    path: str | os.PathLike[str] | BinaryIO,
    *,
    id: str | None = None,  # noqa: A002
    time: str | None = None,
    columns: Sequence[str] | None = None,
    column_types: ColumnTypes = None,
    text_unit: str | None = None,
    sort: bool = False,
    time_gaps: bool = False,
    duplicates: str = "error",
    time_format: str | None = None,
    layout: str | None = None,
    as_sequence: bool = False,
    format: str | None = None,  # noqa: A002
    memory_bytes: int = DEFAULT_MEMORY_BYTES,
) -> Sequences:
    """Read sequences from a file, or from a folder of Parquet files as one table.

    Parameters
    ----------
    path : str, PathLike or binary stream
        A file whose suffix gives the format: ``.parquet``, ``.csv``, ``.jsonl``, ``.npz``,
        ``.npy``, ``.txt`` or ``.ts``. Or a folder: all its ``.parquet`` and ``.pq`` files, also in
        subfolders, in the order of their names; names that begin with ``.`` or ``_`` are skipped.
    id : str, optional
        The id column of a table, which tells sequences apart; by default ``"id"`` if it exists.
    time : str, optional
        The time column of a long table; times ascend within an id. By default ``"time"`` if it
        exists.
    columns : list of str, optional
        The feature columns of a table; by default all other columns.
    column_types : str, list of str or dict, optional
        Types of the columns, as in `Sequences.from_list`; inferred by default.
    text_unit : {"characters", "words"}, optional
        The tokens that a line of text is split into; characters by default.
    sort : bool, default=False
        Sort the steps of each sequence of a long table by time.
    time_gaps : bool, default=False
        Add the column ``"time_gap"`` to a long table: the time since the previous step, 0 for the
        first one. In seconds for dates and times, else in the unit of the time column.
    duplicates : {"error", "first", "last", "mean"}, default="error"
        What to do with rows that have the same id and time, as in `Sequences.from_table`.
    time_format : str, optional
        Format of times that are text, such as ``"%d.%m.%Y %H:%M"``; by default ISO 8601.
    layout : {"long", "wide"}, optional
        ``"wide"``: one row per sequence, one column per step. Steps are the columns whose names end
        in a number, such as ``t0``, ``t1``; if there are none, all columns but the id. Empty cells
        at the end of a row are not steps.
    as_sequence : bool, default=False
        Read a table without ids, or a NumPy array of one or two axes, as one sequence: its rows are
        the steps. The argument does not change how other data, such as lines of text, are read.
    format : str, optional
        The format of a stream, or if the suffix does not tell: ``"parquet"``, ``"csv"``, ...
    memory_bytes : int, default=256 MiB
        The maximum size of all values of Parquet files, as float32, to read into memory. Larger
        data are converted once, in chunks, and mapped from the disk. A long table of this size must
        be sorted by id.

    Returns
    -------
    Sequences
        For Parquet and ``.npz``, what `write` was given. Other formats lose what they cannot store.
        Only long tables keep times.

    Raises
    ------
    FileAccessError, FileFormatError
        If the file cannot be read, or is empty, cut short, or malformed.
    SchemaError, DataError
        If a column does not exist, or the sequences are invalid.

    Examples
    --------
    >>> import tempfile
    >>> from refold.sequences import Sequences, read, write
    >>> path = tempfile.mkdtemp() + "/words.txt"
    >>> write(Sequences.from_list([["to", "be"], [], ["or", "not"]], output_layout="words"), path)
    >>> read(path, text_unit="words").to_list()
    [['to', 'be'], [], ['or', 'not']]
    """
    is_path = isinstance(path, str | os.PathLike)
    is_folder = is_path and Path(path).is_dir()
    format_ = PARQUET if is_folder else find_format(path, format)
    check("duplicates", duplicates, DUPLICATES_RULE)
    # here, None means that an option has its default; all other options must apply to the format
    arguments = {
        "id": id,
        "time": time,
        "columns": [columns] if isinstance(columns, str) else columns,
        "column_types": column_types,
        "text_unit": text_unit,
        "sort": sort or None,
        "time_gaps": time_gaps or None,
        "duplicates": None if duplicates == "error" else duplicates,
        "time_format": time_format,
        "layout": layout,
        # Formats without the option as_sequence ignore it, because it only says how to read data
        # without ids.
        "as_sequence": (as_sequence and "as_sequence" in format_.read_options) or None,
    }
    options = {key: value for key, value in arguments.items() if value is not None}
    for key in options:
        if key not in format_.read_options:
            names = [name for name, allowed in FORMATS.items() if key in allowed.read_options]
            raise ParameterError(
                f"{argument(f'{key}=')} does not apply to the format {format_.name}, only to "
                f"{', '.join(names)}."
            )
    if text_unit is not None:
        check("text_unit", text_unit, one_of("characters", "words"))
    if layout is not None:
        check("layout", layout, one_of("long", "wide"))
    check("memory_bytes", memory_bytes, integer_rule(1))
    file_bytes = Path(path).stat().st_size if is_path and Path(path).is_file() else 0
    may_be_large = file_bytes > memory_bytes // _ASSUMED_UNPACKING_RATIO
    if is_folder or (may_be_large and format_ is PARQUET):
        table_options = TableOptions(**options)
        root: Any = path  # a path, because a stream is no folder and has the size 0 here
        files = open_parquet_files(root, table_options)
        is_small = 4 * files.max_num_values <= memory_bytes  # a float32 has four bytes
        with name_file_in_errors(files.root):
            if is_small or must_be_in_memory(files.schema, files.options):
                table = pa.concat_tables(table for _, table in files.chunks())
                row_namer = RowNamer(describe_row=files.describe_row)
                sequences = sequences_from_table(table, str(files.root), table_options, row_namer)
            else:
                sequences = open_cached(files, table_options, _scale_block_bytes(memory_bytes))
    else:
        file_name = str(Path(path)) if is_path else getattr(path, "name", None)
        # a stream may have no name, or a number as its name
        file_name = file_name if isinstance(file_name, str) else "The stream"
        content = read_decompressed_bytes(path, format_, file_name)
        with name_file_in_errors(file_name):
            sequences = format_.reader(content, file_name, **options)
    # the schema keeps the options, so that `read_for` can read new data in the same way
    # `wide_columns` is None if the table is not wide, and () if all columns of a wide one are steps
    wide_columns = options.get("columns", ()) if layout == "wide" else None
    schema = sequences.schema.with_read_options(
        id, time, time_format, wide_columns=wide_columns, duplicates=arguments["duplicates"]
    )
    return sequences.with_schema(schema)


def read_for(
    schema: Schema | None,
    path: str | os.PathLike[str],
    *,
    ignored_columns: Sequence[str] = (),
    as_sequence: bool = False,
    format: str | None = None,  # noqa: A002
    **options: Any,
) -> Sequences:
    r"""Read a file for a model in the same way as its training data, if it has their columns.

    Parameters
    ----------
    schema : Schema
        The schema of the model. It has the names of the features and of the id and time columns,
        whether the table was wide, the time format, and how repeated times were treated. None for
        a model that takes any columns.
    ignored_columns : list of str, optional
        Columns that are not features, such as labels.
    path, as_sequence, format, **options
        As in `read`. These options take precedence over those of the training data.

    Examples
    --------
    >>> import tempfile
    >>> path = tempfile.mkdtemp() + "/new.csv"
    >>> with open(path, "w") as file:
    ...     _ = file.write("pump,flow,comment\na,0.5,good\na,0.7,\n")
    >>> schema = Sequences.from_table({"pump": [1, 1], "flow": [0.1, 0.2]}, id="pump").schema
    >>> read_for(schema, path)["a"].tolist()
    [[0.5], [0.7]]
    """
    # `user_options` always apply. `training_options` are those with which the training data were
    # read. They are dropped if the file does not have the columns that they name.
    user_options: dict[str, Any] = options | {"as_sequence": as_sequence, "format": format}
    if schema is None and not ignored_columns:
        return read(path, **user_options)
    file_columns: list[str] = []
    # an error is ignored here: if the file cannot be read, `read` below raises it and explains it
    with contextlib.suppress(RefoldError, OSError, ValueError, pa.ArrowException):
        file_columns = column_names(path, format)
    if schema is None:
        not_features = {*ignored_columns, options.get("id", "id"), options.get("time", "time")}
        candidates = [name for name in file_columns if name not in not_features]
        user_options.setdefault("columns", candidates or None)
        return read(path, **user_options)
    features = list(schema.names)
    # the last feature may be the time gap: compute it unless it is a column of the file
    is_gap_missing = schema.time_gaps and file_columns and features[-1] not in file_columns
    if is_gap_missing or (schema.time_gaps and user_options.get("time_gaps")):
        user_options["time_gaps"] = True
        features.pop()
    is_text = not Path(path).is_dir() and find_format(path, format) is TXT
    if schema.layout == "words" and is_text:
        user_options.setdefault("text_unit", "words")
    training_options: dict[str, Any] = {"id": schema.id_name}
    # New data for a model of wide data may be a long or list table. Then all columns are features,
    # ids or times. If there is any other column, the table is wide, and the column is a step.
    long_names = {"id", "time", schema.id_name, schema.time_name, *features, *schema.names}
    may_be_wide = schema.is_wide and set(file_columns) - long_names
    is_wide = user_options.get("layout", "wide" if may_be_wide else None) == "wide"
    if is_wide:
        has_steps = {*schema.step_columns} <= {*file_columns}
        steps = [*schema.step_columns] if has_steps else []  # else `read` finds other steps
        training_options |= {"layout": "wide", "columns": steps or None}
    else:
        # the time format of the training data is that of their time column, and of no other column
        time_format = None if "time" in user_options else schema.time_format
        training_options |= {"time": schema.time_name, "time_format": time_format}
        training_options |= {"duplicates": schema.duplicates}
    training_options = {
        key: value
        for key, value in training_options.items()
        if value is not None and key not in user_options
    }

    # Unless the caller names columns, read the features of the model. If these have default names,
    # such as x0, read all columns except for ignored ones.
    is_named = not has_default_names(schema)
    has_features = set(features) <= set(file_columns)
    if not is_wide and file_columns and (is_named or (ignored_columns and has_features)):
        user_options.setdefault("columns", features)
    elif ignored_columns and file_columns and "columns" not in training_options:
        not_features = {*ignored_columns}
        for role in ("id", "time"):  # their columns have these names by default
            training_name = training_options.get(role)
            default_name = training_name if training_name in file_columns else role
            not_features.add(user_options.get(role, default_name))
        candidates = [name for name in file_columns if name not in not_features]
        user_options.setdefault("columns", find_step_columns(candidates) if is_wide else candidates)

    try:
        return read(path, **user_options, **training_options)
    except (SchemaError, ParameterError):
        # The file differs from the training data. Drop `training_options`, group by group, until
        # the file can be read. The last groups change most: what a sequence is, and what a row is.
        for group in ("time_format",), ("time", "duplicates"), ("id",), ("layout", "columns"):
            dropped = [training_options.pop(key) for key in group if key in training_options]
            if dropped:
                with contextlib.suppress(SchemaError, ParameterError):
                    return read(path, **user_options, **training_options)
        raise


def _scale_block_bytes(memory_bytes: int) -> int:
    """Return the size of a block of mapped sequences, in proportion to `memory_bytes`."""
    # `BLOCK_BYTES` is the size for the default of `memory_bytes`
    return max(1, memory_bytes * BLOCK_BYTES // DEFAULT_MEMORY_BYTES)


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
    path, format : str, PathLike or binary stream
        As in `read`.
    layout : {"list", "long"}, optional
        ``"list"``: one row per sequence, the default of Parquet; for JSON lines, an object with an
        id and named lists. ``"long"``: one row per step, for Parquet, CSV and JSON lines. CSV is
        always long.
    id, time : str
        Names of the id and time columns in Parquet, CSV and JSON lines. A long table has the times
        of the sequences, or else the numbers of the steps.

    Raises
    ------
    FileAccessError, FileFormatError
        If the file cannot be written, or its suffix is unknown.
    SchemaError, DataError
        If the format cannot hold the sequences.

    Examples
    --------
    >>> import tempfile
    >>> from refold.datasets import ramps
    >>> path = tempfile.mkdtemp() + "/ramps.parquet"
    >>> write(ramps(), path)
    >>> read(path)
    Sequences(n=4, lengths=4 to 9, 1 numeric)
    """
    format_ = find_format(path, format)
    if format_.writer is None:
        raise ParameterError(f".{format_.name} files can be read, but not written. Write .jsonl.")
    if layout is not None and layout not in format_.layouts:
        # a format without a choice of layouts takes only None
        layouts = " or ".join(map(repr, format_.layouts)) or "None"
        raise ParameterError(f"layout for {format_.name}: expected {layouts}. Got {layout!r}.")
    options = {"id": id, "time": time, "layout": layout}
    options = {key: value for key, value in options.items() if key in format_.write_options}
    sequences = as_sequences(sequences)
    # all bytes are computed before the file is opened, so that an error changes no file
    content = format_.writer(sequences, **options)
    suffix = Path(path).suffix.lower() if isinstance(path, str | os.PathLike) else ""
    if suffix in CODEC_BY_SUFFIX:
        buffer = pa.BufferOutputStream()
        with pa.CompressedOutputStream(buffer, CODEC_BY_SUFFIX[suffix]) as stream:
            stream.write(content)
        content = buffer.getvalue().to_pybytes()
    if isinstance(path, str | os.PathLike):
        with atomic_writer(path) as file:
            file.write(content)
    else:
        write_all(path, content)


def column_names(path: str | os.PathLike[str], format: str | None = None) -> list[str]:  # noqa: A002
    """Return the column names of a file, or of the first file in a folder; [] without a table."""
    format_ = PARQUET if Path(path).is_dir() else find_format(path, format)
    # only the footer is read, because the file may be larger than memory
    if format_ is PARQUET:
        return read_parquet_column_names(path)
    if format_.column_reader is None:
        return []
    file_name = str(Path(path))
    with name_file_in_errors(file_name):
        return format_.column_reader(read_decompressed_bytes(path, format_, file_name), file_name)


def read_rows(
    path: str | os.PathLike[str],
    sequences: Sequences,
    *,
    format: str | None = None,  # noqa: A002
    as_text: bool = False,
) -> pa.Table | None:
    """Return all rows and columns of the file of ``sequences``; None unless a row is a step.

    If ``as_text``, cells of CSV that are no features stay text, so that they can be written as they
    were.
    """
    if sequences.row_steps is None:
        return None
    if Path(path).is_dir():
        return read_parquet_rows(path)
    file_name, format_ = str(Path(path)), find_format(path, format)
    if format_.table_reader is None:
        return None
    content = read_decompressed_bytes(path, format_, file_name)
    return format_.table_reader(content, file_name, schema=sequences.schema, as_text=as_text)


def read_labels(
    path: str | os.PathLike[str],
    label: str,
    sequences: Sequences,
    *,
    id: str | None = None,  # noqa: A002
    format: str | None = None,  # noqa: A002
) -> np.ndarray:
    r"""Read a label for each sequence from a column of a file.

    Parameters
    ----------
    path, format : str or PathLike
        As in `read`: the file of the sequences, or another with the same ids. Parquet or CSV with
        one row per step or per sequence, JSON lines of objects, or ``.ts``.
    label : str
        The label column; ``"label"`` for a ``.ts`` file, whose labels have no name.
    sequences : Sequences
        The sequences to read labels for.
    id : str, optional
        The id column; by default ``"id"`` if it exists, else rows are numbered from 0.

    Returns
    -------
    array of shape (n_sequences,)
        Integers if all labels are integers, else text.

    Raises
    ------
    SchemaError, DataError
        If there is no such column, or a sequence has two labels or none.
    FileAccessError, FileFormatError
        If the file cannot be read, or does not have the expected format.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp(), "who.csv")
    >>> _ = path.write_text("id,who\n0,ann\n1,bob\n")
    >>> read_labels(path, "who", Sequences.from_list([[1.0, 2.0], [3.0]])).tolist()
    ['ann', 'bob']
    """
    file_name, format_ = str(Path(path)), find_format(path, format)
    if format_.label_reader is None:
        raise ParameterError(
            f"{file_name} has no labels, as .{format_.name} files have no columns. Give them in a "
            ".parquet, .csv or .jsonl file, with the ids of the sequences, or in a .ts file."
        )
    with name_file_in_errors(file_name):
        content = read_decompressed_bytes(path, format_, file_name)
        table = format_.label_reader(content, file_name, label, id)
        if pa.types.is_nested(table[label].type):
            raise SchemaError(f"Column {label!r} holds lists. Expected one label per sequence.")
        id_column = id or "id"
        table_ids: Iterable[Any] = range(len(table))  # without ids, rows are numbered from 0
        if id_column in table.column_names:
            check_id_type(table[id_column].type, id_column)
            # a table with one row per step repeats an id and its label; keep each pair once
            columns = [id_column, label]
            table = table.select(columns).group_by(columns, use_threads=False).aggregate([])
            table_ids = to_id_array(table[id_column].to_pylist(), len(table)).tolist()
    # ids are compared as text, because one file may have integers where the other has text
    labels: dict[str, Any] = {}
    for sequence_id, value in zip(table_ids, table[label].to_pylist(), strict=True):
        if not is_missing_value(value) and labels.setdefault(str(sequence_id), value) != value:
            raise DataError(
                f"{file_name}: the sequence with id {sequence_id!r} has two labels, "
                f"{labels[str(sequence_id)]!r} and {value!r}. Expected one label per sequence."
            )
    ids = sequences.ids.tolist()
    if unlabeled := [sequence_id for sequence_id in ids if str(sequence_id) not in labels]:
        raise DataError(
            f"{file_name} has no {label!r} for the sequence with id {unlabeled[0]!r}"
            ". Give every sequence a label."
        )
    # labels are integers of 64 bits or text, as ids are, so `to_id_array` converts labels, too
    return to_id_array([labels[str(sequence_id)] for sequence_id in ids], len(ids))


def read_from_batches(
    batches: Any,
    *,
    id: str | None = None,  # noqa: A002
    time: str | None = None,
    columns: Sequence[str] | None = None,
    column_types: ColumnTypes = None,
    time_gaps: bool = False,
    duplicates: str = "error",
    time_format: str | None = None,
    memory_bytes: int = DEFAULT_MEMORY_BYTES,
) -> Sequences:
    """Read sequences from batches of rows, such as those of a database.

    Together, the batches are one table, so a sequence may lie in several of them. They are read
    once. Large data are written to a temporary file, because training needs several passes.

    Parameters
    ----------
    batches : iterable, RecordBatchReader or callable
        Tables of Arrow, pandas or polars, or dicts of columns; or one object with the Arrow stream
        interface, such as a ``pyarrow.RecordBatchReader`` or a DuckDB relation; or a function
        without arguments that returns one of these, such as a generator function.
    id, time, columns, column_types, time_gaps, duplicates, time_format, memory_bytes
        As in `refold.sequences.read`.

    Returns
    -------
    Sequences
        Large data are mapped from the temporary file. The file is deleted with the sequences, or
        when Python ends.

    Raises
    ------
    SchemaError, DataError
        As in `read`, or if a batch has other columns or types than the first batch.
    FileAccessError
        If the temporary file cannot be written. ``TMPDIR`` chooses another folder.

    Examples
    --------
    >>> def days():
    ...     yield {"id": ["a", "a"], "x": [0.5, 1.5]}
    ...     yield {"id": ["a", "b"], "x": [2.5, 0.5]}
    >>> read_from_batches(days)
    Sequences(n=2, lengths=1 to 3, 1 numeric)
    """
    check("duplicates", duplicates, DUPLICATES_RULE)
    options = TableOptions(
        id=id,
        time=time,
        columns=[columns] if isinstance(columns, str) else columns,
        column_types=column_types,
        time_gaps=time_gaps,
        duplicates=duplicates if duplicates != "error" else None,
        time_format=time_format,
    )
    tables = _convert_each_batch_to_table(batches)
    # Tables are collected until they end, or are too large for memory. `memory_bytes` is the size
    # of float32 values, and tables usually have float64 values, which take twice the size.
    collected, num_bytes, max_bytes = [], 0, 2 * memory_bytes
    for table in tables:
        collected.append(table)
        num_bytes += table.nbytes
        if num_bytes > max_bytes:
            break
    if not sum(map(len, collected)):
        raise ParameterError("There is no row in the batches. Give at least one.")
    schema = collected[0].schema
    # a column that is empty in the first table has the type of the next table where it has values
    for i, name in enumerate(schema.names):
        fields = [table.schema.field(name) for table in collected if name in table.column_names]
        typed_fields = [field for field in fields if not pa.types.is_null(field.type)]
        schema = schema.set(i, (typed_fields or fields)[0])
    tables = _cast_tables(itertools.chain(collected, tables), schema)
    resolved_options = resolve_table_options(schema, "The batches", options)
    if num_bytes <= max_bytes or must_be_in_memory(schema, resolved_options):
        sequences = sequences_from_table(pa.concat_tables(tables), "The batches", options)
    else:
        with folder_deleted_on_error() as folder:
            stored_batches = StoredTableBatches(folder / "batches.arrow", resolved_options, schema)
            stored_batches.write_tables(tables)
            convert_to_mapped_folder(stored_batches, folder)
            stored_batches.path.unlink()
            sequences = open_folder_and_delete_later(folder, _scale_block_bytes(memory_bytes))
    # the schema keeps the options, so that `read_for` can read new data in the same way
    schema = sequences.schema.with_read_options(
        id, time, time_format, duplicates=options.duplicates
    )
    return sequences.with_schema(schema)


def is_batch_stream(batches_or_table: Any) -> bool:
    """Return whether data are batches of rows for `read_from_batches`, and not a single table."""
    return callable(batches_or_table) or isinstance(batches_or_table, pa.RecordBatchReader)


def _convert_each_batch_to_table(batches: Any) -> Iterator[pa.Table]:
    """Yield an Arrow table for each batch."""
    if callable(batches):
        batches = batches()
    if isinstance(batches, pa.RecordBatch):
        batches = [batches]
    # a whole table, such as a DuckDB relation, is a stream of batches
    elif has_arrow_interface(batches) and not isinstance(batches, pa.RecordBatchReader):
        batches = pa.RecordBatchReader.from_stream(batches)
    if isinstance(batches, str | bytes | Mapping) or not hasattr(batches, "__iter__"):
        raise ParameterError(
            f"Expected batches of rows: an iterable of tables, a pyarrow.RecordBatchReader, or a "
            f"function that returns one. Got a {type(batches).__name__}."
        )
    for i, batch in enumerate(batches):
        if not (has_arrow_interface(batch) or isinstance(batch, Mapping)):
            raise ParameterError(
                f"Batch {i} is a {type(batch).__name__}. Expected a table, such as a "
                "pyarrow.RecordBatch or a DataFrame. For a list of arrays, use Sequences."
            )
        yield to_arrow_table(batch)


def _cast_tables(tables: Iterable[pa.Table], schema: pa.Schema) -> Iterator[pa.Table]:
    """Yield tables with the columns and types of a schema, or raise ``SchemaError``."""
    for i, table in enumerate(tables):
        try:
            # `select` would silently leave out additional columns, so they raise an error here. It
            # is an error of Arrow, like those of `select` and `cast`, and `except` explains all.
            if sorted(table.column_names) != sorted(schema.names):
                raise pa.ArrowInvalid(f"it has the columns {', '.join(table.column_names)}")
            yield table.select(schema.names).cast(schema)
        except pa.ArrowException as error:
            columns = ", ".join(f"{field.name}: {field.type}" for field in schema)
            raise SchemaError(
                f"Batch {i} has other columns or types than those before it: {error}. Convert "
                f"all batches to the same, {columns}."
            ) from error
