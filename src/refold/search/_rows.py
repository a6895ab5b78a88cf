"""Rows of an index: sequences or codes that a caller passes, with ids, metadata and vectors."""

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute
from numpy.typing import ArrayLike

from refold._support.arrays import evenly_spaced, lengths_from_offsets, offsets_from_lengths
from refold._support.progress_bars import progress_bar
from refold._support.rules import check_one_each, check_some, one_of
from refold.errors import DataError, ParameterError
from refold.kernels import packed
from refold.model import ArrowTable, Model, ModelLike, SequencesLike, adapted, model_of
from refold.network.packed.rows import encoded_blocks
from refold.network.specification import Specification
from refold.search._features import Described, SearchFeatures
from refold.sequences import Sequences, check_ids, ids_to_arrow, vectors_to_arrow

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
        self._verbose = verbose
        self.model = model_of(model)
        if X is not None:
            self.model, X = adapted(model, X)
        elif codes is not None:
            self.model = self.model.with_columns_of(codes)
        # without sequences, codes are decoded for features
        self._sequences: Any = None if X is None else self.model.open(X)
        self._codes: Any = None if codes is None else self.model.check_codes(codes)
        number = len(self._codes if X is None else self._sequences)
        if self._codes is not None:
            check_one_each(len(self._codes), "codes", number, "sequences")
        if ids is None:
            ids = np.arange(number) if X is None else self._sequences.ids
        self.ids = np.asarray(ids).ravel()
        check_one_each(len(self.ids), "ids", number, "sequences")

    def __len__(self) -> int:
        return len(self.ids)

    def fit_features(self) -> SearchFeatures:
        """Fit features of as many dimensions as a code to a sample."""
        model, specification = self.model, self.model.specification
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
        return SearchFeatures.fit(sample, columns, width, specification.max_steps)

    def _sample(self, min_size: int) -> tuple[Sequences, np.ndarray]:
        if self._codes is not None and self._sequences is None:
            return _decoded(self.model, self._codes[evenly_spaced(len(self), _SAMPLE)])
        steps = float(np.mean(self._sequences.lengths)) if len(self) else 1.0
        size = max(min_size, min(_SAMPLE, int(_SAMPLE_STEPS / max(1.0, steps))))
        sample = self._sequences[evenly_spaced(len(self), size)]
        # those in memory are aligned already
        aligned = self.model.align(sample) if self._sequences.is_mapped else sample
        return _scaled(self.model, aligned)

    def read(self, features: SearchFeatures | None) -> tuple[np.ndarray, np.ndarray]:
        """Return codes and vectors, computed block by block, with a progress bar if there are many.

        Both have shape (n_rows, n_dimensions); without features, the vectors are the codes.
        """
        number, blocks = self._blocks()
        codes, vectors, done = [], [], 0
        own_bar = 0 if number > 1 else self._verbose
        with progress_bar(disable=not (number > 1 and self._verbose)) as bar:
            for sequences in bar.track(blocks, number, description="encode"):
                if self._codes is None:
                    codes.append(self.model.codes_of(sequences, own_bar))
                else:
                    size = _CODES if sequences is None else len(sequences)
                    codes.append(self._codes[done : done + size])
                done += len(codes[-1])
                if features is not None:
                    vectors.append(self._vectors(features, sequences, codes[-1]))
        joined = np.concatenate(codes)
        return joined, joined if features is None else np.concatenate(vectors)

    def _blocks(self) -> tuple[int, Iterable[Any]]:
        """Return how many blocks there are, and the sequences of each; None for codes alone."""
        if self._sequences is None:
            number = max(1, math.ceil(len(self) / _CODES))
            return number, [None] * number
        number = len(self._sequences.block_offsets) - 1 if self._sequences.is_mapped else 1
        return number, self.model.blocks(self._sequences)

    def _vectors(
        self, features: SearchFeatures, sequences: Sequences | None, codes: np.ndarray
    ) -> np.ndarray:
        """Return the features of sequences, or of those that codes decode to."""
        model = self.model
        pair = _decoded(model, codes) if sequences is None else _scaled(model, sequences)
        vectors = np.empty((len(codes), features.width), np.float32)
        for rows, described in _described(model, *pair):
            vectors[rows] = features(described)
        return vectors


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
    """Fill gaps with the nearest observed step, and return the columns with too few values."""
    offsets, lengths, absent = scaled.offsets, scaled.lengths, np.isnan(scaled.values)
    if not absent.any():
        return scaled, np.zeros((len(scaled), absent.shape[1]), bool)
    counts = packed.segment_sum((~absent).astype(np.float32), offsets)
    missing = counts < _OBSERVED * lengths[:, None]
    sequence_of = np.repeat(np.arange(len(scaled)), lengths)
    # a missing column is 0, or the category that stands for unknown ones
    values = np.where(missing[sequence_of], specification.num_categories, scaled.values)
    for x in values.T:
        gaps, observed = np.flatnonzero(np.isnan(x)), np.flatnonzero(~np.isnan(x))
        # positions in `observed` of the steps next to each gap, in the same sequence
        first, end = (np.searchsorted(observed, offsets[sequence_of[gaps] + i]) for i in (0, 1))
        position = np.searchsorted(observed, gaps)
        left, right = np.maximum(position - 1, first), np.minimum(position, end - 1)
        is_left = np.abs(gaps - observed[left]) <= np.abs(observed[right] - gaps)
        x[gaps] = x[observed[np.where(is_left, left, right)]]
    return scaled.with_values(values.astype(scaled.values.dtype)), missing


# Ids and metadata


def new_ids(ids: np.ndarray, expected: pa.DataType | None = None) -> pa.Array:
    """Return ids, of which each occurs once, as an array of the type of the index."""
    array = ids_to_arrow(check_ids(ids, len(ids)))
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
        stored = pa.schema([field for field in schema if field.name not in RESERVED])
        try:
            if set(names) != set(stored.names):
                raise pa.ArrowInvalid("the names differ")
            table = table.select(stored.names).cast(stored)
        except pa.ArrowException as error:
            reason = str(error).splitlines()[0][:80]
            raise DataError(
                f"The index has the metadata {_described_columns(stored)}. Got "
                f"{_described_columns(table.schema)} ({reason}). Pass the same columns, with "
                "values of these types."
            ) from error
    for name in names:
        if name in RESERVED or name.startswith("_"):
            raise DataError(f"A column of metadata cannot be named {name!r}. Give it another name.")
    if names:
        check_one_each(table.num_rows, "rows of metadata", num_rows, "sequences")
    return table


def _described_columns(schema: pa.Schema) -> str:
    return ", ".join(f"{field.name} ({field.type})" for field in schema) or "none"


def new_rows(
    source: RowSource, ids: pa.Array, features: SearchFeatures | None, metadata: pa.Table
) -> pa.Table:
    """Return rows as a table with the columns of an index."""
    codes, vectors = source.read(features)
    columns = {"id": ids} | {name: metadata[name] for name in metadata.column_names}
    columns["code"] = vectors_to_arrow(codes)
    if features is not None:  # otherwise the vectors are the codes
        columns["vector"] = vectors_to_arrow(vectors)
    return pa.table(columns)
