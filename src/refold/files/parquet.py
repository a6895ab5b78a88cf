"""Parquet files are read as a whole, or together as one table in chunks.

`sequences_from_parquet` takes the bytes of a file, and `sequences_to_parquet` returns them.
`open_parquet_files` opens a file or a folder as a table, and `ParquetFiles.chunks` yields its rows.
"""

import bisect
import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from refold._support.atomic_files import make_access_error, require_local_path
from refold.errors import FileFormatError, RefoldError, SchemaError, argument
from refold.files.formats import Format, check_first_bytes
from refold.files.tables import (
    TABLE_OPTION_NAMES,
    TableOptions,
    check_has_rows,
    check_label_column,
    name_file_in_errors,
    resolve_table_options,
    sequences_from_table,
    to_long_table,
)
from refold.sequences._encoding import expand_column_types
from refold.sequences._schema import Column, Schema, check_unique_names, merge_column_descriptions
from refold.sequences._sequences import Sequences
from refold.sequences._tables import pandas_index_names, schema_from_metadata, schema_to_metadata

# Approximate memory of a chunk of rows. Larger chunks take more memory, and smaller ones take more
# time for each row.
CHUNK_BYTES = 2 << 20
# Consecutive rows of a large table: the number of the first one in the table, and the rows.
TableChunk = tuple[int, pa.Table]
# Bytes that are read from a file at a time, so that a large column chunk is never in memory as a
# whole.
_READ_BUFFER_BYTES = 1 << 18


def sequences_to_parquet(
    sequences: Sequences,
    *,
    layout: str | None = None,
    id: str = "id",  # noqa: A002
    time: str = "time",
) -> bytes:
    """Return a Parquet file, one row per sequence unless ``layout`` is ``"long"``."""
    table = to_long_table(sequences, id, time) if layout == "long" else sequences.to_arrow(id)
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd", write_page_checksum=True)
    return buffer.getvalue()


def sequences_from_parquet(content: bytes, file_name: str, **options: Any) -> Sequences:
    """Read a Parquet file of Refold, or any other table in the list, long or wide layout."""
    with _name_damaged_file(file_name):
        table = table_from_parquet(content, file_name)
        # read here only so that an error names the file if the metadata are damaged
        pandas_index_names(table.schema.metadata or {})
    return sequences_from_table(table, file_name, TableOptions(**options))


def label_table_from_parquet(
    content: bytes, file_name: str, label_column: str, id_column: str | None
) -> pa.Table:
    """Return the label column, and the id column if there is one."""
    with _name_damaged_file(file_name):
        file = pq.ParquetFile(pa.BufferReader(content), page_checksum_verification=True)
        names = file.schema_arrow.names
        check_label_column(names, file_name, label_column, id_column)
        label_and_id = {label_column, id_column or "id"}
        return file.read([column for column in names if column in label_and_id])


def table_from_parquet(content: bytes, file_name: str, **_options_of_others: Any) -> pa.Table:
    """Return all rows and columns."""
    with _name_damaged_file(file_name):
        return pq.ParquetFile(pa.BufferReader(content), page_checksum_verification=True).read()


def read_parquet_column_names(path: str | os.PathLike[str]) -> list[str]:
    """Return the names of the list columns, or of all columns if there are no list columns."""
    # `read` uses only the list columns of a table that has some
    path = require_local_path(path)
    path = _list_parquet_files(path)[0] if path.is_dir() else path
    with _name_damaged_file(path):
        schema = pq.read_schema(path)
    return [field.name for field in schema if pa.types.is_nested(field.type)] or schema.names


def read_parquet_rows(folder: str | os.PathLike[str]) -> pa.Table:
    """Return all rows of the files of a folder, with the columns that any of them has."""
    tables = []
    for path in _list_parquet_files(require_local_path(folder)):
        with _name_damaged_file(path):
            tables.append(pq.ParquetFile(path).read())
    return pa.concat_tables(tables, promote_options="permissive")


@contextmanager
def _name_damaged_file(path: str | Path) -> Iterator[None]:
    """Turn errors of Arrow and of the operating system into errors that name the file."""
    try:
        yield
    except RefoldError:
        raise
    except (pa.ArrowException, OSError, ValueError) as error:
        # an error of the operating system has an ``errno``, and Arrow's own OSErrors have none
        if isinstance(error, OSError) and error.errno is not None:
            raise make_access_error(path, error, writing=False) from error
        reason = " ".join(str(error).split()).rstrip(".")
        raise FileFormatError(f"{path} is damaged: {reason}. Write it again.") from error


PARQUET = Format(
    "parquet",
    (".parquet", ".pq"),
    reader=sequences_from_parquet,
    read_options=TABLE_OPTION_NAMES,
    writer=sequences_to_parquet,
    write_options=frozenset({"id", "time", "layout"}),
    layouts=("list", "long"),
    signature=b"PAR1",
    is_table=True,
    label_reader=label_table_from_parquet,
    table_reader=table_from_parquet,
)


# Files that form one table


class ParquetFiles(NamedTuple):
    """Files whose rows form one table, in the order of the files."""

    root: Path  # the single file, or the folder of the files
    paths: list[Path]
    first_rows: list[int]  # the number of each file's first row in the table
    options: TableOptions  # as `resolve_table_options` returns them
    schema: pa.Schema  # types of the used columns, which hold the values of all files
    max_num_values: int  # an upper limit of the number of feature values
    max_bytes_per_row: int  # the mean memory of a row, in the row group where it is largest

    def describe_row(self, row: int) -> str:
        """Return the location of a row for messages: "7", or "7 of b.parquet" for several files."""
        if len(self.paths) == 1:
            return str(row)
        i = bisect.bisect_right(self.first_rows, row) - 1
        return f"{row - self.first_rows[i]} of {self.paths[i]}"

    def chunks(self) -> Iterator[TableChunk]:
        """Yield all rows of the table in chunks."""
        pool = pa.default_memory_pool()
        for path, first_row in zip(self.paths, self.first_rows, strict=True):
            with _name_damaged_file(path):
                batches = _open_buffered_parquet_file(path).iter_batches(
                    batch_size=max(1, CHUNK_BYTES // self.max_bytes_per_row),
                    columns=self.options.used_columns,
                )
                for batch in batches:
                    table = pa.Table.from_batches([batch]).select(self.options.used_columns)
                    yield first_row, table.cast(self.schema)
                    first_row += len(batch)
                    # Free the memory before the next batch is read. Otherwise `batch` and `table`
                    # keep this batch, and Arrow's pool keeps freed memory for later batches.
                    del batch, table
                    pool.release_unused()


def open_parquet_files(path: str | os.PathLike[str], options: TableOptions) -> ParquetFiles:
    """Open a file, or all files of a folder; only the footers with the metadata are read."""
    root = require_local_path(path)
    paths = _list_parquet_files(root) if root.is_dir() else [root]
    # the last entry of `first_rows` is the number of rows so far: the first row of the next file
    schemas, file_options, first_rows, num_values, max_bytes_per_row = [], [], [0], 0, 1
    for file_path in paths:
        with _name_damaged_file(file_path), name_file_in_errors(file_path):
            with file_path.open("rb") as file:
                check_first_bytes(file.read(4096), PARQUET, str(file_path))
            footer = _open_buffered_parquet_file(file_path)
            schemas.append(footer.schema_arrow)
            check_unique_names(schemas[-1].names)
            file_options.append(resolve_table_options(schemas[-1], str(file_path), options))
        # The path of a number column is "x", and that of a list column "x.list.element". With a dot
        # at the end, the prefix "x." does not match the column "x1".
        prefixes = tuple(f"{name}." for name in file_options[0].features)
        first_rows.append(first_rows[-1] + footer.metadata.num_rows)
        for i in range(footer.metadata.num_row_groups):
            row_group = footer.metadata.row_group(i)
            column_chunks = [row_group.column(j) for j in range(row_group.num_columns)]
            num_group_values = sum(
                chunk.num_values
                for chunk in column_chunks
                if f"{chunk.path_in_schema}.".startswith(prefixes)
            )
            # null and empty lists count as values, too, so the sum is an upper limit
            num_values += num_group_values
            # a batch in memory takes eight bytes for each decoded value, and its encoded bytes
            group_bytes = 8 * num_group_values + row_group.total_byte_size
            group_bytes_per_row = -(-group_bytes // max(1, row_group.num_rows))  # rounded up
            max_bytes_per_row = max(max_bytes_per_row, group_bytes_per_row)
    # what remains in `first_rows` has one entry per file
    check_has_rows(first_rows.pop(), schemas[0].names, str(root))
    with name_file_in_errors(root):
        schema = _merge_schemas(paths, schemas, file_options)
    options = file_options[0]  # all files use the same columns, or `_merge_schemas` refuses them
    return ParquetFiles(root, paths, first_rows, options, schema, num_values, max_bytes_per_row)


def _merge_schemas(
    paths: list[Path], schemas: list[pa.Schema], file_options: list[TableOptions]
) -> pa.Schema:
    """Return types of the used columns that hold the values of all files."""
    # A file that Refold wrote has a `Schema` of its sequences in its metadata. These schemas are
    # merged, too, and the result is in the metadata of the returned types.
    used_columns, merged = file_options[0].used_columns, pa.schema([])
    for path, schema, options in zip(paths, schemas, file_options, strict=True):
        try:
            if {*options.used_columns} != {*used_columns}:
                raise pa.ArrowInvalid(
                    f"{', '.join(options.used_columns)} beside {', '.join(used_columns)}"
                )
            file_schema = pa.schema([schema.field(name) for name in used_columns])
            # "permissive" unites different types. Arrow has two types of text, and some writers use
            # the larger one only for large files. A column without values has the type null.
            merged = pa.unify_schemas([merged, file_schema], promote_options="permissive")
        except pa.ArrowException as error:
            raise SchemaError(
                f"{path} has other columns or types than {paths[0]}: {error}. All files of a "
                "folder need the same. Write it again, move it elsewhere, or choose the columns "
                f"with {argument('columns=')}."
            ) from error
    stored_schemas = [schema_from_metadata(schema.metadata) for schema in schemas]
    refold_schemas = [schema for schema in stored_schemas if schema]
    if not refold_schemas:
        return merged
    features = file_options[0].features
    types = expand_column_types(file_options[0].column_types, features)
    requested_types = dict(zip(features, types, strict=True))
    columns: dict[str, list[Column]] = {}  # the columns of all files, by name
    for schema in refold_schemas:
        for column in schema.columns:
            # if the user requests another type, it replaces the stored type and its categories
            type_ = requested_types.get(column.name) or column.type
            column = column if type_ == column.type else Column(column.name, type_)
            columns.setdefault(column.name, []).append(column)
    union = tuple(map(merge_column_descriptions, columns.values()))
    layouts = {schema.layout for schema in refold_schemas}
    schema = Schema(union, refold_schemas[0].layout if len(layouts) == 1 else "array")
    return merged.with_metadata(schema_to_metadata(schema))


def _list_parquet_files(root: Path) -> list[Path]:
    """Return the Parquet files of a folder and its subfolders, in the order of their names."""
    files = []
    with _name_damaged_file(root):
        for path in sorted(root.rglob("*")):
            # as in Arrow, files and folders that begin with a dot or an underscore are skipped
            is_hidden = any(name.startswith((".", "_")) for name in path.relative_to(root).parts)
            if path.suffix.lower() in PARQUET.suffixes and not is_hidden and path.is_file():
                files.append(path)
    if not files:
        raise FileFormatError(
            f"The folder {root} holds no Parquet file ({' or '.join(PARQUET.suffixes)}). Convert "
            "the data with refold.sequences.read and write."
        )
    return files


def _open_buffered_parquet_file(path: Path) -> pq.ParquetFile:
    """Open a file to read it in small batches; by default, Arrow reads whole column chunks."""
    return pq.ParquetFile(
        path, buffer_size=_READ_BUFFER_BYTES, pre_buffer=False, page_checksum_verification=True
    )
