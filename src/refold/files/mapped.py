"""Data larger than memory: converted chunk by chunk into a folder, and mapped from its files.

`convert_to_mapped_folder` reads a table in chunks and writes its sequences into a folder.
`open_mapped_folder` leaves the values in the files of the folder until they are used. The folder is
an entry of the cache (`open_cached`), or temporary (`open_folder_and_delete_later`).

A folder holds the values as the bytes of an array in `values`, and `offsets.npy`, `ids.npy` and
`schema.json`. With times, it holds their bytes in `times` and their type in `times.schema`.
"""

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
import time
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import astuple, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from refold._support.arrays import offsets_from_lengths
from refold._support.atomic_files import hold_path_lock
from refold._support.messages import print_stderr, warn
from refold.errors import DataError, FileAccessError, RefoldError, argument
from refold.files.parquet import CHUNK_BYTES, ParquetFiles, TableChunk
from refold.files.tables import TableOptions, convert_long_table
from refold.sequences._encoding import (
    RowNamer,
    SequenceArrays,
    StepLocator,
    encode_columns,
    numeric_text_warnings,
    to_scalar,
)
from refold.sequences._schema import Schema
from refold.sequences._sequences import Sequences
from refold.sequences._tables import (
    arrow_to_numpy,
    check_rows_have_ids,
    choose_column_types,
    factorize,
    flat_arrays_from_list_columns,
    has_lists,
    schema_from_metadata,
    schema_to_metadata,
)
from refold.sequences._times import add_time_gap_to_schema
from refold.sequences.types import CATEGORICAL

# The environment variable that names the cache folder. By default, it is in the user's cache.
CACHE_FOLDER_VARIABLE = "REFOLD_CACHE_DIR"
# The version of the files in a folder. Entries of the cache with another version are not used.
_CACHE_VERSION = 3
# An entry of the cache that was not used for two weeks is removed when another entry is written. An
# entry takes as much disk space as its data, and without it, the data must be converted again.
_MAX_UNUSED_ENTRY_SECONDS = 14 * 24 * 3600.0

# Conversion


@dataclass(frozen=True)
class StoredTableBatches:
    """Batches of rows from a stream, kept in a file, because the conversion reads them twice."""

    # The file has Arrow's stream format. Unlike Arrow's file format, this format can have another
    # dictionary of categories for each batch.

    path: Path
    options: TableOptions  # as `resolve_table_options` returns them
    schema: pa.Schema  # of all batches
    describe_row: Callable[[int], str] = str  # the location of a row for messages: its number

    def write_tables(self, tables: Iterable[pa.Table]) -> None:
        """Write all batches to the file."""
        with pa.ipc.new_stream(self.path, self.schema) as stream:
            for table in tables:
                # rows of a batch of about CHUNK_BYTES
                num_rows = max(1, CHUNK_BYTES * len(table) // max(1, table.nbytes))
                with _explain_write_errors(self.path.parent):
                    stream.write_table(table, max_chunksize=num_rows)

    def chunks(self) -> Iterator[TableChunk]:
        """Yield all rows in chunks."""
        first_row = 0
        with pa.memory_map(str(self.path)) as file, pa.ipc.open_stream(file) as stream:
            for batch in stream:
                yield first_row, pa.Table.from_batches([batch]).select(self.options.used_columns)
                first_row += len(batch)


# A table that is read in chunks: both classes have `options`, `schema`, `chunks`, `describe_row`.
LargeTable = ParquetFiles | StoredTableBatches


def convert_to_mapped_folder(large_table: LargeTable, folder: Path) -> None:
    """Write the sequences of a table into a folder, chunk by chunk."""
    # Types and categories depend on all values, so a first pass infers them, and a second pass
    # writes the values. The first pass ends when types and categories are certain: after the first
    # chunk if all columns are numeric. A single pass would have to change category numbers that are
    # already in the files whenever it reads a new category.
    schema, warning_texts, dtype = _infer_schema(large_table)
    options = large_table.options
    # only the columns of the table: the schema may end in a column of time gaps
    types = {column.name: column.type for column in schema.columns[: len(options.features)]}
    blocks = _convert_blocks(large_table, replace(options, column_types=types), schema)
    write_mapped_folder(folder, blocks, schema, dtype, warning_texts)


def _convert_blocks(
    large_table: LargeTable, options: TableOptions, schema: Schema
) -> Iterator[Sequences]:
    """Yield the sequences of each chunk with this schema; check at the end that no id repeats."""
    # `block_offsets` has the number of sequences before each block and, at its end, in all blocks
    block_ids, block_offsets, first_row_names = [], [0], []
    metadata = schema_to_metadata(schema)
    for first_row, table in _read_chunks_of_whole_sequences(large_table):
        block = _sequences_from_chunk(large_table, (first_row, table), options, metadata)
        first_sequence = block_offsets[-1]
        block_offsets.append(first_sequence + len(block))
        if options.id is None:
            block = block.with_ids(np.arange(first_sequence, block_offsets[-1]))
        block_ids.append(block.ids)
        first_row_names.append(large_table.describe_row(first_row))
        # a block without steps has no values that tell its types, so it only gets the schema
        yield block.convert_to_schema(schema) if len(block.values) else block.with_schema(schema)
    if options.layout == "list":  # each row is a sequence of its own, so ids may repeat
        return
    all_ids = np.concatenate(block_ids)
    # a stable sort puts equal ids next to each other, in the order of their sequences
    order = np.argsort(all_ids, kind="stable")
    # the sequences whose id an earlier sequence has
    repeated = order[1:][all_ids[order][1:] == all_ids[order][:-1]]
    if len(repeated):
        first_repeated = repeated.min()  # the index of a sequence, in the order of the data
        # the block of this sequence
        block_index = int(np.searchsorted(block_offsets, first_repeated, side="right")) - 1
        then_by_time = "" if options.time is None else f", then by {options.time!r}"
        or_sort = ""
        if isinstance(large_table, ParquetFiles):  # batches cannot be sorted by an argument
            or_sort = f", or add {argument(sort=True)}, which needs memory for all values"
        raise DataError(
            f"The rows of id {to_scalar(all_ids[first_repeated])!r} are not together: they "
            f"begin again in row {first_row_names[block_index]} or later, after other ids. Data "
            "that are too large to be read at once must be sorted: sort them by column "
            f"{options.id!r}{then_by_time}{or_sort}."
        )


def _read_chunks_of_whole_sequences(large_table: LargeTable) -> Iterator[TableChunk]:
    """Yield all rows in chunks of whole sequences, so that each chunk can be converted alone."""
    if large_table.options.layout == "list":  # a row is a whole sequence
        yield from large_table.chunks()
        return
    id_column = str(large_table.options.id)
    # The last sequence so far may go on in the next chunk, so its rows wait. These are the tables
    # with its rows, the number of its first row, and its id.
    pending_tables, pending_row, last_id = [], 0, None
    for first_row, table in large_table.chunks():
        id_numbers, ids = factorize(table[id_column])  # row i has the id ids[id_numbers[i]]
        starts = np.flatnonzero(np.diff(id_numbers)) + 1  # the first row of each new id
        if pending_tables and ids[0] != last_id:  # the last sequence is complete
            starts = np.array([0, *starts])
        if len(starts):  # all sequences before the last start are complete
            yield pending_row, pa.concat_tables([*pending_tables, table[: starts[-1]]])
            pending_tables, pending_row = [], first_row + int(starts[-1])
            table = table[starts[-1] :]
        pending_tables.append(table)
        last_id = ids[id_numbers[-1]]
    yield pending_row, pa.concat_tables(pending_tables)


def _sequences_from_chunk(
    large_table: LargeTable,
    chunk: TableChunk,
    options: TableOptions,
    table_metadata: dict[bytes, bytes] | None = None,
) -> Sequences:
    """Convert a chunk of whole sequences; the metadata may hold the schema to use."""
    first_row, table = chunk
    # messages count the rows of the whole table
    row_namer = RowNamer(describe_row=lambda row: large_table.describe_row(first_row + row))
    table = table.replace_schema_metadata(table_metadata)
    if options.layout == "long":
        return convert_long_table(table, options, row_namer)
    if options.id is not None:
        check_rows_have_ids(table[options.id], options.id, row_namer)
    used_options = options.id, options.columns, options.column_types
    return Sequences.from_checked(*flat_arrays_from_list_columns(table, *used_options, row_namer))


def _infer_schema(large_table: LargeTable) -> tuple[Schema, list[str], np.dtype]:
    """Return the schema of all sequences, warnings about it, and a dtype that holds all values."""
    # The types and categories depend on the distinct values only. So one short sequence gets the
    # distinct values of all columns. Encoding this sequence gives the schema of all data.
    options, features = large_table.options, large_table.options.features
    arrow_types = []
    for name in features:
        field = large_table.schema.field(name)
        while has_lists(field):  # the entries of lists, or of lists of lists, have the type
            field = field.type.value_field
        arrow_types.append(field.type)
    # the dtypes of the columns as arrays of NumPy, before their values are encoded
    raw_dtypes = [
        arrow_to_numpy(pa.chunked_array([], type_), name).dtype
        for type_, name in zip(arrow_types, features, strict=True)
    ]
    # None if the table was not written by Refold
    stored_schema = schema_from_metadata(large_table.schema.metadata)
    types = choose_column_types(features, arrow_types, options.column_types, stored_schema)
    distinct_values, has_steps = _collect_distinct_values(large_table, types, raw_dtypes)
    # if all values of all columns are missing, the sequence has one step, which is NaN
    num_steps = max([*map(len, distinct_values), int(has_steps)])
    columns = []
    for values, dtype in zip(distinct_values, raw_dtypes, strict=True):
        # all columns need the same length, so the last value repeats; None without any value
        last_value = next(reversed(values), None)
        padded = [*values, *[last_value] * (num_steps - len(values))]
        if not values and dtype.kind != "O":  # all values are NaN
            # integers cannot hold NaN: take the smallest float type that holds these integers
            dtype = np.result_type(dtype, np.float16)
        columns.append(np.array(padded, dtype))
    # the offsets of one sequence, which has all distinct values
    locate, from_lists = StepLocator(np.array([0, num_steps])), options.layout == "list"
    arrays = encode_columns(
        features, columns, types, locate, has_1d_sequences=from_lists, stored_schema=stored_schema
    )
    # text in lists causes no warning if it holds numbers; small data are treated in the same way
    warning_texts = [] if from_lists else numeric_text_warnings(arrays.schema.columns, types)
    if options.time_gaps:
        # the gaps are float64, and they are in the same array as all other columns
        return add_time_gap_to_schema(arrays.schema), warning_texts, np.dtype(np.float64)
    return arrays.schema, warning_texts, arrays.values.dtype


def _collect_distinct_values(
    large_table: LargeTable, column_types: list[str | None], raw_dtypes: list[np.dtype]
) -> tuple[list[dict[Any, None]], bool]:
    """Return the categories or a few numbers of each column, and whether there are any steps."""
    features = large_table.options.features
    # Text whose type was not requested is converted as categories, even if it holds numbers.
    # Otherwise, each chunk would warn about it. `_infer_schema` warns once.
    column_types = [
        type_ or (CATEGORICAL.name if dtype.kind == "O" else None)
        for type_, dtype in zip(column_types, raw_dtypes, strict=True)
    ]
    types_by_name = dict(zip(features, column_types, strict=True))
    options = replace(large_table.options, column_types=types_by_name)
    # The distinct values of a column are the keys of a dictionary. Unlike a set, it keeps the order
    # in which the values come in the file.
    distinct_values: list[dict[Any, None]] = [{} for _ in features]
    has_steps = False
    for chunk in _read_chunks_of_whole_sequences(large_table):
        sequences = _sequences_from_chunk(large_table, chunk, options)
        has_steps = has_steps or len(sequences.values) > 0
        is_certain = True  # whether later chunks can neither change a type nor add a category
        for i, (values, type_) in enumerate(zip(distinct_values, column_types, strict=True)):
            column = sequences.schema.columns[i]
            if column.column_type.has_categories:
                values.update(dict.fromkeys(column.categories))
                is_certain = False
                continue
            if len(values) < 3:  # three different numbers tell that a column is not binary
                numbers = sequences.values[:, i]
                values.update(dict.fromkeys(np.unique(numbers[~np.isnan(numbers)])[:3].tolist()))
            # A column with a requested type is certain when it has a value. Until then,
            # `_infer_schema` would choose a dtype as if all its values were NaN. Any other column
            # may be binary until it has a number other than 0 and 1.
            is_certain &= bool(values if type_ else {*values} - {0.0, 1.0})
        if is_certain:
            break
    return distinct_values, has_steps


# The files of a folder


def write_mapped_folder(
    folder: Path,
    blocks: Iterable[Sequences],
    schema: Schema,
    dtype: np.dtype,
    warnings_to_store: Sequence[str] = (),
) -> None:
    """Write blocks of sequences, which have the same schema, into the files of a folder."""
    lengths, ids, time_type = [], [], None
    with _explain_write_errors(folder):
        with (folder / "values").open("wb") as file, (folder / "times").open("wb") as time_file:
            for block in blocks:
                file.write(np.ascontiguousarray(block.values, dtype).data)
                if block.times is not None and len(block.times):
                    time_type = _find_common_time_type(time_type, block.times.type, block.ids[0])
                    # `safe=False`: Arrow raises no error if earlier times have a coarser unit, in
                    # which digits of these times are lost
                    times = block.times.cast(time_type, safe=False)
                    # only the bytes of this array, which may be a slice of a larger buffer
                    width = time_type.bit_width // 8
                    buffer = times.buffers()[1]
                    time_file.write(buffer.slice(times.offset * width, len(times) * width))
                lengths.append(block.lengths)
                ids.append(block.ids)
        np.save(folder / "offsets.npy", offsets_from_lengths(np.concatenate(lengths)))
        np.save(folder / "ids.npy", np.concatenate(ids))
        if time_type is not None:
            (folder / "times.schema").write_bytes(pa.schema([("time", time_type)]).serialize())
        metadata = {"schema": schema.to_dict(), "dtype": np.dtype(dtype).str}
        metadata["warnings"] = [*warnings_to_store]
        (folder / "schema.json").write_text(json.dumps(metadata), encoding="utf-8")


def _find_common_time_type(
    earlier_type: pa.DataType | None, block_type: pa.DataType, first_id_of_block: Any
) -> pa.DataType:
    """Return a type for the times of earlier blocks and of this block; an error names the id."""
    if earlier_type is None or earlier_type == block_type:
        return block_type
    zone, earlier_zone = getattr(block_type, "tz", None), getattr(earlier_type, "tz", None)
    if earlier_type.id != block_type.id or (zone is None) != (earlier_zone is None):
        raise DataError(
            f"The times of id {to_scalar(first_id_of_block)!r} are {block_type}, but those "
            f"before it are {earlier_type}. Expected all numbers, all dates without a time zone, "
            "or all dates with one."
        )
    # Times as text may have a different zone in each block. Arrow stores all of them as UTC.
    if pa.types.is_timestamp(earlier_type) and zone != earlier_zone:
        return pa.timestamp(earlier_type.unit, "UTC")
    return earlier_type


@contextmanager
def _explain_write_errors(folder: Path) -> Iterator[None]:
    """Turn an error of the operating system into one that says how to choose another folder."""
    try:
        yield
    except OSError as error:
        if isinstance(error, RefoldError):
            raise
        raise FileAccessError(
            f"{folder} cannot be written: {error.strerror or error}. The environment variable "
            f"{CACHE_FOLDER_VARIABLE} names another folder for the cache, and TMPDIR for temporary "
            "files."
        ) from error


def open_mapped_folder(folder: Path, block_bytes: int) -> Sequences:
    """Open the sequences of a folder, and repeat the warnings of their conversion."""
    metadata = json.loads((folder / "schema.json").read_text(encoding="utf-8"))
    schema = Schema.from_dict(metadata["schema"])
    offsets, ids = (np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("offsets", "ids"))
    shape = int(offsets[-1]), schema.num_columns
    values = np.empty(shape, metadata["dtype"])
    if len(values):  # an empty file cannot be mapped
        values = np.memmap(folder / "values", metadata["dtype"], "r", shape=shape)
    times = None
    if (folder / "times.schema").exists():
        time_field = pa.ipc.read_schema(pa.py_buffer((folder / "times.schema").read_bytes()))[0]
        buffer = pa.memory_map(str(folder / "times")).read_buffer()
        times = pa.Array.from_buffers(time_field.type, len(values), [None, buffer])
    for message in metadata["warnings"]:
        warn(message)
    arrays = SequenceArrays(values, offsets, ids, schema, times)
    return Sequences.from_checked(*arrays, is_mapped=True, block_bytes=block_bytes)


@contextmanager
def folder_deleted_on_error(parent: Path | None = None) -> Iterator[Path]:
    """Yield a new folder, which is deleted after an error and stays otherwise."""
    with _explain_write_errors(parent or Path(tempfile.gettempdir())):
        folder = Path(tempfile.mkdtemp(prefix=".refold-", dir=parent))
    try:
        yield folder
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def open_folder_and_delete_later(mapped_folder: Path, block_bytes: int) -> Sequences:
    """Open the sequences of a folder that is deleted with them, or when Python ends."""
    sequences = open_mapped_folder(mapped_folder, block_bytes)
    # copies of the sequences share the mapped array, so the folder stays until no copy is left
    mapped_array = sequences.values.base if len(sequences.values) else sequences.values
    weakref.finalize(mapped_array, shutil.rmtree, mapped_folder, ignore_errors=True)
    return sequences


def apply_to_mapped_blocks(
    sequences: Sequences, convert_block: Callable[[Sequences], Sequences]
) -> Sequences:
    """Apply a function to each block of mapped sequences; the result is in a temporary folder."""
    # the schema is needed before the first block: the result for an empty block has it
    schema = convert_block(sequences.block(0, 0)).schema
    with folder_deleted_on_error(_make_cache_folder()) as folder:
        write_mapped_folder(folder, map(convert_block, sequences.blocks()), schema, sequences.dtype)
        return open_folder_and_delete_later(folder, sequences.block_bytes)


# The cache


def open_cached(files: ParquetFiles, options: TableOptions, block_bytes: int) -> Sequences:
    """Open the sequences of files in the cache; convert the files if they are not there."""
    folder = _make_cache_folder()
    # the name of an entry is a hash of the files, of their sizes and dates, and of the options
    file_versions = []
    for path in files.paths:
        status = path.stat()
        file_versions.append((str(path.absolute()), status.st_size, status.st_mtime_ns))
    description = json.dumps([_CACHE_VERSION, file_versions, *astuple(options)], default=str)
    entry = folder / hashlib.sha256(description.encode()).hexdigest()[:32]
    if not entry.is_dir():
        with hold_path_lock(entry, locked_message=None):  # waits for another process
            if not entry.is_dir():  # another process may have written it
                _free_cache_space(folder, files)
                print_stderr(
                    f"{files.root} is too large to be read at once: its values go to {entry}."
                )
                with folder_deleted_on_error(folder) as new_entry:
                    convert_to_mapped_folder(files, new_entry)
                    # The entry gets its name when it is complete. If this file system has no locks,
                    # another process may have written the entry first, and then its entry stays.
                    with contextlib.suppress(OSError):
                        new_entry.rename(entry)
    os.utime(entry)  # `_free_cache_space` takes the date of a folder as its last use
    return open_mapped_folder(entry, block_bytes)


def _make_cache_folder() -> Path:
    """Return the folder of the cache entries, which is made if there is none."""
    parent = os.environ.get(CACHE_FOLDER_VARIABLE)
    if not parent:
        import platformdirs

        parent = platformdirs.user_cache_dir("refold", appauthor=False)
    folder = Path(parent) / "sequences"
    with _explain_write_errors(folder):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)  # data are only for this user
    return folder


def _free_cache_space(cache_folder: Path, new_files: ParquetFiles) -> None:
    """Remove entries that were not used for two weeks, and more if the disk is too full."""
    oldest_date = time.time() - _MAX_UNUSED_ENTRY_SECONDS
    needed_bytes = 4 * new_files.max_num_values  # a float32 has 4 bytes
    if new_files.options.time is not None:
        # times of 64 bits
        needed_bytes += 8 * new_files.max_num_values // len(new_files.options.features)
    dates = {}
    for path in cache_folder.iterdir():
        with contextlib.suppress(OSError):  # another process may have removed it
            dates[path] = path.stat().st_mtime
    for path in sorted(dates, key=dates.__getitem__):  # the oldest first
        # a name with a dot at the front is a lock, or an entry that is being written
        is_entry = not path.name.startswith(".")
        # measured again for each entry, because each removal frees space
        is_disk_full = shutil.disk_usage(cache_folder).free < needed_bytes
        if dates[path] < oldest_date or (is_entry and is_disk_full):
            shutil.rmtree(path, ignore_errors=True)
    free_bytes = shutil.disk_usage(cache_folder).free
    if free_bytes < needed_bytes:
        raise FileAccessError(
            f"{new_files.root} is too large to be read at once, and needs {needed_bytes / 1e9:.1f} "
            f"GB of disk in {cache_folder}, which has {free_bytes / 1e9:.1f} GB left. Name a "
            f"folder with more space in the environment variable {CACHE_FOLDER_VARIABLE}."
        )
