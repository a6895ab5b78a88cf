"""The data of a fit, and its split into sequences for training, validation and calibration.

A fit calls `prepare_training_windows`, then `split_off_calibration` for the calibration sequences,
and makes a `Split` of the other ones.
"""

import contextlib
import functools
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from refold._support.messages import pluralize, warn
from refold.arguments import Arguments
from refold.errors import DataError, ParameterError, argument, python_or_cli
from refold.model import (
    MAX_STORED_FINGERPRINTS,
    Fingerprints,
    Model,
    SequencesLike,
    check_not_trained_on,
    cut_into_windows,
    read_user_data,
)
from refold.sequences import (
    BucketedBatches,
    Scaler,
    Sequences,
    Windows,
    apply_to_mapped_blocks,
    check_float32_range,
    data_warnings,
    describe_array_like_single_series,
    find_id_or_time_features,
    fingerprints,
    mark_missing,
    uncut_windows,
)
from refold.training._shards import (
    FitBlocks,
    LoadedShard,
    PhaseData,
    ShardLoader,
    copy_blocks_to_device,
    count_observed_values,
    sample_indices,
)

# Maximum number of held-out values of mapped data. Held-out sequences have to fit in memory.
_MAX_HELD_OUT_VALUES = 4_000_000
# Minimum number of series to hold out complete series. With fewer, the last windows of each series
# are held out.
_MIN_SERIES_TO_HOLD_OUT_WHOLE = 10


def prepare_training_windows(
    X: SequencesLike, arguments: Arguments, base_model: Model | None = None
) -> Windows:
    """Open training data, warn if it looks wrong, and cut it into windows.

    The columns are those of the base model, if one is trained further. If the arguments ask for no
    windows, each sequence is one window.
    """
    missing_values = arguments.missing_values
    if base_model is not None:
        missing_values = list(base_model.schema.missing) or None
    sequences = read_user_data(X, as_sequence=arguments.window is not None)

    def apply_to_blocks(change_block: Callable[[Sequences], Sequences]) -> Sequences:
        if sequences.is_mapped:  # a block of mapped data is changed later, when it is read
            return apply_to_mapped_blocks(sequences, change_block)
        return change_block(sequences)

    if missing_values is not None:
        sequences = apply_to_blocks(lambda block: mark_missing(block, missing_values))
    check_float32_range(sequences)
    # the reader of arrays has warned already that the steps may be those of one series
    has_warned = describe_array_like_single_series(X) is not None
    for message in data_warnings(sequences, single_steps=not has_warned):
        warn(message)
    # in a list of tables, all columns become features, also ids and times
    first = X[0] if isinstance(X, list | tuple) and len(X) else None
    is_table = hasattr(first, "columns") or hasattr(first, "column_names")
    if is_table and (keys := find_id_or_time_features(sequences)):
        columns = ", and ".join(f"{name!r}, which looks like {key}s" for name, key in keys.items())
        warn(
            f"All columns of the tables are features, also {columns}. Drop them, or pass one table "
            "of all steps to Sequences.from_table."
        )
    if base_model is not None and sequences.schema != base_model.schema:
        sequences = apply_to_blocks(lambda block: block.convert_to_schema(base_model.schema))
    return cut_into_windows(sequences, arguments.window, arguments.step)


class Split:
    """The sequences of a fit for training, validation and calibration, and their scalers."""

    # There are two phases of training. The phase "validated" trains on the training sequences and
    # validates on the held-out sequences. The phase "refit" trains on both.

    def __init__(
        self,
        fit_data: FitBlocks,
        calibration_sequences: Sequences | None,
        arguments: Arguments,
        *,
        seed: int,
        base_model: Model | None,  # to train further; its scalers do not change
        windows: Windows | None = None,  # of the data; by default each sequence is one window
    ) -> None:
        self.fit_data, self.calibration_sequences = fit_data, calibration_sequences
        self.seed, self.base_model, self.window = seed, base_model, arguments.window
        self.schema, self.lengths = fit_data.sequences.schema, fit_data.sequences.lengths
        fraction = arguments.validation_fraction
        if not fit_data.in_memory:
            fraction = min(fraction, _MAX_HELD_OUT_VALUES / max(1, fit_data.sequences.values.size))
        self.training_indices, self.held_out_indices = split_windows(
            windows or uncut_windows(fit_data.sequences),
            fraction,
            lambda lengths: split_validation(lengths, fraction, seed=seed),
        )
        # indices of the sequences to train on
        all_indices = np.arange(len(self.lengths))
        self._indices_by_phase = {"validated": self.training_indices, "refit": all_indices}
        self._scale_mode = arguments.scale
        self._scalers_by_phase: dict[str, Scaler] = {}

    @functools.cached_property
    def held_out_sequences(self) -> Sequences:
        """The sequences that are held out for validation, read from a file only once."""
        return self.fit_data.sequences[self.held_out_indices]

    @functools.cached_property
    def error_scaler(self) -> Scaler:
        """Scaler for errors of the model; the first access warns of constant columns."""
        if self.base_model is not None:
            return self.base_model.error_scaler
        with warnings.catch_warnings():
            # without scaling, do not warn that a constant column is scaled by 1
            if self._scale_mode is None:
                warnings.simplefilter("ignore", UserWarning)
            return Scaler.fit(self.fit_data.sequences, "features")

    def scaler(self, phase: str) -> Scaler:
        """Return the scaler of the input in a phase, fitted to its training sequences."""
        if self.base_model is not None:
            return self.base_model.scaler
        error_scaler = self.error_scaler
        if phase not in self._scalers_by_phase:
            # if the data is mapped from files, fit to all sequences, because few are held out
            training_only = phase == "validated" and self.fit_data.in_memory
            scaler, mode = error_scaler, self._scale_mode
            if mode != "features" or training_only:
                scaler = self._fit_scaler(mode, training_only=training_only)
            self._scalers_by_phase[phase] = scaler
        return self._scalers_by_phase[phase]

    @functools.cached_property
    def held_out_error_scaler(self) -> Scaler:
        """Scaler for errors on held-out sequences."""
        # fitted to the training sequences only; if the data is mapped, to all, because few of them
        # are held out
        return self._fit_scaler("features", training_only=self.fit_data.in_memory)

    def _fit_scaler(self, scale_mode: Any, *, training_only: bool) -> Scaler:
        """Fit a scaler to the training sequences only, or to the held-out sequences as well."""
        sequences = self.fit_data.sequences
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # `error_scaler` gave the same warnings
            if training_only:
                # A column may have no values in the training sequences, which raises a DataError.
                # Then the scaler is fitted to all sequences.
                with contextlib.suppress(DataError):
                    return Scaler.fit(sequences[self.training_indices], scale_mode)
            return Scaler.fit(sequences, scale_mode)

    def phase_data(self, phase: str, batches: BucketedBatches, warp_std: float) -> PhaseData:
        """Return the training and validation data of a phase."""
        indices, scaler = self._indices_by_phase[phase], self.scaler(phase)
        max_steps = batches.buckets[-1].num_steps  # of the longest batch
        mask = np.zeros(len(self.lengths), bool)  # whether to train on each sequence
        mask[indices] = True
        loader = ShardLoader(
            self.fit_data, scaler.transform, mask, max_steps, seed=self.seed, warp_std=warp_std
        )
        validation = None
        if phase == "validated" and len(self.held_out_indices):
            data = copy_blocks_to_device([scaler.transform(self.held_out_sequences)], max_steps)
            held_out = self.held_out_indices
            validation = LoadedShard(data, sequence_indices=held_out, stored_indices=held_out)
        num_observed = count_observed_values(self.fit_data.sequences, indices)
        return PhaseData(loader, validation, len(indices), num_observed)

    def sample(self, phase: str, max_sequences: int) -> Sequences:
        """Return a random sample of at most ``max_sequences`` training sequences of a phase."""
        indices = sample_indices(self._indices_by_phase[phase], max_sequences, self.seed)
        return self.fit_data.sequences[indices]

    def fingerprints(self, phase: str) -> Fingerprints:
        """Return the fingerprints of all sequences, joined with those of the base model."""
        # A fingerprint is a hash of a sequence. Held-back sequences are those for validation and
        # calibration, whose errors tell how well the model does on new sequences.
        held_back = [np.zeros(0, np.uint64)]
        if phase == "validated" and len(self.held_out_indices):
            held_back.append(fingerprints(self.held_out_sequences))
        if self.calibration_sequences is not None:
            held_back.append(fingerprints(self.calibration_sequences))
        held_back_hashes = np.concatenate(held_back)  # uint64 (n,)
        fit_data, trained = self.fit_data, np.zeros(0, np.uint64)
        for block in fit_data.process_block_indices:
            bounds = fit_data.block_offsets[block : block + 2]
            hashes = fingerprints(fit_data.sequences.block(*bounds))
            fit_data.sequences.release_mapped_memory(*bounds)
            trained = _join_smallest_hashes(trained, _exclude_hashes(hashes, held_back_hashes))
        trained = _join_smallest_hashes(*fit_data.processes.gather(trained))
        if self.base_model is None:
            return Fingerprints(held_back_hashes, trained)
        before = self.base_model.fingerprints
        trained_before = before.training_hashes
        if trained_before is None:  # the base model does not know its training sequences
            trained_before = np.zeros(0, np.uint64)
        # A sequence is held back only if neither the base model nor this training used it. What was
        # held back before and is held back now is already in `held_back_now`.
        held_back_now = _exclude_hashes(held_back_hashes, trained_before)
        seen_now = np.concatenate([trained, held_back_hashes])
        held_back_before = _exclude_hashes(before.held_back_hashes, seen_now)
        held_back_hashes = np.concatenate([held_back_before, held_back_now])
        return Fingerprints(held_back_hashes, _join_smallest_hashes(trained_before, trained))


def split_off_calibration(
    all_windows: Windows, calibration_fraction: float, base_model: Model | None = None
) -> tuple[Windows, Sequences | None]:
    """Split off a random share for calibration, on which the base model must not be trained."""
    if not calibration_fraction:
        return all_windows, None
    if all_windows.sequences.is_mapped:
        raise ParameterError(
            "calibration_fraction needs sequences in memory, and these are too large for it. "
            f"Keep some out, and {python_or_cli('give them to calibrate()', 'give --normal DATA')}."
        )

    def split_at_random(series_lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        count = _fraction_to_count(len(series_lengths), calibration_fraction=calibration_fraction)
        # a constant seed, so that a resumed training has the same calibration sequences
        order = np.random.default_rng(0xCA11).permutation(len(series_lengths))
        return np.sort(order[count:]), np.sort(order[:count])

    training_indices, held_out = split_windows(all_windows, calibration_fraction, split_at_random)
    calibration = all_windows.sequences[held_out]
    if base_model is not None:
        check_not_trained_on(calibration, base_model.fingerprints.training_hashes)
    return all_windows.take(training_indices), calibration


def split_windows(
    windows: Windows,
    held_out_fraction: float,
    # takes the lengths of n series, and returns indices of series to train on and to hold out
    split_series: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]],
) -> tuple[np.ndarray, np.ndarray]:
    """Return the indices of windows to train on and to hold out, which have no step in common.

    If there are many series, complete series are held out. Otherwise, the last windows of each
    series are held out if the series is long enough, and windows that have steps on both sides of
    the boundary are left out.
    """
    # the distinct series, and for each window the index of its series
    series, series_indices = np.unique(windows.series, return_inverse=True)
    # of each series: the end of its last window, and the length of its longest window
    ends, max_lengths = np.zeros((2, len(series)), np.int64)
    np.maximum.at(ends, series_indices, windows.ends)
    np.maximum.at(max_lengths, series_indices, windows.sequences.lengths)
    is_long = (ends >= 2 * max_lengths) & (ends > 0)  # enough for a window on either side
    if not held_out_fraction or len(series) >= _MIN_SERIES_TO_HOLD_OUT_WHOLE or not is_long.any():
        training, held_out = (np.isin(series_indices, indices) for indices in split_series(ends))
        return np.flatnonzero(training), np.flatnonzero(held_out)
    # the boundary of each series, with space for at least one window after it
    boundaries = np.floor(ends * (1 - held_out_fraction)).astype(np.int64)
    boundaries = np.minimum(ends - max_lengths, boundaries)
    # train on all windows of a series that is too short
    boundaries = np.where(is_long, boundaries, ends)[series_indices]
    is_held_out = is_long[series_indices] & (windows.starts >= boundaries)
    return np.flatnonzero(windows.ends <= boundaries), np.flatnonzero(is_held_out)


def split_validation(
    lengths: np.ndarray, validation_fraction: float, *, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Split sequences with lengths (n,) at random into indices for training and validation."""
    num_sequences = len(lengths)
    if validation_fraction == 0:
        return np.arange(num_sequences), np.arange(0)
    num_validation = _fraction_to_count(num_sequences, validation_fraction=validation_fraction)
    # The split is random, because files are often sorted by class. It is stratified by length: it
    # takes one random sequence of each group of similar length. Sequences of the same length are in
    # random order before they are divided into groups.
    #
    # 0x5917 is the number of this use of random numbers. Each use has another number, so that uses
    # with the same seed are independent.
    rng = np.random.default_rng([seed, 0x5917])
    by_length = np.lexsort((rng.random(num_sequences), lengths))
    validation = np.sort([rng.choice(group) for group in np.array_split(by_length, num_validation)])
    return np.setdiff1d(np.arange(num_sequences), validation), validation


def _fraction_to_count(num_sequences: int, **named_fraction: float) -> int:
    """Return how many sequences a fraction such as `validation_fraction=0.2` holds out."""
    # the keyword is the name of the argument, for the error message
    (fraction,) = named_fraction.values()
    count = max(1, round(num_sequences * fraction))  # a fraction above 0 holds out at least one
    if count >= num_sequences:
        raise ParameterError(
            f"{argument(**named_fraction)} of {pluralize(num_sequences, 'sequence')} leaves "
            "nothing to train on. Give more sequences, a smaller share, or 0."
        )
    return count


def _exclude_hashes(all_hashes: np.ndarray, excluded: np.ndarray) -> np.ndarray:
    """Return the fingerprints, uint64 (n,), without the excluded ones."""
    return all_hashes[~np.isin(all_hashes, excluded)]


def _join_smallest_hashes(*hashes: np.ndarray) -> np.ndarray:
    """Join fingerprints, and keep `MAX_STORED_FINGERPRINTS` at most."""
    # the smallest ones, so that the result does not depend on the order of the data
    return np.sort(np.concatenate(hashes))[:MAX_STORED_FINGERPRINTS]
