"""Sequences of a table that comes in parts, each converted like a small table and then joined.

The result holds the sequences that one table with all rows would give.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow.compute import call_function

from refold._support.arrays import offsets_from_lengths, positions_of
from refold.errors import DataError, argument
from refold.files.cache import npy_writer, write_rest
from refold.files.parquet import Part, naming
from refold.files.tables import TableLayout, TableOptions, from_long_table
from refold.sequences._arrow_columns import (
    as_raw,
    check_has_ids,
    is_nested,
    is_text,
    split_lists,
    without_dictionary,
)
from refold.sequences._lists import parts_from_list
from refold.sequences._parts import (
    ColumnTypes,
    KnownColumns,
    Parts,
    Rows,
    check_ids,
    encoded_type,
    plain,
)
from refold.sequences._schema import Column, Schema, default_names
from refold.sequences._sequences import Sequences
from refold.sequences._tables import parts_from_arrow, sortable, time_gaps, with_time_gaps
from refold.sequences.types import CATEGORICAL, COLUMN_TYPES, NUMERIC, inferred_type

# Steps that are put in order at a time.
_STEPS = 1 << 17
# Ids that are converted to Python objects at a time.
_IDS = 1 << 16
# Cap on the pieces of sequences of a long table beyond one each, which bounds the memory.
MAX_EXTRA_PIECES = 1 << 22
# Cap on categories: float32 holds smaller indices.
_MAX_CATEGORIES = 1 << 24


def join(
    parts: Iterable[Part],
    folder: Path,
    layout: TableLayout,
    schema: pa.Schema,  # of each part
    column_types: ColumnTypes = None,
    stored: Sequence[Schema] = (),  # those that Refold stored in the files
    path: Path | None = None,  # of the file with the schema
) -> None:
    """Convert the parts of a table one by one, and write their sequences into a folder."""
    with naming(path):
        columns = _Columns(layout, schema, column_types, stored)
    pieces = _ListPieces(layout) if layout.lists else _LongPieces(layout)
    with npy_writer(folder / "values.npy") as append:
        for part in parts:
            with naming(part.path):
                converted = pieces.convert(part, columns.types)
                append(columns.add(converted, part.first))
    ids, lengths, order = pieces.join()
    final_schema, warnings = columns.settle()
    if not lengths.any():
        np.save(folder / "values.npy", np.zeros((0, final_schema.num_columns), columns.dtype))
    elif order is not None or columns.must_change():
        (folder / "values.npy").rename(folder / "parts.npy")
        written = np.load(folder / "parts.npy", mmap_mode="r")
        with npy_writer(folder / "values.npy") as append:
            for block in _in_order(written, pieces.lengths, order):
                append(columns.settled(block))
        (folder / "parts.npy").unlink()
    if isinstance(pieces, _LongPieces) and layout.time_gaps:
        pieces.add_gaps(folder / "values.npy", schema.field(str(layout.time)).type)
    write_rest(folder, lengths, ids, final_schema, warnings)


class _Columns:
    """The columns of all parts: their types and categories are those of all values together."""

    # While parts are read, categorical columns hold indices of categories in the order in which
    # these appear. `settle` sorts the categories, and `settled` replaces the indices.

    def __init__(
        self,
        layout: TableLayout,
        schema: pa.Schema,
        column_types: ColumnTypes,
        stored: Sequence[Schema],
    ) -> None:
        self._layout, self._column_types = layout, column_types
        fields = [schema.field(name) for name in layout.features]
        self._is_nested = layout.lists and len(fields) == 1 and is_nested(fields[0])
        if layout.lists and not self._is_nested:
            empty = [pa.chunked_array([], field.type) for field in fields]
            advice = f"choose the columns with {argument('columns=')}"
            split_lists(layout.features, empty, str, advice)  # refuses other types
        types = [field.type.value_type if layout.lists else field.type for field in fields]
        if self._is_nested:  # the first step tells the number of columns
            types, self._columns = [types[0].value_type], []
            as_raw(pa.chunked_array([], types[0]), layout.features[0])  # refuses other types
        else:
            self._known = KnownColumns(layout.features, column_types, stored)
            self._columns = [
                _Column(name, type_, self._known)
                for name, type_ in zip(layout.features, types, strict=True)
            ]
        self._types = types
        self._num_steps = 0

    @property
    def dtype(self) -> np.dtype:
        """The dtype of all values; before `settle`, one that holds them whatever they are."""
        wide = [np.float64] if self._layout.time_gaps else [np.float32]
        return np.result_type(*wide, *(column.dtype for column in self._columns))

    @property
    def types(self) -> ColumnTypes:
        """The types to convert a part with."""
        if self._is_nested:
            return self._column_types
        types = {column.name: column.type_of_part for column in self._columns}
        return {name: type_ for name, type_ in types.items() if type_ is not None}

    def add(self, part: Parts | Sequences, first_row: int) -> np.ndarray:
        """Learn from a converted part; return its values (num_steps, F)."""
        values = part.values
        if not len(values):
            return values
        if not self._columns:
            names = default_names(values.shape[1])
            self._known = KnownColumns(names, self._column_types, [])
            self._columns = [_Column(name, self._types[0], self._known) for name in names]
        if self._is_nested and values.shape[1] != len(self._columns):
            raise DataError(
                f"The steps from row {first_row} on have {values.shape[1]} features in column "
                f"{self._layout.features[0]!r}, but those before have {len(self._columns)}. All "
                "steps need the same; fill missing ones with null."
            )
        self._num_steps += len(values)
        values = values.astype(self.dtype)
        for i, column in enumerate(self._columns):
            values[:, i] = column.add(values[:, i], part.schema.columns[i].categories)
        return values

    def settle(self) -> tuple[Schema, list[str]]:
        """Decide the types and categories after the last part; return a schema, and warnings."""
        if not self._columns:
            return parts_from_list([[]], column_types=self._column_types).schema, []
        self._dtype_of_parts = self.dtype
        settled = tuple(column.settle(self._num_steps) for column in self._columns)
        if self._is_nested:
            return Schema(settled), []
        empty = not self._num_steps  # a long table without steps is read like empty lists
        schema = self._known.schema(settled, lists=self._layout.lists or empty)
        schema = with_time_gaps(schema) if self._layout.time_gaps else schema
        return schema, [] if self._layout.lists or empty else self._known.warnings(settled)

    def must_change(self) -> bool:
        """Return whether values differ from those that `add` returned."""
        maps = [column.places for column in self._columns if column.places is not None]
        moved = any((places[:-1] != np.arange(len(places) - 1)).any() for places in maps)
        return moved or self.dtype != self._dtype_of_parts

    def settled(self, values: np.ndarray) -> np.ndarray:
        """Return values (num_steps, F) with the final indices of categories."""
        values = values.astype(self.dtype)
        for i, column in enumerate(self._columns):
            if column.places is not None:
                values[:, i] = _moved(values[:, i], column.places)
        return values


class _Column:
    """What is known of a column that comes in parts."""

    def __init__(self, name: str, arrow_type: pa.DataType, known: KnownColumns) -> None:
        raw, hint = as_raw(pa.chunked_array([], arrow_type), name)
        # text may hold numbers
        self._raw = np.dtype(np.float64) if raw.dtype.kind == "O" else raw.dtype
        encoded = pa.types.is_dictionary(arrow_type)
        self.name, self._known = name, known
        self.is_text = is_text(arrow_type.value_type if encoded else arrow_type)
        self._type = known.type(name, hint)
        self._has_values = False
        self._index: dict[Any, int] = {}  # of each category, in the order of appearance
        self._seen: set[float] = set()  # values of a column of numbers, as long as they are few
        # Final index of each category, then NaN; None in columns without categories.
        self.places: np.ndarray | None = None
        self._settled: Column | None = None

    @property
    def dtype(self) -> np.dtype:
        """A dtype that holds the values exactly; see `_Columns.dtype`."""
        if self._settled is None:
            return COLUMN_TYPES[self.type_of_part or NUMERIC.name].dtype(self._raw, 0)
        empty_text = self.is_text and not self._has_values
        return np.dtype(np.float32) if empty_text else encoded_type(self._raw, self._settled)

    @property
    def type_of_part(self) -> str | None:
        """The type to convert a part with."""
        return self._type or (CATEGORICAL.name if self.is_text else None)

    def add(self, values: np.ndarray, categories: Sequence[Any]) -> np.ndarray:
        """Return the values (num_steps,) of a part with indices that are those of all parts."""
        self._has_values = self._has_values or not np.isnan(values).all()
        if categories:
            places = [self._index.setdefault(category, len(self._index)) for category in categories]
            if len(self._index) >= _MAX_CATEGORIES:
                raise DataError(
                    f"Column {self.name!r} has more than {_MAX_CATEGORIES} categories. Hash them, "
                    "zlib.crc32(text) % 10000, or leave the column out."
                )
            return _moved(values, np.array([*places, np.nan]))
        if self._type is None and not self.is_text and len(self._seen) <= 2:
            self._seen.update(np.unique(values[~np.isnan(values)])[:3].tolist())
        return values

    def settle(self, num_steps: int) -> Column:
        """Return the column of all parts."""
        # as in a whole table, text without any value is numeric if there are steps
        is_empty_text = self.is_text and num_steps and not self._index
        if self.type_of_part == CATEGORICAL.name and (self._type or not is_empty_text):
            categories = np.array([*self._index], object if self.is_text else np.float64)
            stored = self._known.categories.get(self.name)
            places, final = CATEGORICAL.encode(categories, self.name, lambda *_: self.name, stored)
            self.places = np.append(places, np.nan)
            self._settled = Column(self.name, CATEGORICAL.name, final)
        else:
            inferred = NUMERIC if self.is_text else inferred_type(np.array(sorted(self._seen)))
            self._settled = Column(self.name, self._type or inferred.name)
        return self._settled


def _moved(index: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Return the place of each index; the last place stands for NaN."""
    missing = np.isnan(index)
    return places[np.where(missing, len(places) - 1, index).astype(np.int64)]


class _ListPieces:
    """The rows of a table with one row per sequence."""

    def __init__(self, layout: TableLayout) -> None:
        self._layout = layout
        self._ids: list[pa.Array] = []
        self._lengths: list[np.ndarray] = []

    @property
    def lengths(self) -> np.ndarray:
        """Number of steps of each piece."""
        return np.concatenate(self._lengths)

    def convert(self, part: Part, types: ColumnTypes) -> Parts:
        """Convert some rows."""
        rows, name = _rows_of(part), self._layout.id
        if name is not None:
            check_has_ids(part.table[name], name, rows)
            self._ids.append(_plain_array(part.table[name]))
        features = self._layout.features
        converted = parts_from_arrow(part.table.select(features), None, features, types, rows)
        self._lengths.append(np.diff(converted.offsets))
        return converted

    def join(self) -> tuple[np.ndarray, np.ndarray, None]:
        """Return the ids and lengths of all sequences, and None, because they are in order."""
        ids = _ids_of(self._ids) if self._ids else np.arange(len(self.lengths))
        return ids, self.lengths, None


class _LongPieces:
    """Pieces of sequences of a long table: the rows of each id in each part."""

    # Without times, the rows of a sequence are together, and so are its pieces. With times, its
    # pieces may lie anywhere, and those of several sequences may be interleaved.

    def __init__(self, layout: TableLayout) -> None:
        self._id, self._time, self._layout = str(layout.id), layout.time, layout
        self._ids: list[pa.Array] = []
        self._lengths: list[np.ndarray] = []
        self._parts: list[Part] = []  # without tables
        # of each piece: its part, its first and last row in the part, and the times of these
        self._part, self._first, self._last = [], [], []
        self._times: list[pa.Array] = []
        self._num_pieces, self._check_at = 0, MAX_EXTRA_PIECES
        self._between: Any = None

    @property
    def lengths(self) -> np.ndarray:
        """Number of steps of each piece; 0 for a row that marks an empty sequence."""
        return np.concatenate(self._lengths)

    def convert(self, part: Part, types: ColumnTypes) -> Sequences:
        """Convert some rows."""
        rows, table = _rows_of(part), part.table
        check_has_ids(table[self._id], self._id, rows)
        roles = TableOptions(self._id, self._time, self._layout.features, types)
        roles = replace(roles, time_gaps=self._layout.time_gaps)
        converted = from_long_table(table, roles, rows)
        encoded = _plain_array(table[self._id]).dictionary_encode()
        codes, last_row = encoded.indices.to_numpy(), table.num_rows - 1
        first = np.unique(codes, return_index=True)[1]
        last = last_row - np.unique(codes[::-1], return_index=True)[1]
        self._ids.append(encoded.dictionary)
        self._lengths.append(converted.lengths)
        self._part.append(np.full(len(first), len(self._parts), np.int32))
        self._parts.append(replace(part, table=None))
        self._first.append(first.astype(np.int32))
        self._last.append(last.astype(np.int32))
        if self._time is not None:
            ends = np.stack([first, last], axis=1).ravel()
            self._times.append(_plain_array(table[self._time]).take(pa.array(ends)))
        self._num_pieces += len(first)
        if self._num_pieces > self._check_at:
            self._check_at *= 2
            self._order()
        return converted

    def join(self) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """Return the ids and lengths of all sequences, and the order of their pieces."""
        ids, codes, order = self._order()
        again = np.flatnonzero(codes[order][1:] == codes[order][:-1])
        before, after = order[again], order[again + 1]
        if self._time is None:
            self._check_together(before, after)
        else:
            last, first = self._check_times(before, after)
            begins = offsets_from_lengths(self.lengths[order])[:-1]
            self._between = begins[again + 1], last, first
        lengths = np.bincount(codes, self.lengths).astype(np.int64)
        in_order = bool((np.diff(order) == 1).all())
        return _ids_of([ids]), lengths, None if in_order else order

    def add_gaps(self, path: Path, arrow_type: pa.DataType) -> None:
        """Write the time between the pieces of a sequence into the last column."""
        steps, last, first = self._between
        pairs = np.stack([last, first], axis=1).ravel()
        gaps = time_gaps(pairs, np.arange(0, len(pairs) + 1, 2), arrow_type)[1::2]
        if len(steps):
            values = np.load(path, mmap_mode="r+")
            values[steps, -1] = gaps

    def _order(self) -> tuple[pa.Array, np.ndarray, np.ndarray]:
        """Return the ids, the number of each piece's id, and the pieces in order of these."""
        encoded = pa.chunked_array(self._ids).combine_chunks().dictionary_encode()
        codes, ids = encoded.indices.to_numpy(), encoded.dictionary
        if len(codes) - len(ids) > MAX_EXTRA_PIECES:
            raise DataError(
                f"The rows of {len(ids)} ids lie in {len(codes)} places, too many to join. Sort "
                f"the data by column {self._id!r}, then by {self._time!r}."
            )
        return ids, codes, np.argsort(codes, kind="stable")

    def _check_together(self, before: np.ndarray, after: np.ndarray) -> None:
        wrong = after[after != before + 1]
        if len(wrong):
            path, row = self._place(int(wrong.min()))
            raise DataError(
                f"{path}The rows of id {self._id_of(int(wrong.min()))!r} are not together: {row} "
                f"comes after rows of another id. Sort the data by column {self._id!r}, or name "
                f"the column that orders the steps with {argument('time=')}."
            )

    def _check_times(self, before: np.ndarray, after: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the last time before and the first time after each place between pieces."""
        steps, times = self.lengths > 0, pa.chunked_array(self._times)
        pair = [before[~steps[before]], after[~steps[after]]]
        if marks := np.concatenate(pair).tolist():
            path, row = self._place(marks[0])
            raise DataError(
                f"{path}Column {self._time!r} cannot order the steps: {row} has no time. Fill it "
                "in or drop the row."
            )
        real = np.repeat(steps, 2)
        pieces = np.repeat(np.arange(len(steps)), 2)[real]
        rows = Rows("", lambda i: "".join(self._place(int(pieces[i]), last=bool(i % 2))))
        present = np.zeros(0)
        if real.any():
            present = sortable(times.filter(pa.array(real)), str(self._time), rows)
        numbers = np.zeros(len(real), present.dtype)
        numbers[real] = present
        last, first = numbers[2 * before + 1], numbers[2 * after]
        wrong = np.flatnonzero(~(last < first))
        if len(wrong):
            self._refuse(int(before[wrong[0]]), int(after[wrong[0]]), times)
        return last, first

    def _refuse(self, before: int, after: int, times: pa.ChunkedArray) -> None:
        """Raise an error for two pieces of one id whose times do not ascend."""
        (other, first), (path, second) = self._place(before, last=True), self._place(after)
        elsewhere = "" if other == path else f" of {other.removesuffix(': ')}"
        last, time = (str(times[i]) for i in (2 * before + 1, 2 * after))
        start = f"{path}Id {self._id_of(after)!r} has the time {time!r}"
        if last == time:
            raise DataError(
                f"{start} twice, in {first}{elsewhere} and {second}. Each step needs its own time "
                f"in column {self._time!r}."
            )
        raise DataError(
            f"{start} in {second}, after {last!r} in {first}{elsewhere}. Sort the data by column "
            f"{self._id!r}, then by {self._time!r}, or a single file with {argument(sort=True)}."
        )

    def _place(self, piece: int, *, last: bool = False) -> tuple[str, str]:
        """Return the file of a piece, for the begin of a message, and its first or last row."""
        part = self._parts[np.concatenate(self._part)[piece]]
        row = np.concatenate(self._last if last else self._first)[piece]
        return "" if part.path is None else f"{part.path}: ", f"row {part.first + row}"

    def _id_of(self, piece: int) -> Any:
        return plain(pa.chunked_array(self._ids)[piece].as_py())


def _rows_of(part: Part) -> Rows:
    first = part.first
    return Rows(number=lambda row: first + row, is_part=True)


def _plain_array(column: Any) -> pa.Array:
    """Return ids or times as one array, of a type that all files share."""
    column = without_dictionary(column)
    if is_text(column.type):
        column = column.cast(pa.large_string())
    return column.combine_chunks()


def _ids_of(arrays: list[pa.Array]) -> np.ndarray:
    """Return ids as `Sequences` holds them: int64 or text."""
    ids = pa.chunked_array(arrays).combine_chunks()
    if pa.types.is_integer(ids.type):
        return check_ids(ids.to_numpy(), len(ids))
    if not pa.types.is_large_string(ids.type):
        return check_ids(ids.to_pylist(), len(ids))
    width = call_function("max", [call_function("utf8_length", [ids])]).as_py()
    out = np.empty(len(ids), f"U{max(1, width or 0)}")
    for start in range(0, len(ids), _IDS):
        out[start : start + _IDS] = ids.slice(start, _IDS).to_pylist()
    return out


def _in_order(
    values: np.ndarray, lengths: np.ndarray, order: np.ndarray | None
) -> Iterator[np.ndarray]:
    """Yield values (num_steps, F), with their pieces in another order if one is given."""
    if order is None:
        yield from (values[start : start + _STEPS] for start in range(0, len(values), _STEPS))
        return
    starts, lengths = offsets_from_lengths(lengths)[:-1][order], lengths[order]
    cuts = np.searchsorted(np.cumsum(lengths), np.arange(0, len(values), _STEPS), side="right")
    for begin, end in pairwise([*np.unique(cuts).tolist(), len(order)]):
        yield values[positions_of(starts[begin:end], lengths[begin:end])]
