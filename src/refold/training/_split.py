"""The training data of a fit, and its split into training, validation and calibration."""

import contextlib
import functools
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from refold._support.output import warn
from refold.arguments import Arguments
from refold.errors import DataError, ParameterError, argument, spelled
from refold.model import (
    MAX_FINGERPRINTS,
    Fingerprints,
    Model,
    SequencesLike,
    check_untrained,
    cut,
    open_source,
)
from refold.sequences import (
    Batches,
    Scaler,
    Sequences,
    Windows,
    check_single,
    data_warnings,
    fingerprints,
    key_columns,
    mapped_blocks,
    mark_missing,
    whole_windows,
)
from refold.training._shards import Loader, Shard, Source, SplitData, num_observed, to_device

# Cap on held-out values of mapped data, because they are in memory.
_MAX_HELD_OUT = 4_000_000
# Number of series from which on whole ones are held out, not a part of each.
_MIN_SERIES = 10
# Sample of training sequences for the reference statistics: cap on sequences, cap on their values,
# and minimum number of sequences.
_MAX_REFERENCE, _MAX_REFERENCE_VALUES, _MIN_REFERENCE = 1024, 1 << 21, 64


def open_training(X: SequencesLike, arguments: Arguments, further: Model | None = None) -> Windows:
    """Open training data, with the columns of a model to train further; warn if it looks wrong.

    Without windows, each sequence is one.
    """
    missing_values = arguments.missing_values
    if further is not None:
        missing_values = list(further.schema.missing) or None
    source = open_source(X, as_series=arguments.window is not None)

    def changed(change: Callable[[Sequences], Sequences]) -> Sequences:
        return mapped_blocks(source, change) if source.is_mapped else change(source)

    if missing_values is not None:
        source = changed(lambda block: mark_missing(block, missing_values))
    check_single(source)
    for message in [*data_warnings(source), *_key_warning(X, source)]:
        warn(message)
    if further is not None and source.schema != further.schema:
        source = changed(lambda block: block.align(further.schema))
    return cut(source, arguments.window, arguments.step)


def _key_warning(X: object, source: Any) -> list[str]:
    """Warn of ids and times in a list of tables, of which all columns are features."""
    first = X[0] if isinstance(X, list | tuple) and len(X) else None
    is_table = hasattr(first, "columns") or hasattr(first, "column_names")
    keys = key_columns(source) if is_table else {}
    if not keys:
        return []
    named = ", and ".join(f"{name!r}, which looks like {key}s" for name, key in keys.items())
    return [
        f"All columns of the tables are features, also {named}. Drop them, or pass one table of "
        "all steps to Sequences.from_table."
    ]


class Split:
    """Sequences of a fit: those for training, for validation and for calibration."""

    def __init__(
        self,
        source: Source,
        calibration: Sequences | None,
        arguments: Arguments,
        *,
        seed: int,
        further: Model | None,
        windows: Windows | None = None,  # those of the source; by default each sequence is one
    ) -> None:
        self.source, self.calibration = source, calibration
        self.window = arguments.window
        self.schema, self.lengths = source.sequences.schema, source.sequences.lengths
        fraction = arguments.validation_fraction
        if not source.in_memory:  # held-out sequences have to fit in memory
            fraction = min(fraction, _MAX_HELD_OUT / max(1, source.sequences.values.size))
        # rows that the first phase trains on and holds out; a refit trains on all
        windows = windows or whole_windows(source.sequences)
        rows, self.held_out_rows = split_windows(
            windows, fraction, lambda lengths: validation_split(lengths, fraction, seed=seed)
        )
        self.rows = {"validated": rows, "refit": np.arange(len(self.lengths))}
        self.seed, self.further = seed, further  # the scalers of a model do not change
        self._mode = arguments.scale
        self._scalers: dict[str, Scaler] = {}

    @functools.cached_property
    def held_out_sequences(self) -> Sequences:
        """The sequences that are held out for validation, read once."""
        return self.source.sequences[self.held_out_rows]

    @functools.cached_property
    def error_scaler(self) -> Scaler:
        """Scaler of the error units; the first access warns of constant columns."""
        if self.further is not None:
            return self.further.error_scaler
        with warnings.catch_warnings():
            # nothing is scaled, so do not warn that a constant is scaled by 1
            if self._mode is None:
                warnings.simplefilter("ignore", UserWarning)
            return Scaler.fit(self.source.sequences, "features")

    def scaler(self, phase: str) -> Scaler:
        """Return the scaler of a phase, fitted to its training sequences."""
        if self.further is not None:
            return self.further.scaler
        units = self.error_scaler
        if phase not in self._scalers:
            # that of mapped data is fitted to all sequences, because few of them are held out
            part = phase == "validated" and self.source.in_memory
            plain = self._mode == "features" and not part
            self._scalers[phase] = units if plain else self._fitted(self._mode, part=part)
        return self._scalers[phase]

    @functools.cached_property
    def training_units(self) -> Scaler:
        """Scaler of the training part, the unit of held-out errors."""
        return self._fitted("features", part=self.source.in_memory)

    def _fitted(self, mode: Any, *, part: bool) -> Scaler:
        """Fit a scaler to all sequences or the training part; `error_scaler` gave the warnings."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            if part:
                with contextlib.suppress(DataError):  # a column may have values in other rows only
                    return Scaler.fit(self.source.sequences[self.rows["validated"]], mode)
            return Scaler.fit(self.source.sequences, mode)

    def part(self, phase: str, batches: Batches, time_warp: float) -> SplitData:
        """Return the training and validation data of a phase."""
        sequences, rows, scaler = self.source.sequences, self.rows[phase], self.scaler(phase)
        longest = batches.buckets[-1].num_steps
        used = np.zeros(len(sequences), bool)
        used[rows] = True
        loader = Loader(
            self.source, scaler.transform, used, longest, seed=self.seed, warp=time_warp
        )
        validation = None
        if phase == "validated" and len(self.held_out_rows):
            data = to_device([scaler.transform(self.held_out_sequences)], longest)
            validation = Shard(data, self.held_out_rows, self.held_out_rows)
        return SplitData(loader, validation, len(rows), num_observed(sequences, rows))

    def sample(self, phase: str, most: int) -> Sequences:
        """Return a random sample of at most ``most`` training sequences of a phase."""
        return self.source.sample(self.rows[phase], most, self.seed)

    def reference_sample(self, phase: str) -> Sequences:
        """Return the training sequences that a fitted model is compared with later."""
        average = max(1.0, float(self.lengths.mean())) * self.schema.num_columns
        most = np.clip(_MAX_REFERENCE_VALUES / average, _MIN_REFERENCE, _MAX_REFERENCE)
        return self.sample(phase, int(most))

    def unseen(self) -> Sequences:
        """Return the held-out sequences that the model was not trained on before."""
        sequences = self.held_out_sequences
        if self.further is not None and self.further.fingerprints.trained is not None:
            trained = self.further.fingerprints.trained
            sequences = sequences[~np.isin(fingerprints(sequences), trained)]
        return sequences

    def fingerprints(self, phase: str) -> Fingerprints:
        """Return the fingerprints of all sequences, joined with those of the training before."""
        held_back = [np.zeros(0, np.uint64)]
        if phase == "validated" and len(self.held_out_rows):
            held_back.append(fingerprints(self.held_out_sequences))
        if self.calibration is not None:
            held_back.append(fingerprints(self.calibration))
        before = None if self.further is None else self.further.fingerprints
        return joined_fingerprints(self.source, np.concatenate(held_back), before)


def set_aside(
    windows: Windows, fraction: float, further: Model | None = None
) -> tuple[Windows, Sequences | None]:
    """Split off a random share for calibration, which `further` must not have been trained on."""
    if not fraction:
        return windows, None
    if windows.sequences.is_mapped:
        raise ParameterError(
            "calibration_fraction needs sequences in memory, and these are larger. "
            f"Keep some out, and {spelled('give them to calibrate()', 'give --normal DATA')}."
        )

    def split(lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        count = _count_of_share(len(lengths), calibration_fraction=fraction)
        # a fixed seed, so that a resumed training has the same data
        order = np.random.default_rng(0xCA11).permutation(len(lengths))
        return np.sort(order[count:]), np.sort(order[:count])

    others, rows = split_windows(windows, fraction, split)
    calibration = windows.sequences[rows]
    if further is not None:
        check_untrained(calibration, further.fingerprints.trained)
    return windows.take(others), calibration


def split_windows(
    windows: Windows,
    fraction: float,
    # splits series with these lengths (n,) into those to train on and those to hold out
    split: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]],
) -> tuple[np.ndarray, np.ndarray]:
    """Split windows into those to train on and those to hold out, which share no step.

    Whole series are held out if they are many, and otherwise the last steps of each series that is
    long enough. Windows on the boundary are in neither part.
    """
    series, of = np.unique(windows.series, return_inverse=True)
    ends = np.zeros(len(series), np.int64)
    np.maximum.at(ends, of, windows.ends)
    widths = np.zeros_like(ends)
    np.maximum.at(widths, of, windows.sequences.lengths)
    is_long = (ends >= 2 * widths) & (ends > 0)
    if not fraction or len(series) >= _MIN_SERIES or not is_long.any():
        training, held_out = split(ends)
        return np.flatnonzero(np.isin(of, training)), np.flatnonzero(np.isin(of, held_out))
    bounds = np.minimum(ends - widths, np.floor(ends * (1 - fraction)).astype(np.int64))
    bounds = np.where(is_long, bounds, ends)[of]  # the others are trained on
    is_held_out = is_long[of] & (windows.starts >= bounds)
    return np.flatnonzero(windows.ends <= bounds), np.flatnonzero(is_held_out)


def validation_split(
    lengths: np.ndarray, fraction: float, *, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Split sequences with these lengths (n,) at random into those to train and to validate on."""
    num_sequences = len(lengths)
    if fraction == 0:
        return np.arange(num_sequences), np.arange(0)
    num_validation = _count_of_share(num_sequences, validation_fraction=fraction)
    # The split is random, because files are often sorted by class. It is stratified: it takes one
    # random sequence of each group of similar length, with ties in random order.
    rng = np.random.default_rng([seed, 0x5917])
    by_length = np.lexsort((rng.random(num_sequences), lengths))
    validation = np.sort([rng.choice(group) for group in np.array_split(by_length, num_validation)])
    return np.setdiff1d(np.arange(num_sequences), validation), validation


def _count_of_share(num_sequences: int, **share: float) -> int:
    """Return the number of sequences in a share, an argument, which must leave others."""
    (fraction,) = share.values()
    count = max(1, round(num_sequences * fraction))
    if count >= num_sequences:
        raise ParameterError(
            f"{argument(**share)} of {num_sequences} sequence{'' if num_sequences == 1 else 's'} "
            "leaves nothing to train on. Give more sequences, a smaller share, or 0."
        )
    return count


def joined_fingerprints(
    source: Source,
    held_back: np.ndarray,  # (n_sequences,), of sequences that were not trained on
    before: Fingerprints | None,
) -> Fingerprints:
    """Return the fingerprints of a training, joined with those of the training before."""
    # the smallest ones, whatever the order of the data
    trained = np.zeros(0, np.uint64)
    for number in source.own:
        bounds = source.offsets[number : number + 2]
        hashes = fingerprints(source.sequences.block(*bounds))
        source.sequences.release(*bounds)
        hashes = hashes[~np.isin(hashes, held_back)]
        trained = np.sort(np.concatenate([trained, hashes]))[:MAX_FINGERPRINTS]
    trained = np.sort(np.concatenate(source.processes.gather(trained)))[:MAX_FINGERPRINTS]
    if before is None:
        return Fingerprints(held_back, trained)
    trained_before = np.zeros(0, np.uint64) if before.trained is None else before.trained
    # what one training held back, the other may have used
    used = np.concatenate([trained, held_back])
    held_before = before.held_back[~np.isin(before.held_back, used)]
    held_back = held_back[~np.isin(held_back, trained_before)]
    trained = np.sort(np.concatenate([trained_before, trained]))[:MAX_FINGERPRINTS]
    return Fingerprints(np.concatenate([held_before, held_back]), trained)
