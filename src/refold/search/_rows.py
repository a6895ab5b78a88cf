"""Rows of an index, made from the sequences, codes, ids and metadata that a caller passes.

`RowSource` computes codes and vectors. Other functions check ids and metadata. `make_row_table`
joins all of them to the table that an index stores.
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
from refold.search._features import ScaledBatch, SearchFeatures
from refold.sequences import Sequences, ids_to_arrow, to_id_array, vectors_to_arrow

# Any, because type checkers do not see the functions that pyarrow.compute makes at import
pc: Any = pyarrow.compute

Metadata: TypeAlias = Mapping[str, ArrayLike] | ArrowTable

# Columns of an index or of its hits, which metadata cannot have.
RESERVED_COLUMN_NAMES = ("id", "code", "vector", "query", "rank", "distance")
# Rule for the vectors that distances are measured on.
VECTOR_KIND_RULE = one_of("features", "code")
# Number of codes that are decoded at once, which bounds the memory.
_MAX_BLOCK_CODES = 4096
# Largest number of sequences that features are fitted to, because a fit takes time.
_MAX_SAMPLE_SEQUENCES = 1024
# Smallest number of sequences for each dimension of the features. If there are fewer sequences, the
# fit also gets training sequences of the model, decoded from the codes that the model keeps. This
# minimum takes precedence over `_MAX_SAMPLE_SEQUENCES` and `_MAX_SAMPLE_STEPS`.
_MIN_SAMPLE_SEQUENCES_PER_DIMENSION = 2
# Largest number of steps that features are fitted to, over all sequences, so that long sequences
# fit in memory.
_MAX_SAMPLE_STEPS = 2_000_000
# If a column has values at less than this share of the steps of a sequence, the whole column counts
# as missing in this sequence.
_MIN_OBSERVED_SHARE_TO_USE_COLUMN = 0.5


class RowSource:
    """Sequences, codes or both, with ids: one row each. `encode` computes codes and vectors."""

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
            self.model = self.model.adapt_to_code_width(codes)
        self._sequences: Any = None if X is None else self.model.open_data_for_blocks(X)
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
        """Fit features to a sample of the rows. They have as many dimensions as a code."""
        model, specification = self.model, self.model.specification
        min_sequences = _MIN_SAMPLE_SEQUENCES_PER_DIMENSION * model.code_size
        if self._sequences is None:
            sample = self._codes[linspace_indices(len(self), _MAX_SAMPLE_SEQUENCES)]
        else:
            # the sample has fewer sequences if sequences have many steps on average
            mean_steps = float(np.mean(self._sequences.lengths)) if len(self) else 1.0
            max_sequences = int(_MAX_SAMPLE_STEPS / max(1.0, mean_steps))
            num_sequences = max(min_sequences, min(_MAX_SAMPLE_SEQUENCES, max_sequences))
            sample = self._sequences[linspace_indices(len(self), num_sequences)]
            # sequences in a file still need the columns of the model; those in memory have them
            sample = model.convert_and_check(sample) if self._sequences.is_mapped else sample
        blocks = [*_iterate_scaled_batches(model, sample)]
        if len(self) < min_sequences and model.reference is not None:
            codes = model.reference.codes  # of training sequences
            codes = codes[linspace_indices(len(codes), _MAX_SAMPLE_SEQUENCES)]
            blocks += _iterate_scaled_batches(model, codes)
        check_not_empty(len(blocks), "sequence", "to describe")
        # the order of the sequences does not matter for a fit, so the indices are left out
        inputs = [scaled_batch for _, scaled_batch in blocks]
        step_values, offsets, scaling_statistics, is_missing_column = zip(*inputs, strict=True)
        lengths = np.concatenate([lengths_from_offsets(block) for block in offsets])
        fit_input = ScaledBatch(
            np.concatenate(step_values),
            offsets_from_lengths(lengths),
            np.concatenate(scaling_statistics),
            np.concatenate(is_missing_column),
        )
        # a categorical column has a channel for each category, and any other column has one;
        # after them, each flag of observed values has one channel
        channel_counts = [count or 1 for count in specification.num_categories]
        channel_counts += [1] * (fit_input.step_values.shape[1] - sum(channel_counts))
        # A model that reads curves resamples each sequence to a grid of `max_steps` steps. The grid
        # can be much longer than the sequences here, so their maximum length is used.
        is_curve_network = specification.is_curve_network
        max_steps = int(lengths.max()) if is_curve_network else specification.max_steps
        return SearchFeatures.fit(fit_input, channel_counts, model.code_size, max(1, max_steps))

    def encode(self, search_features: SearchFeatures | None) -> tuple[np.ndarray, np.ndarray]:
        """Return codes and vectors (n_rows, n_dimensions); without features, both are the codes."""
        if self._sequences is None:
            num_blocks = max(1, math.ceil(len(self) / _MAX_BLOCK_CODES))
            blocks: Iterable[Any] = [None] * num_blocks
        else:
            blocks = self.model.convert_and_check_blocks(self._sequences)
            # sequences in memory are a single block
            is_mapped = self._sequences.is_mapped
            num_blocks = len(self._sequences.block_sequence_offsets) - 1 if is_mapped else 1
        codes, vectors, num_encoded = [], [], 0
        # For a single block, the model shows its progress bar. For several blocks, the bar below
        # counts blocks.
        model_verbose = 0 if num_blocks > 1 else self._verbose
        with progress_bar(disable=not (num_blocks > 1 and self._verbose)) as bar:
            sequences: Any  # None for a block of codes without sequences
            for sequences in bar.track(blocks, num_blocks, description="encode"):
                if self._codes is None:
                    block_codes = self.model.encode_checked(sequences, model_verbose)
                else:
                    num_rows = _MAX_BLOCK_CODES if sequences is None else len(sequences)
                    block_codes = self._codes[num_encoded : num_encoded + num_rows]
                codes.append(block_codes)
                num_encoded += len(block_codes)
                if search_features is not None:
                    shape = len(block_codes), search_features.vector_size
                    block_vectors = np.empty(shape, np.float32)
                    block_input = block_codes if sequences is None else sequences
                    for rows, inputs in _iterate_scaled_batches(self.model, block_input):
                        block_vectors[rows] = search_features(inputs)
                    vectors.append(block_vectors)
        all_codes = np.concatenate(codes)
        return all_codes, all_codes if search_features is None else np.concatenate(vectors)


def _iterate_scaled_batches(
    model: Model, sequences_or_codes: Sequences | np.ndarray
) -> Iterator[tuple[np.ndarray, ScaledBatch]]:
    """Yield the indices (n,) and the channels of sequences, in batches of similar lengths."""
    # codes (n_sequences, width of the code) are decoded to sequences
    specification = model.specification
    if isinstance(sequences_or_codes, Sequences):
        scaled = model.scaler.transform(sequences_or_codes)
        statistics = model.scaler.statistics(sequences_or_codes)
    else:
        # if each sequence is scaled by its own statistics, its code has them at the end
        statistics = sequences_or_codes[:, specification.latent_dim :]
        scaled = model.decode_to_scaled(sequences_or_codes)
    scaled, is_missing = _fill_by_nearest(scaled, specification.num_categories)
    statistics = np.asarray(statistics, np.float32)  # (n_sequences, n_statistics)
    if statistics.shape[1]:  # means of the numeric columns, then log standard deviations
        is_missing_number = is_missing[:, model.scaler.is_numeric_]
        statistics = np.where(np.tile(is_missing_number, 2), np.float32(np.nan), statistics)
    # After the channels of the columns, each column has a flag: whether a step has a value. If a
    # column counts as missing, its flag does, too.
    if specification.observed_flags:
        is_missing = np.tile(is_missing, 2)
    for block, values in iterate_encoded_batches(specification, scaled):
        rows = block.indices
        yield rows, ScaledBatch(values, block.offsets, statistics[rows], is_missing[rows])


def _fill_by_nearest(scaled: Sequences, num_categories: list[int]) -> tuple[Sequences, np.ndarray]:
    """Fill each gap with the value of its column at the nearest observed step."""
    # also returns whether each column of each sequence counts as missing, (n_sequences, n_columns)
    is_gap = np.isnan(scaled.values)  # (n_steps, n_columns)
    if not is_gap.any():
        return scaled, np.zeros((len(scaled), is_gap.shape[1]), bool)
    observed_counts = packed.segment_sum((~is_gap).astype(np.float32), scaled.offsets)
    is_missing = observed_counts < _MIN_OBSERVED_SHARE_TO_USE_COLUMN * scaled.lengths[:, None]
    sequence_of_step = np.repeat(np.arange(len(scaled)), scaled.lengths)
    # A column that counts as missing gets its number of categories as value. In a categorical
    # column, this is the index after that of the last category. In any other column, it is 0.
    values = np.where(is_missing[sequence_of_step], num_categories, scaled.values)
    for column in values.T:
        gap_rows = np.flatnonzero(np.isnan(column))
        observed_rows = np.flatnonzero(~np.isnan(column))
        # For each gap, `first`, `end` and `next_observed` are indices into `observed_rows`. The
        # observed steps of the sequence with the gap begin at `first`, and end before `end`.
        sequence_of_gap = sequence_of_step[gap_rows]
        first = np.searchsorted(observed_rows, scaled.offsets[sequence_of_gap])
        end = np.searchsorted(observed_rows, scaled.offsets[sequence_of_gap + 1])
        next_observed = np.searchsorted(observed_rows, gap_rows)
        before = observed_rows[np.maximum(next_observed - 1, first)]
        after = observed_rows[np.minimum(next_observed, end - 1)]
        is_before_nearer = np.abs(gap_rows - before) <= np.abs(after - gap_rows)
        column[gap_rows] = column[np.where(is_before_nearer, before, after)]
    return scaled.with_values(values.astype(scaled.values.dtype)), is_missing


# Ids and metadata


def check_new_ids(ids: np.ndarray, index_id_type: pa.DataType | None = None) -> pa.Array:
    """Return ids as an array; refuse repeated ids, and ids of another type than in the index."""
    array = ids_to_arrow(to_id_array(ids, len(ids)))
    counts = pc.value_counts(array)  # (n_distinct_ids,), of records of a value and a count
    repeated = counts.filter(pc.greater(counts.field("counts"), 1))
    if len(repeated):
        raise DataError(
            f"The id {repeated.field('values')[0].as_py()!r} occurs "
            f"{repeated.field('counts')[0]} times. Give every sequence its own id."
        )
    if index_id_type is not None and array.type != index_id_type:
        is_integer = pa.types.is_integer(index_id_type)
        raise DataError(
            f"The ids of the index are {'integers' if is_integer else 'text'}, and those of the "
            f"new rows are {'text' if is_integer else 'integers'}. Pass ids of the same type."
        )
    return array


def cast_ids(ids: ArrayLike, index_id_type: pa.DataType) -> pa.Array:
    """Return ids, such as "3" or [1, 2], as an array of the type of the ids in the index."""
    if isinstance(ids, str | int):
        ids = [ids]
    try:
        # first to text, because ids from the command line are text, and the index may have integers
        return pa.array(np.asarray(ids).tolist()).cast(pa.string()).cast(index_id_type)
    except (ValueError, TypeError, pa.ArrowException) as error:
        type_name = "integers" if pa.types.is_integer(index_id_type) else "text"
        raise DataError(
            f"The ids of the index are {type_name}. Got {np.asarray(ids).ravel()[:1].tolist()}."
        ) from error


def make_metadata_table(
    metadata: Metadata | None, num_rows: int, index_schema: pa.Schema | None = None
) -> pa.Table:
    """Return metadata as a table, with the columns and types of the schema if there is one."""
    try:
        table = pa.table(metadata if metadata is not None else {})
    except (TypeError, ValueError, pa.ArrowException) as error:
        raise DataError(
            f"metadata must be a mapping of names to columns, or a table. {str(error)[:120]}"
        ) from error
    if index_schema is not None:
        metadata_schema = pa.schema(
            [field for field in index_schema if field.name not in RESERVED_COLUMN_NAMES]
        )
        try:
            if set(table.column_names) != set(metadata_schema.names):
                raise pa.ArrowInvalid("the names differ")
            table = table.select(metadata_schema.names).cast(metadata_schema)
        except pa.ArrowException as error:
            index_columns, columns = (
                ", ".join(f"{field.name} ({field.type})" for field in schema) or "none"
                for schema in (metadata_schema, table.schema)
            )
            raise DataError(
                f"The index has the metadata {index_columns}. Got {columns} "
                f"({str(error).splitlines()[0][:80]}). Pass the same columns, with values of these "
                "types."
            ) from error
    for name in table.column_names:
        if name in RESERVED_COLUMN_NAMES or name.startswith("_"):
            raise DataError(f"A column of metadata cannot be named {name!r}. Give it another name.")
    if table.column_names:
        check_counts_match(table.num_rows, "rows of metadata", num_rows, "sequences")
    return table


def make_row_table(
    row_source: RowSource, ids: pa.Array, search_features: SearchFeatures | None, metadata: pa.Table
) -> pa.Table:
    """Encode rows, and return them as a table with the columns of an index."""
    codes, vectors = row_source.encode(search_features)
    metadata_columns = {name: metadata[name] for name in metadata.column_names}
    columns = {"id": ids, **metadata_columns, "code": vectors_to_arrow(codes)}
    if search_features is not None:  # otherwise the vectors are the codes
        columns["vector"] = vectors_to_arrow(vectors)
    return pa.table(columns)
