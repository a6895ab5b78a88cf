"""Rows of an index: sequences or codes that a caller passes, with ids, metadata and vectors."""

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute
from numpy.typing import ArrayLike

from refold._support.argument_checks import check_one_each, check_some
from refold._support.arrays import evenly_spaced, lengths_from_offsets, offsets_from_lengths
from refold._support.progress_bars import progress_bar
from refold._support.rules import one_of
from refold.errors import DataError, ParameterError
from refold.kernels import packed
from refold.model import ArrowTable, Model, ModelLike, SequencesLike, model_of
from refold.network.packed.rows import encoded_blocks
from refold.network.specification import Specification
from refold.search._features import Described, SequenceFeatures
from refold.sequences import Sequences, codes_to_arrow
from refold.sequences.types import COLUMN_TYPES

# its functions are made when it is imported
_compute: Any = pyarrow.compute

Metadata: TypeAlias = Mapping[str, ArrayLike] | ArrowTable

# Names of columns that the index or its hits need for themselves.
RESERVED = ("id", "code", "vector", "query", "rank", "distance")
DISTANCE = one_of("features", "code")
# Codes that are decoded at once.
_CODES = 4096
# Sequences that features are fitted to, at most, and at least for each of their dimensions. If
# there are fewer, those of the training join them.
_SAMPLE, _MIN_SAMPLE = 1024, 2
_SAMPLE_STEPS = 2_000_000
# Share of the steps at which a column must have a value. Otherwise, all of it counts as missing.
_OBSERVED = 0.5
# Most steps of a gap that is interpolated.
_SHORT = 4


class RowBlock(NamedTuple):
    """Some of the rows."""

    rows: slice
    codes: np.ndarray  # (n_rows, width of the code)
    vectors: np.ndarray  # (n_rows, n_dimensions), the codes if distances are measured on them


class RowSource:
    """Sequences, codes or both, with ids."""

    def __init__(
        self,
        model: ModelLike,
        X: SequencesLike | None,
        codes: ArrayLike | None,
        ids: ArrayLike | None,
        *,
        verbose: int = 0,
    ) -> None:
        if X is None and codes is None:
            raise ParameterError("Pass sequences or codes.")
        self._model, self._verbose = model_of(model), verbose
        # without sequences, codes are decoded for features
        self._sequences: Any = None if X is None else self._model.open(X)
        self._codes: Any = None if codes is None else self._model.check_codes(codes)
        number = len(self._codes if X is None else self._sequences)
        if self._codes is not None:
            check_one_each(len(self._codes), "codes", number, "sequences")
        if ids is None:
            ids = np.arange(number) if X is None else self._sequences.ids
        self.ids = np.asarray(ids).ravel()
        check_one_each(len(self.ids), "ids", number, "sequences")

    def __len__(self) -> int:
        return len(self.ids)

    def fit_features(self) -> SequenceFeatures:
        """Fit features of as many dimensions as a code to a sample."""
        model, specification = self._model, self._model.specification
        width = model.code_size
        samples = [*_described(model, *self._sample(_MIN_SAMPLE * width))]
        if len(self) < _MIN_SAMPLE * width and model.reference is not None:
            codes = model.reference.codes
            codes = codes[evenly_spaced(len(codes), _SAMPLE)]
            samples += _described(model, *_decoded(model, codes))
        check_some(len(samples), "sequence", "to describe")
        values, offsets, statistics, missing = zip(*(part for _, part in samples), strict=True)
        lengths = np.concatenate([lengths_from_offsets(part) for part in offsets])
        sample = Described(
            np.concatenate(values),
            offsets_from_lengths(lengths),
            np.concatenate(statistics),
            np.concatenate(missing),
        )
        columns = [n or 1 for n in specification.num_categories]
        columns += [1] * (sample.values.shape[1] - sum(columns))  # flags of missing values
        return SequenceFeatures.fit(sample, columns, width, specification.max_steps)

    def _sample(self, min_size: int) -> tuple[Sequences, np.ndarray]:
        if self._codes is not None and self._sequences is None:
            return _decoded(self._model, self._codes[evenly_spaced(len(self), _SAMPLE)])
        steps = float(np.mean(self._sequences.lengths)) if len(self) else 1.0
        size = max(min_size, min(_SAMPLE, int(_SAMPLE_STEPS / max(1.0, steps))))
        sample = self._sequences[evenly_spaced(len(self), size)]
        # those in memory are aligned already
        aligned = self._model.align(sample) if self._sequences.is_mapped else sample
        return _scaled(self._model, aligned)

    def blocks(self, features: SequenceFeatures | None) -> Iterator[RowBlock]:
        """Encode block by block, with a progress bar if there are many."""
        model, done = self._model, 0
        number = max(1, math.ceil(len(self) / _CODES))
        parts: Iterable[Sequences | None] = [None] * number
        if self._sequences is not None:
            number = len(self._sequences.block_offsets) - 1 if self._sequences.is_mapped else 1
            parts = model.blocks(self._sequences)
        with progress_bar(disable=not (number > 1 and self._verbose)) as bar:
            for sequences in bar.track(parts, number, description="encode"):
                size = len(sequences) if sequences is not None else min(_CODES, len(self) - done)
                rows = slice(done, done + size)
                if sequences is not None and self._codes is None:
                    codes = model.codes_of(sequences, 0 if number > 1 else self._verbose)
                else:
                    codes = np.asarray(self._codes)[rows]
                vectors = codes
                if features is not None:
                    vectors = np.empty((size, features.width), np.float32)
                    if sequences is None:
                        pair = _decoded(model, codes)
                    else:
                        pair = _scaled(model, sequences)
                    for some, described in _described(model, *pair):
                        vectors[some] = features(described)
                yield RowBlock(rows, codes, vectors)
                done += size

    def read(self, features: SequenceFeatures | None) -> RowBlock:
        """Encode everything."""
        _, codes, vectors = zip(*self.blocks(features), strict=True)
        joined = np.concatenate(codes)
        vectors = joined if features is None else np.concatenate(vectors)
        return RowBlock(slice(0, len(self)), joined, vectors)


def _scaled(model: Model, sequences: Sequences) -> tuple[Sequences, np.ndarray]:
    """Scale sequences, and return what the scale leaves out."""
    return model.scaler.transform(sequences), model.scaler.statistics(sequences)


def _decoded(model: Model, codes: np.ndarray) -> tuple[Sequences, np.ndarray]:
    """Decode codes to the scaled sequences that they stand for."""
    return model.to_scaled(codes), codes[:, model.specification.latent_dim :]


def _described(
    model: Model, scaled: Sequences, statistics: np.ndarray
) -> Iterator[tuple[np.ndarray, Described]]:
    """Yield the numbers of sequences of similar length, and the sequences."""
    specification = model.specification
    scaled, missing = _without_gaps(scaled, specification)
    statistics = np.asarray(statistics, np.float32)
    if statistics.shape[1]:  # means and deviations of the numeric columns
        numeric = missing[:, model.scaler.numeric_]
        statistics = np.where(np.tile(numeric, 2), np.float32(np.nan), statistics)
    if specification.observed_flags:
        missing = np.tile(missing, 2)
    for block, values in encoded_blocks(specification, scaled):
        some = block.indices
        yield some, Described(values, block.offsets, statistics[some], missing[some])


def _without_gaps(scaled: Sequences, specification: Specification) -> tuple[Sequences, np.ndarray]:
    """Fill gaps from the steps around them, and return the columns with too few values."""
    # Short gaps of numbers are interpolated. Other gaps mirror the observed steps next to them: a
    # constant or a line would make sequences with long gaps alike.
    offsets, lengths, absent = scaled.offsets, scaled.lengths, np.isnan(scaled.values)
    if not absent.any():
        return scaled, np.zeros((len(scaled), absent.shape[1]), bool)
    counts = packed.segment_sum((~absent).astype(np.float32), offsets)
    missing, values = counts < _OBSERVED * lengths[:, None], np.array(scaled.values)
    of_step = np.repeat(np.arange(len(scaled)), lengths)
    for column, column_type in enumerate(specification.column_types):
        x = values[:, column]
        x[missing[of_step, column]] = specification.num_categories[column]  # 0 or unknown
        gaps, seen = np.flatnonzero(np.isnan(x)), np.flatnonzero(~np.isnan(x))
        if not len(gaps):
            continue
        # numbers of observed steps: those of the same sequence, and those next to the gap
        first, end = (np.searchsorted(seen, offsets[of_step[gaps] + i]) for i in (0, 1))
        right = np.searchsorted(seen, gaps)
        left = right - 1
        to_left, to_right = gaps - seen[left], seen[np.minimum(right, len(seen) - 1)] - gaps
        to_left = np.where(left < first, len(x), to_left)
        to_right = np.where(right >= end, len(x), to_right)
        near = np.where(to_left <= to_right, left - to_left + 1, right + to_right - 1)
        turn = (near - first) % (2 * (end - first))
        filled = x[seen[first + np.minimum(turn, 2 * (end - first) - 1 - turn)]]
        short = to_left + to_right <= _SHORT + 1
        if COLUMN_TYPES[column_type].is_number and short.any():
            share = (to_left / (to_left + to_right))[short]
            before, after = x[seen[left[short]]], x[seen[right[short]]]
            filled[short] = (1 - share) * before + share * after
        x[gaps] = filled
    return scaled.with_values(values), missing


# Ids and metadata


def new_ids(ids: np.ndarray, expected: pa.DataType | None = None) -> pa.Array:
    """Return ids, of which each occurs once, as an array of the type of the index."""
    array = codes_to_arrow(np.zeros((len(ids), 1)), ids)["id"].combine_chunks()
    counts = _compute.value_counts(array)
    repeated = counts.filter(_compute.greater(counts.field("counts"), 1))
    if len(repeated):
        raise DataError(
            f"The id {repeated.field('values')[0].as_py()!r} occurs "
            f"{repeated.field('counts')[0]} times. Give every sequence its own id."
        )
    if expected is not None and array.type != expected:
        numbers = pa.types.is_integer(expected)
        raise DataError(
            f"The ids of the index are {'integers' if numbers else 'text'}, and those of the "
            f"new rows are {'text' if numbers else 'integers'}. Pass ids of the same type."
        )
    return array


def as_ids(ids: ArrayLike, expected: pa.DataType) -> pa.Array:
    """Return ids to look up as an array of the type of the index."""
    if isinstance(ids, str | int):
        ids = [ids]
    try:
        return pa.array(np.asarray(ids).tolist()).cast(pa.string()).cast(expected)
    except (ValueError, TypeError, pa.ArrowException) as error:
        kind = "integers" if pa.types.is_integer(expected) else "text"
        raise DataError(
            f"The ids of the index are {kind}. Got {np.asarray(ids).ravel()[:1].tolist()}."
        ) from error


def metadata_of(
    metadata: Metadata | None, num_rows: int, schema: pa.Schema | None = None
) -> pa.Table:
    """Return checked metadata, with the columns and types of ``schema`` if there is one."""
    try:
        table = pa.table(metadata if metadata is not None else {})
    except (TypeError, ValueError, pa.ArrowException) as error:
        raise DataError(
            f"metadata must be a mapping of names to columns, or a table. {str(error)[:120]}"
        ) from error
    names = table.column_names
    if schema is not None:
        stored = [name for name in schema.names if name not in RESERVED]
        if set(names) != set(stored):
            raise DataError(
                f"The index has the columns {', '.join(stored) or 'none'} of metadata. Got "
                f"{', '.join(names) or 'none'}. Pass the same columns."
            )
        table = pa.table({name: _cast(table[name], schema.field(name)) for name in stored})
    for name in names:
        if name in RESERVED or name.startswith("_"):
            raise DataError(f"A column of metadata cannot be named {name!r}. Give it another name.")
    if names:
        check_one_each(table.num_rows, "rows of metadata", num_rows, "sequences")
    return table


def _cast(column: pa.ChunkedArray, field: pa.Field) -> pa.ChunkedArray:
    """Return a column with the type of the index."""
    try:
        return column.cast(field.type)
    except pa.ArrowException as error:
        raise DataError(
            f"The column {field.name!r} of the index has the type {field.type}. Got "
            f"{column.type} ({str(error).splitlines()[0][:80]})."
        ) from error


def new_rows(
    source: RowSource, features: SequenceFeatures | None, metadata: pa.Table
) -> Iterator[pa.Table]:
    """Yield rows as tables with the columns of an index, block by block."""
    for rows, codes, vectors in source.blocks(features):
        table = codes_to_arrow(codes, source.ids[rows])
        columns = {name: table[name] for name in table.column_names}
        if features is not None:  # otherwise the vectors are the codes
            columns["vector"] = codes_to_arrow(vectors)["code"]
        for number, values in enumerate(metadata.columns):
            columns[f"m{number}"] = values.slice(rows.start, len(codes))
        yield pa.table(columns)
