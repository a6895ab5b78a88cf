"""Rows of an index, made from the sequences, codes, ids and metadata that a caller passes.

`RowSource` computes codes and vectors. The functions below it check ids and metadata, and
`make_rows` joins them to the table that an index stores.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute
from numpy.typing import ArrayLike

from refold._support.arrays import lengths_from_offsets, linspace_indices, offsets_from_lengths
from refold._support.progress_bars import progress_bar
from refold._support.rules import check_counts_match, check_not_empty, one_of
from refold.errors import DataError, ParameterError
from refold.kernels import packed
from refold.model import ArrowTable, Model, ModelLike, SequencesLike, adapt_to_data, model_of
from refold.network.packed.batches import iterate_encoded_batches
from refold.network.specification import Specification
from refold.search._features import FeatureInput, SearchFeatures
from refold.sequences import Sequences, check_ids, ids_to_arrow, vectors_to_arrow

# of the type Any, because pyarrow.compute makes its functions at import, unseen by type checkers
_compute: Any = pyarrow.compute

Metadata: TypeAlias = Mapping[str, ArrayLike] | ArrowTable

# Columns of an index or of its hits, which metadata cannot have.
RESERVED_COLUMNS = ("id", "code", "vector", "query", "rank", "distance")
# Rule for the vectors that distances are measured on.
DISTANCE_RULE = one_of("features", "code")
# Number of codes that are decoded at once, which bounds the memory.
_CODES_PER_BLOCK = 4096
# Largest number of sequences that features are fitted to, because a fit takes time.
_MAX_SAMPLE_SEQUENCES = 1024
# Smallest number of sequences for each dimension of the features. If there are fewer sequences,
# those that the model keeps from its training are added.
_MIN_SAMPLES_PER_DIMENSION = 2
# Largest number of steps of the sequences that features are fitted to, so long sequences fit in
# memory.
_MAX_SAMPLE_STEPS = 2_000_000
# If a column of a sequence has values at a smaller share of its steps, the whole column counts as
# missing in this sequence.
_MIN_OBSERVED_SHARE = 0.5


class RowSource:
    """Sequences, codes or both, with ids: `encode` computes codes and vectors."""

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
            self.model, X = adapt_to_data(model, X)
        elif codes is not None:
            self.model = self.model.with_columns_of(codes)
        self._sequences: Any = None if X is None else self.model.open_for_blocks(X)
        self._codes: Any = None if codes is None else self.model.check_codes(codes)
        num_rows = len(self._codes if X is None else self._sequences)
        if self._codes is not None:
            check_counts_match(len(self._codes), "codes", num_rows, "sequences")
        if ids is None:
            ids = np.arange(num_rows) if X is None else self._sequences.ids
        self.ids = np.asarray(ids).ravel()
        check_counts_match(len(self.ids), "ids", num_rows, "sequences")

    def __len__(self) -> int:
        return len(self.ids)

    def fit_features(self) -> SearchFeatures:
        """Fit features with as many dimensions as a code to a sample of the rows."""
        model, specification = self.model, self.model.specification
        width = model.code_size
        samples = [*_feature_inputs(model, *self._draw_sample(_MIN_SAMPLES_PER_DIMENSION * width))]
        if len(self) < _MIN_SAMPLES_PER_DIMENSION * width and model.reference is not None:
            codes = model.reference.codes
            codes = codes[linspace_indices(len(codes), _MAX_SAMPLE_SEQUENCES)]
            samples += _feature_inputs(model, *_decode_codes(model, codes))
        check_not_empty(len(samples), "sequence", "to describe")
        inputs = [feature_input for _, feature_input in samples]
        values, offsets, statistics, missing = zip(*inputs, strict=True)
        lengths = np.concatenate([lengths_from_offsets(block) for block in offsets])
        sample = FeatureInput(
            np.concatenate(values),
            offsets_from_lengths(lengths),
            np.concatenate(statistics),
            np.concatenate(missing),
        )
        channels = [n or 1 for n in specification.num_categories]  # of each column
        channels += [1] * (sample.values.shape[1] - sum(channels))  # flags of missing values
        # the longest sequence of a pretrained model says nothing about these data
        max_steps = int(lengths.max()) if specification.grid else specification.max_steps
        return SearchFeatures.fit(sample, channels, width, max(1, max_steps))

    def _draw_sample(self, min_rows: int) -> tuple[Sequences, np.ndarray]:
        """Return a sample of the rows, scaled, and the statistics that scaling removes."""
        if self._codes is not None and self._sequences is None:
            rows = linspace_indices(len(self), _MAX_SAMPLE_SEQUENCES)
            return _decode_codes(self.model, self._codes[rows])
        mean_steps = float(np.mean(self._sequences.lengths)) if len(self) else 1.0
        max_rows = int(_MAX_SAMPLE_STEPS / max(1.0, mean_steps))
        num_rows = max(min_rows, min(_MAX_SAMPLE_SEQUENCES, max_rows))
        sample = self._sequences[linspace_indices(len(self), num_rows)]
        # sequences in memory have the columns of the model already
        aligned = self.model.align(sample) if self._sequences.is_mapped else sample
        return _scale_sequences(self.model, aligned)

    def encode(self, features: SearchFeatures | None) -> tuple[np.ndarray, np.ndarray]:
        """Return codes and vectors (n_rows, n_dimensions); without features, both are the codes."""
        num_blocks, blocks = self._blocks()
        codes, vectors, end = [], [], 0
        # a single block has the progress bar of the model, and several blocks have one over them
        model_verbose = 0 if num_blocks > 1 else self._verbose
        with progress_bar(disable=not (num_blocks > 1 and self._verbose)) as bar:
            for sequences in bar.track(blocks, num_blocks, description="encode"):
                if self._codes is None:
                    codes.append(self.model.encode_aligned(sequences, model_verbose))
                else:
                    num_rows = _CODES_PER_BLOCK if sequences is None else len(sequences)
                    codes.append(self._codes[end : end + num_rows])
                end += len(codes[-1])
                if features is not None:
                    vectors.append(self._vectors(features, sequences, codes[-1]))
        joined = np.concatenate(codes)
        return joined, joined if features is None else np.concatenate(vectors)

    def _blocks(self) -> tuple[int, Iterable[Any]]:
        """Return the number of blocks, and the sequences of each; None for codes alone."""
        if self._sequences is None:
            num_blocks = max(1, math.ceil(len(self) / _CODES_PER_BLOCK))
            return num_blocks, [None] * num_blocks
        num_blocks = len(self._sequences.block_offsets) - 1 if self._sequences.is_mapped else 1
        return num_blocks, self.model.aligned_blocks(self._sequences)

    def _vectors(
        self, features: SearchFeatures, sequences: Sequences | None, codes: np.ndarray
    ) -> np.ndarray:
        """Return the features (n, width) of sequences; without them, of the decoded codes."""
        model = self.model
        if sequences is None:
            scaled, statistics = _decode_codes(model, codes)
        else:
            scaled, statistics = _scale_sequences(model, sequences)
        vectors = np.empty((len(codes), features.width), np.float32)
        for rows, feature_input in _feature_inputs(model, scaled, statistics):
            vectors[rows] = features(feature_input)
        return vectors


def _scale_sequences(model: Model, sequences: Sequences) -> tuple[Sequences, np.ndarray]:
    """Return scaled sequences, and the statistics that scaling removes (n, n_statistics)."""
    return model.scaler.transform(sequences), model.scaler.statistics(sequences)


def _decode_codes(model: Model, codes: np.ndarray) -> tuple[Sequences, np.ndarray]:
    """Return the scaled sequences that codes decode to, and their statistics."""
    # after its latent dimensions, a code has the statistics
    return model.decode_to_scaled(codes), codes[:, model.specification.latent_dim :]


def _feature_inputs(
    model: Model, scaled: Sequences, statistics: np.ndarray
) -> Iterator[tuple[np.ndarray, FeatureInput]]:
    """Yield blocks of sequences of similar length: their indices, and the input of features."""
    specification = model.specification
    scaled, is_missing = _fill_gaps(scaled, specification)
    statistics = np.asarray(statistics, np.float32)
    if statistics.shape[1]:  # means, then standard deviations, of the numeric columns
        is_missing_number = is_missing[:, model.scaler.is_numeric_]
        statistics = np.where(np.tile(is_missing_number, 2), np.float32(np.nan), statistics)
    if specification.observed_flags:  # after all columns, each has a flag, missing in the same rows
        is_missing = np.tile(is_missing, 2)
    for block, values in iterate_encoded_batches(specification, scaled):
        rows = block.indices
        yield rows, FeatureInput(values, block.offsets, statistics[rows], is_missing[rows])


def _fill_gaps(scaled: Sequences, specification: Specification) -> tuple[Sequences, np.ndarray]:
    """Fill gaps with the nearest observed step; also return which columns are missing (n, d)."""
    offsets, lengths, is_gap = (
        scaled.offsets,
        scaled.lengths,
        np.isnan(scaled.values),
    )
    if not is_gap.any():
        return scaled, np.zeros((len(scaled), is_gap.shape[1]), bool)
    counts = packed.segment_sum((~is_gap).astype(np.float32), offsets)
    is_missing = counts < _MIN_OBSERVED_SHARE * lengths[:, None]
    sequence_of = np.repeat(np.arange(len(scaled)), lengths)
    # a missing numeric column becomes 0, and a categorical one the category after the last
    values = np.where(is_missing[sequence_of], specification.num_categories, scaled.values)
    for column in values.T:
        gaps, observed = (
            np.flatnonzero(np.isnan(column)),
            np.flatnonzero(~np.isnan(column)),
        )
        # range of positions in `observed` that belong to the sequence of each gap
        first, end = (np.searchsorted(observed, offsets[sequence_of[gaps] + i]) for i in (0, 1))
        position = np.searchsorted(observed, gaps)  # of the first observed step after the gap
        previous, following = np.maximum(position - 1, first), np.minimum(position, end - 1)
        is_previous_nearer = np.abs(gaps - observed[previous]) <= np.abs(observed[following] - gaps)
        column[gaps] = column[observed[np.where(is_previous_nearer, previous, following)]]
    return scaled.with_values(values.astype(scaled.values.dtype)), is_missing


# Ids and metadata


def check_new_ids(ids: np.ndarray, expected_type: pa.DataType | None = None) -> pa.Array:
    """Return ids as an array, or raise an error if one repeats or the type is not the index's."""
    array = ids_to_arrow(check_ids(ids, len(ids)))
    counts = _compute.value_counts(array)
    repeated = counts.filter(_compute.greater(counts.field("counts"), 1))
    if len(repeated):
        raise DataError(
            f"The id {repeated.field('values')[0].as_py()!r} occurs "
            f"{repeated.field('counts')[0]} times. Give every sequence its own id."
        )
    if expected_type is not None and array.type != expected_type:
        is_integer = pa.types.is_integer(expected_type)
        raise DataError(
            f"The ids of the index are {'integers' if is_integer else 'text'}, and those of the "
            f"new rows are {'text' if is_integer else 'integers'}. Pass ids of the same type."
        )
    return array


def cast_ids(ids: ArrayLike, expected_type: pa.DataType) -> pa.Array:
    """Return ids, such as "3" or [1, 2], as an array of the type of the index."""
    if isinstance(ids, str | int):
        ids = [ids]
    try:
        return pa.array(np.asarray(ids).tolist()).cast(pa.string()).cast(expected_type)
    except (ValueError, TypeError, pa.ArrowException) as error:
        type_name = "integers" if pa.types.is_integer(expected_type) else "text"
        raise DataError(
            f"The ids of the index are {type_name}. Got {np.asarray(ids).ravel()[:1].tolist()}."
        ) from error


def check_metadata(
    metadata: Metadata | None, num_rows: int, index_schema: pa.Schema | None = None
) -> pa.Table:
    """Return metadata as a table, with the columns and types of the index if it has a schema."""
    try:
        table = pa.table(metadata if metadata is not None else {})
    except (TypeError, ValueError, pa.ArrowException) as error:
        raise DataError(
            f"metadata must be a mapping of names to columns, or a table. {str(error)[:120]}"
        ) from error
    names = table.column_names
    if index_schema is not None:
        metadata_schema = pa.schema(
            [field for field in index_schema if field.name not in RESERVED_COLUMNS]
        )
        try:
            if set(names) != set(metadata_schema.names):
                raise pa.ArrowInvalid("the names differ")
            table = table.select(metadata_schema.names).cast(metadata_schema)
        except pa.ArrowException as error:
            reason = str(error).splitlines()[0][:80]
            raise DataError(
                f"The index has the metadata {_format_columns(metadata_schema)}. Got "
                f"{_format_columns(table.schema)} ({reason}). Pass the same columns, with "
                "values of these types."
            ) from error
    for name in names:
        if name in RESERVED_COLUMNS or name.startswith("_"):
            raise DataError(f"A column of metadata cannot be named {name!r}. Give it another name.")
    if names:
        check_counts_match(table.num_rows, "rows of metadata", num_rows, "sequences")
    return table


def _format_columns(schema: pa.Schema) -> str:
    """Return names and types of columns, such as "site (string), year (int64)"."""
    return ", ".join(f"{field.name} ({field.type})" for field in schema) or "none"


def make_rows(
    row_source: RowSource, ids: pa.Array, features: SearchFeatures | None, metadata: pa.Table
) -> pa.Table:
    """Encode rows, and return them as a table with the columns of an index."""
    codes, vectors = row_source.encode(features)
    columns = {"id": ids} | {name: metadata[name] for name in metadata.column_names}
    columns["code"] = vectors_to_arrow(codes)
    if features is not None:  # otherwise the vectors are the codes
        columns["vector"] = vectors_to_arrow(vectors)
    return pa.table(columns)
