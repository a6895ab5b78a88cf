"""Data larger than memory: converted part by part into a folder, mapped from it, and cached.

A folder holds `values`, the bytes of an array, `offsets.npy`, `ids.npy` and `schema.json`. With
times, it holds their bytes in `times` and their type in `times.schema`.
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
from refold._support.output import log, warn
from refold._support.paths import sole_use
from refold.errors import DataError, FileAccessError, RefoldError
from refold.files.parquet import PART_BYTES, ParquetFiles, Part
from refold.files.tables import TableOptions, from_long_table
from refold.sequences._parts import Parts, Places, Rows, encode_parts, plain, text_warnings
from refold.sequences._schema import Schema
from refold.sequences._sequences import Sequences
from refold.sequences._tables import (
    as_raw,
    check_has_ids,
    factorized,
    has_lists,
    known_types,
    metadata_of,
    parts_from_arrow,
    stored_schema,
)
from refold.sequences._times import with_time_gaps
from refold.sequences.types import CATEGORICAL

# The environment variable with the cache folder; by default that of the user.
CACHE_VARIABLE = "REFOLD_CACHE_DIR"
# Entries with another version are not used.
_VERSION = 3
# Entries that were not used for so long are removed when another one is written.
_KEPT_SECONDS = 14 * 24 * 3600.0

# Conversion


@dataclass(frozen=True)
class StoredBatches:
    """Batches that were written to a file, because they come once and conversion takes two passes.

    The file is a stream of Arrow, which holds all types, and a dictionary for each batch.
    """

    path: Path
    layout: TableOptions
    schema: pa.Schema  # of the batches
    place: Callable[[int], str] = str  # of a row, for messages

    def write(self, tables: Iterable[pa.Table]) -> None:
        """Write all batches."""
        with pa.ipc.new_stream(self.path, self.schema) as stream:
            for table in tables:
                rows = max(1, PART_BYTES * len(table) // max(1, table.nbytes))
                with _writing(self.path.parent):
                    stream.write_table(table, max_chunksize=rows)

    def parts(self) -> Iterator[Part]:
        """Yield all rows."""
        first = 0
        with pa.memory_map(str(self.path)) as file, pa.ipc.open_stream(file) as stream:
            for batch in stream:
                yield first, pa.Table.from_batches([batch]).select(self.layout.used)
                first += len(batch)


Source = ParquetFiles | StoredBatches


def convert(source: Source, folder: Path) -> None:
    """Write the sequences of a source into a folder, part by part."""
    # Types and categories follow from all values together, so a first pass settles them, and a
    # second one writes the values. The first pass ends when they are certain, after the first part
    # if all columns are numeric. With one pass, indices of categories had to be replaced on disk,
    # and the code was longer.
    schema, warnings, dtype = _settle(source)
    columns = schema.columns[: len(source.layout.features)]  # without the gaps between times
    layout = replace(source.layout, column_types={column.name: column.type for column in columns})
    write_folder(folder, _blocks(source, layout, schema), schema, dtype, warnings)


def _blocks(source: Source, layout: TableOptions, schema: Schema) -> Iterator[Sequences]:
    """Yield the sequences of all parts with a schema; their ids differ in a long table."""
    ids, firsts, count = [], [], 0
    for part in _whole_sequences(source):
        block = _converted(source, part, layout, metadata_of(schema))
        if layout.id is None:
            block = block.with_ids(np.arange(count, count + len(block)))
        ids.append(block.ids)
        firsts.append(part[0])
        count += len(block)
        yield block.align(schema) if len(block.values) else block.with_schema(schema)
    if not layout.lists:
        _check_together(ids, [source.place(first) for first in firsts], layout)


# A part that holds whole sequences is converted like a table in memory.
def _whole_sequences(source: Source) -> Iterator[Part]:
    """Yield all rows in parts that hold whole sequences."""
    if source.layout.lists:
        yield from source.parts()
        return
    id_column = str(source.layout.id)
    waiting, start, last_id = [], 0, None  # the rows of the last sequence, which may have more
    for first, table in source.parts():
        check_has_ids(table[id_column], id_column, _rows(source, first))
        codes, ids = factorized(table[id_column])
        begins = np.flatnonzero(np.diff(codes)) + 1
        if waiting and ids[0] != last_id:
            begins = np.array([0, *begins])
        if len(begins):  # all sequences but the last one are whole
            yield start, pa.concat_tables([*waiting, table[: begins[-1]]])
            waiting, start, table = [], first + int(begins[-1]), table[begins[-1] :]
        waiting.append(table)
        last_id = ids[codes[-1]]
    yield start, pa.concat_tables(waiting)


def _converted(
    source: Source, part: Part, layout: TableOptions, metadata: dict[bytes, bytes] | None = None
) -> Sequences:
    """Convert some whole sequences, with the schema that metadata hold."""
    first, table = part
    rows, table = _rows(source, first), table.replace_schema_metadata(metadata)
    if not layout.lists:
        return from_long_table(table, layout, rows)
    if layout.id is not None:
        check_has_ids(table[layout.id], layout.id, rows)
    parts = parts_from_arrow(table, layout.id, layout.columns, layout.column_types, rows)
    return Sequences.trusted(*parts)


def _rows(source: Source, first: int) -> Rows:
    """Describe the rows from this one on."""
    return Rows(number=lambda row: source.place(first + row))


def _settle(source: Source) -> tuple[Schema, list[str], np.dtype]:
    """Return the schema of all sequences, warnings about it, and a dtype that holds all values."""
    # A small sequence with the different values of each column has the types and categories of all
    # sequences.
    layout, names = source.layout, source.layout.features
    leaves = [_leaf(source.schema.field(name)) for name in names]
    raws = [
        as_raw(pa.chunked_array([], leaf), name) for leaf, name in zip(leaves, names, strict=True)
    ]
    stored = stored_schema(source.schema.metadata)
    types = known_types(names, leaves, layout.column_types, stored)
    contents, has_steps = _different_values(source, types, raws)
    length = max([*map(len, contents), int(has_steps)])
    columns = []
    for values, raw in zip(contents, raws, strict=True):
        last = [*values][-1:] or [None]
        padded = [*values, *last * (length - len(values))]
        dtype = raw.dtype
        if not values and dtype.kind != "O":  # whole numbers cannot be missing
            dtype = np.result_type(dtype, np.float16)
        columns.append(np.array(padded, dtype))
    places = Places(np.array([0, length]))
    parts = encode_parts(names, columns, types, places, lists=layout.lists, stored=stored)
    warnings = [] if layout.lists else text_warnings(parts.schema.columns, types)
    if layout.time_gaps:
        return with_time_gaps(parts.schema), warnings, np.dtype(np.float64)
    return parts.schema, warnings, parts.values.dtype


def _different_values(
    source: Source, types: list[str | None], raws: list[np.ndarray]
) -> tuple[list[dict[Any, None]], bool]:
    """Return the categories of each column, or up to three numbers, and whether there are steps."""
    names = source.layout.features
    # text is converted as categories even if it holds numbers, of which one warning tells
    types = [
        type_ or (CATEGORICAL.name if raw.dtype == object else None)
        for type_, raw in zip(types, raws, strict=True)
    ]
    layout = replace(source.layout, column_types=dict(zip(names, types, strict=True)))
    contents: list[dict[Any, None]] = [{} for _ in names]
    has_steps = False
    for part in _whole_sequences(source):
        converted = _converted(source, part, layout)
        has_steps = has_steps or len(converted.values) > 0
        is_settled = True  # whether later parts cannot change a type or add a category
        for i, (values, type_) in enumerate(zip(contents, types, strict=True)):
            column = converted.schema.columns[i]
            if column.column_type.has_categories:
                values.update(dict.fromkeys(column.categories))
                is_settled = False
                continue
            if len(values) < 3:  # three numbers tell that a column is not binary
                numbers = converted.values[:, i]
                values.update(dict.fromkeys(np.unique(numbers[~np.isnan(numbers)])[:3].tolist()))
            # a column of a known type needs a value, and another one a value that is not binary
            is_settled &= bool(values if type_ else {*values} - {0.0, 1.0})
        if is_settled:
            break
    return contents, has_steps


def _leaf(field: pa.Field) -> pa.DataType:
    """Return the type of single values in a column."""
    while has_lists(field):
        field = field.type.value_field
    return field.type


def _check_together(ids: list[np.ndarray], places: list[str], layout: TableOptions) -> None:
    """Raise ``DataError`` if rows of an id lie in parts apart, whose first rows these are."""
    together = np.concatenate(ids)
    order = np.argsort(together, kind="stable")
    again = order[1:][together[order][1:] == together[order][:-1]]
    if len(again):
        ends = np.cumsum([len(part) for part in ids])
        place = places[int(np.searchsorted(ends, again.min(), side="right"))]
        by = "" if layout.time is None else f", then by {layout.time!r}"
        raise DataError(
            f"The rows of id {plain(together[again.min()])!r} are not together: row {place} or a "
            "later one comes after rows of another id. Sort data that are larger than memory by "
            f"column {layout.id!r}{by}."
        )


# A folder


def write_folder(
    folder: Path,
    blocks: Iterable[Sequences],
    schema: Schema,
    dtype: np.dtype,
    warnings: Sequence[str] = (),
) -> None:
    """Write sequences of a schema, which come in blocks, as `open_folder` reads them."""
    lengths, ids, time_type = [np.zeros(0, np.int64)], [], None
    with _writing(folder):
        with (folder / "values").open("wb") as file, (folder / "times").open("wb") as time_file:
            for block in blocks:
                file.write(np.ascontiguousarray(block.values, dtype).data)
                if block.times is not None and len(block.times):
                    time_type = _common_type(time_type, block.times.type, block.ids[0])
                    time_file.write(_bytes_of(block.times.cast(time_type, safe=False)))
                lengths.append(block.lengths)
                ids.append(block.ids)
        np.save(folder / "offsets.npy", offsets_from_lengths(np.concatenate(lengths)))
        np.save(folder / "ids.npy", np.concatenate(ids))
        if time_type is not None:
            (folder / "times.schema").write_bytes(pa.schema([("time", time_type)]).serialize())
        state = {"schema": schema.to_dict(), "dtype": np.dtype(dtype).str, "warnings": [*warnings]}
        (folder / "schema.json").write_text(json.dumps(state), encoding="utf-8")


def _common_type(before: pa.DataType | None, type_: pa.DataType, identity: Any) -> pa.DataType:
    """Return the type of the times of some blocks and another one; text may have other zones."""
    if before is None or before == type_:
        return type_
    zones = [getattr(each, "tz", None) for each in (before, type_)]
    if before.id != type_.id or (zones[0] is None) != (zones[1] is None):
        raise DataError(
            f"The times of id {plain(identity)!r} are {type_}, but those before it are {before}"
            ". Expected all numbers, all dates without a time zone, or all dates with one."
        )
    is_timestamp = pa.types.is_timestamp(before)
    return pa.timestamp(before.unit, "UTC") if is_timestamp and zones[0] != zones[1] else before


def _bytes_of(times: pa.Array) -> pa.Buffer:
    width = times.type.bit_width // 8
    return times.buffers()[1].slice(times.offset * width, len(times) * width)


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    """Turn errors of the system into one that says how to choose another folder."""
    try:
        yield
    except OSError as error:
        if isinstance(error, RefoldError):
            raise
        raise FileAccessError(
            f"{folder} cannot be written: {error.strerror or error}. The environment variable "
            f"{CACHE_VARIABLE} names another folder for the cache, and TMPDIR for temporary files."
        ) from error


def open_folder(folder: Path, block_bytes: int) -> Sequences:
    """Open the sequences of a folder, and repeat the warnings about them."""
    state = json.loads((folder / "schema.json").read_text(encoding="utf-8"))
    schema = Schema.from_dict(state["schema"])
    offsets, ids = (np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("offsets", "ids"))
    shape = int(offsets[-1]), schema.num_columns
    values = np.empty(shape, state["dtype"])
    if len(values):  # an empty file cannot be mapped
        values = np.memmap(folder / "values", state["dtype"], "r", shape=shape)
    times = None
    if (folder / "times.schema").exists():
        type_ = pa.ipc.read_schema(pa.py_buffer((folder / "times.schema").read_bytes()))[0].type
        buffer = pa.memory_map(str(folder / "times")).read_buffer()
        times = pa.Array.from_buffers(type_, len(values), [None, buffer])
    for message in state["warnings"]:
        warn(message)
    parts = Parts(values, offsets, ids, schema, times)
    return Sequences.trusted(*parts, is_mapped=True, block_bytes=block_bytes)


@contextmanager
def temporary_folder(parent: Path | None = None) -> Iterator[Path]:
    """Yield a new folder, which is deleted after an error."""
    with _writing(parent or Path(tempfile.gettempdir())):
        folder = Path(tempfile.mkdtemp(prefix=".refold-", dir=parent))
    try:
        yield folder
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def open_temporary(folder: Path, block_bytes: int) -> Sequences:
    """Open the sequences of a folder that is deleted with them, or when Python ends."""
    sequences = open_folder(folder, block_bytes)
    weakref.finalize(sequences.values.base, shutil.rmtree, folder, ignore_errors=True)
    return sequences


def mapped_blocks(sequences: Sequences, change: Callable[[Sequences], Sequences]) -> Sequences:
    """Return mapped sequences with each block changed, in a temporary file that goes with them."""
    schema = change(sequences.block(0, 0)).schema
    with temporary_folder(_cache_folder()) as folder:
        write_folder(folder, map(change, sequences.blocks()), schema, sequences.dtype)
        return open_temporary(folder, sequences.block_bytes)


# The cache


def cached(
    files: ParquetFiles, options: TableOptions, write: Callable[[Path], None], block_bytes: int
) -> Sequences:
    """Return the sequences of files, mapped from their entry in the cache, which may be new."""
    folder = _cache_folder()
    states = [(str(path.absolute()), path.stat()) for path in files.paths]
    stamps = [(path, state.st_size, state.st_mtime_ns) for path, state in states]
    key = json.dumps([_VERSION, stamps, *astuple(options)], default=str)
    entry = folder / hashlib.sha256(key.encode()).hexdigest()[:32]
    if not entry.is_dir():
        with sole_use(entry, None):  # waits for another process
            if not entry.is_dir():  # another process may have written it
                _make_room(folder, files)
                log(f"{files.root} is larger than memory, so its values are copied to {entry}.")
                with temporary_folder(folder) as new:
                    write(new)
                    with contextlib.suppress(OSError):  # another process was faster, without lock
                        new.rename(entry)
    os.utime(entry)  # the time of the last use
    return open_folder(entry, block_bytes)


def _cache_folder() -> Path:
    parent = os.environ.get(CACHE_VARIABLE)
    if not parent:
        import platformdirs

        parent = platformdirs.user_cache_dir("refold", appauthor=False)
    folder = Path(parent) / "sequences"
    with _writing(folder):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def _make_room(folder: Path, files: ParquetFiles) -> None:
    """Remove entries that were not used for two weeks, and others if the disk is too small."""
    needed, oldest = 4 * files.num_values, time.time() - _KEPT_SECONDS
    if files.layout.time is not None:
        needed += 8 * files.num_values // len(files.layout.features)
    used = {}
    for path in folder.iterdir():
        with contextlib.suppress(OSError):  # another process may have removed it
            used[path] = path.stat().st_mtime
    for path in sorted(used, key=used.__getitem__):
        is_entry = not path.name.startswith(".")  # others are locks, or are being written
        if used[path] < oldest or (is_entry and shutil.disk_usage(folder).free < needed):
            shutil.rmtree(path, ignore_errors=True)
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise FileAccessError(
            f"{files.root} is larger than memory, and needs {needed / 1e9:.1f} GB of disk in "
            f"{folder}, which has {free / 1e9:.1f} GB left. Name a folder with more space in the "
            f"environment variable {CACHE_VARIABLE}."
        )
