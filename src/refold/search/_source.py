"""What a caller passes, sequences or codes, and the vectors that distances are measured on."""

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from refold._support.argument_checks import check_one_each, check_some
from refold._support.offsets import lengths_from_offsets, offsets_from_lengths
from refold._support.progress_bars import progress_bar
from refold._support.rules import check, one_of
from refold._support.sampling import evenly_spaced
from refold.errors import DataError, ParameterError
from refold.kernels import packed
from refold.model import Model, ModelLike, SequencesLike, model_of
from refold.network.packed.rows import encoded_blocks
from refold.network.specification import Specification
from refold.search._features import Described, SequenceFeatures
from refold.sequences import Sequences
from refold.sequences.types import COLUMN_TYPES

DISTANCES = ("features", "code")
# Codes that are decoded at once.
_CODES = 4096
# Sequences that features are fitted to, at most, and at least for each of their dimensions. If
# there are fewer, those of the training join them.
_SAMPLE, _FEWEST = 1024, 2
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


def check_distance(distance: str) -> str:
    """Check the name of a distance."""
    check("distance", distance, one_of(*DISTANCES))
    return distance


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
        model = model_of(model)
        if X is None and codes is None:
            raise ParameterError("Pass sequences or codes.")
        self._model, self._verbose = model, verbose
        # without sequences, codes are decoded for features
        self._sequences: Any = None if X is None else model.open(X, "codes")
        self._codes: Any = codes
        if codes is not None:
            self._codes = model.check_codes(codes)
        number = len(self._codes if X is None else self._sequences)
        if codes is not None:
            check_one_each(len(self._codes), "codes", number, "sequences")
        if ids is None:
            ids = np.arange(number) if X is None else self._sequences.ids
        self.ids = np.asarray(ids)
        if self.ids.shape != (number,):
            raise DataError(
                f"Got ids of shape {self.ids.shape} for {number} codes. Pass one id per code."
            )

    def __len__(self) -> int:
        return len(self.ids)

    def fit_features(self) -> SequenceFeatures:
        """Fit features of as many dimensions as a code to a sample."""
        model, specification = self._model, self._model.specification
        width = model.code_size
        samples = [*_described(model, *self._sample(_FEWEST * width))]
        if len(self) < _FEWEST * width and model.reference is not None:
            known = model.reference.codes
            samples += _described(
                model, *_decoded(model, known[evenly_spaced(len(known), _SAMPLE)])
            )
        check_some(len(samples), "sequence", "to describe")
        given = [one for _, one in samples]
        lengths = np.concatenate([lengths_from_offsets(one.offsets) for one in given])
        joined = Described(
            np.concatenate([one.values for one in given]),
            offsets_from_lengths(lengths),
            np.concatenate([one.statistics for one in given]),
            np.concatenate([one.missing for one in given]),
        )
        columns = [n or 1 for n in specification.num_categories]
        columns += [1] * (joined.values.shape[1] - sum(columns))  # flags of missing values
        return SequenceFeatures.fit(joined, columns, width, specification.max_steps)

    def _sample(self, least: int) -> tuple[Sequences, np.ndarray]:
        if self._sequences is None:
            return _decoded(self._model, self._codes[evenly_spaced(len(self), _SAMPLE)])
        steps = float(np.mean(self._sequences.lengths)) if len(self) else 1.0
        most = max(least, min(_SAMPLE, int(_SAMPLE_STEPS / max(1.0, steps))))
        some = evenly_spaced(len(self), most)
        sample = self._sequences[some]
        # those in memory are aligned already
        aligned = self._model.align(sample) if self._sequences.is_mapped else sample
        return _scaled(self._model, aligned)

    def blocks(self, features: SequenceFeatures | None) -> Iterator[RowBlock]:
        """Encode block by block, with a progress bar if there are many."""
        model, done, many = self._model, 0, self._num_blocks > 1
        with progress_bar(disable=not (many and self._verbose)) as bar:
            for sequences in bar.track(self._parts(), self._num_blocks, description="encode"):
                size = len(sequences) if sequences is not None else min(_CODES, len(self) - done)
                rows = slice(done, done + size)
                if sequences is None or self._codes is not None:
                    codes = np.asarray(self._codes)[rows]
                else:
                    codes = model.codes_of(sequences, 0 if many else self._verbose)
                yield RowBlock(rows, codes, self._vectors(features, sequences, codes))
                done += size

    @property
    def _num_blocks(self) -> int:
        if self._sequences is None:
            return max(1, math.ceil(len(self) / _CODES))
        return len(self._sequences.block_offsets) - 1 if self._sequences.is_mapped else 1

    def _parts(self) -> Iterator[Sequences | None]:
        if self._sequences is None:
            yield from [None] * self._num_blocks
        else:
            yield from self._model.blocks(self._sequences)

    def _vectors(
        self, features: SequenceFeatures | None, sequences: Sequences | None, codes: np.ndarray
    ) -> np.ndarray:
        if features is None:
            return codes
        given = (
            _decoded(self._model, codes) if sequences is None else _scaled(self._model, sequences)
        )
        vectors = np.empty((len(codes), features.width), np.float32)
        for chosen, one in _described(self._model, *given):
            vectors[chosen] = features(one)
        return vectors

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
