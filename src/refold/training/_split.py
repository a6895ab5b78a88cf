"""The split of a fit's sequences: training, validation and calibration, and their fingerprints."""

from typing import Any

import numpy as np

from refold.arguments import Arguments
from refold.errors import ParameterError, argument, spelled
from refold.model import MAX_FINGERPRINTS, Fingerprints, Model, check_untrained
from refold.network.specification import Specification
from refold.sequences import Batches, Scaler, Sequences, fingerprints
from refold.training._data_sources import Mode, Source
from refold.training._held_out_error import HeldOut
from refold.training._settings import pick_refit
from refold.training._training import FitResult
from refold.training.data._choose_time_warp import MOST_WARPED, choose_time_warp
from refold.training.data._loaders import SplitData, WarpingLoader
from refold.training.data._validation_split import validation_split

# Sample of training sequences for the reference statistics: cap on sequences, cap on their values,
# and minimum number of sequences.
_MOST_KNOWN, _MOST_VALUES, _FEWEST = 1024, 1 << 21, 64


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
    ) -> None:
        self.source, self.calibration = source, calibration
        self.schema, self.lengths = source.sequences.schema, source.sequences.lengths
        fraction = self.source.most_held_out(arguments.validation_fraction)
        # rows that the first phase trains on and holds out; a refit trains on all
        chosen, self.held_out = validation_split(self.lengths, fraction, seed=seed)
        self.rows = {"validated": chosen, "refit": np.arange(len(self.lengths))}
        self.seed, self.further = seed, further  # the scalers of a model do not change
        self._mode: Mode = arguments.scale
        self._time_warp = arguments.time_warp
        self._error_scaler = None if further is None else further.error_scaler
        self._scalers: dict[str, Scaler] = {}
        self._comparison: HeldOut | None = None

    def error_scaler(self) -> Scaler:
        """Return the scaler of the error units; refuse columns without values."""
        if self._error_scaler is None:
            self._error_scaler = self.source.units(self._mode)
        return self._error_scaler

    def scaler(self, phase: str) -> Scaler:
        """Return the scaler of a phase."""
        if self.further is not None:
            return self.further.scaler
        if phase not in self._scalers:
            rows = self.rows[phase] if phase == "validated" else None
            self._scalers[phase] = self.source.scaler(self._mode, self.error_scaler(), rows)
        return self._scalers[phase]

    def comparison(self, latent_dim: int) -> HeldOut:
        """Return what compares a model of this size with PCA on held-out sequences."""
        if self._comparison is None:
            width = latent_dim + self.scaler("validated").num_statistics
            self._comparison = HeldOut(
                self.source, self.rows["validated"], self.held_out, seed=self.seed, most=width
            )
        return self._comparison

    def time_warp(self, specification: Specification) -> float:
        """Return the standard deviation of the time warps to train with; 0 for none."""
        given, schema = self._time_warp, self.schema
        if given != "auto":
            if given and not schema.numeric.all():
                other = next(
                    column for column in schema.columns if not column.column_type.is_number
                )
                raise ParameterError(
                    f"{argument(time_warp=given)} needs numeric columns, but column "
                    f"{other.name!r} is {other.type}. Use {argument(time_warp=0)}."
                )
            return float(given)
        default = specification.architecture == "default"
        if self.further is not None or not default or len(self.lengths) >= MOST_WARPED:
            return 0.0
        sample = self.scaler("validated").transform(self.sample("validated", MOST_WARPED))
        return choose_time_warp(sample, specification.latent_dim, seed=self.seed)

    def refits(self, refit: Any) -> bool:
        """Return whether to train again on all sequences."""
        if refit != "auto":
            return bool(refit)
        # a refit of a fitted model could end with a larger validation loss
        return self.further is None and pick_refit(len(self.lengths), len(self.held_out))

    def part(self, phase: str, batches: Batches, time_warp: float) -> SplitData:
        """Return the training and validation data of a phase."""
        longest = batches.buckets[-1].num_steps
        held_out = self.held_out if phase == "validated" else np.arange(0)
        rows = self.rows[phase]
        split = self.source.part(self.scaler(phase), rows, held_out, longest, self.seed)
        if not time_warp:
            return split
        warped = WarpingLoader(split.shards, time_warp, seed=self.seed)
        return SplitData(warped, split.held_out, split.num_sequences, split.num_observed)

    def sample(self, phase: str, most: int) -> Sequences:
        """Return a random sample of at most ``most`` training sequences of a phase."""
        return self.source.sample(self.rows[phase], most, self.seed)

    def reference_sample(self, phase: str) -> Sequences:
        """Return the training sequences that a fitted model is compared with later."""
        num_columns = self.schema.num_columns
        average = max(1.0, float(self.lengths.mean())) * num_columns
        return self.sample(phase, int(np.clip(_MOST_VALUES / average, _FEWEST, _MOST_KNOWN)))

    def unseen(self) -> Sequences | None:
        """Return the held-out sequences that the model was not trained on before, if any."""
        if not len(self.held_out):
            return None
        sequences = self.source.held_out(self.held_out)
        if self.further is not None and self.further.fingerprints.trained is not None:
            trained = self.further.fingerprints.trained
            sequences = sequences[~np.isin(fingerprints(sequences), trained)]
        return sequences

    def fingerprints(self, outcome: FitResult) -> Fingerprints:
        """Return the fingerprints of all sequences, joined with those of the training before."""
        held_back = [np.zeros(0, np.uint64)]
        if outcome.phase == "validated" and len(self.held_out):
            held_back.append(fingerprints(self.source.held_out(self.held_out)))
        if self.calibration is not None:
            held_back.append(fingerprints(self.calibration))
        before = None if self.further is None else self.further.fingerprints
        return joined_fingerprints(self.source, np.concatenate(held_back), before)


def set_aside(
    source: Sequences, fraction: float, further: Model | None = None
) -> tuple[Sequences, Sequences | None]:
    """Split off a random share for calibration, the same for the same number of sequences.

    The model that is trained ``further`` must not have been trained on it.
    """
    if not fraction:
        return source, None
    if source.is_mapped:
        raise ParameterError(
            "calibration_fraction needs sequences in memory, and these are larger. "
            f"Keep some out, and {spelled('give them to calibrate()', 'give --normal DATA')}."
        )
    count = max(1, round(fraction * len(source)))
    if count >= len(source):
        raise ParameterError(
            f"{argument(calibration_fraction=fraction)} of {len(source)} "
            f"sequence{'' if len(source) == 1 else 's'} leaves nothing to train on. Give more, or "
            "a smaller share."
        )
    # a fixed seed, so that a resumed training has the same data
    order = np.random.default_rng(0xCA11).permutation(len(source))
    calibration = source[np.sort(order[:count])]
    if further is not None:
        check_untrained(calibration, further.fingerprints.trained)
    return source[np.sort(order[count:])], calibration


def joined_fingerprints(
    source: Source, held_back: np.ndarray, before: Fingerprints | None
) -> Fingerprints:
    """Return the fingerprints of a training, joined with those of the training before.

    ``held_back`` (n_sequences,) are those of sequences that were not trained on.
    """
    trained = _smallest(source, held_back)
    if before is None:
        return Fingerprints(held_back, trained)
    trained_before = np.zeros(0, np.uint64) if before.trained is None else before.trained
    # what one training held back, the other may have used
    given = np.concatenate([trained, held_back])
    held_before = before.held_back[~np.isin(before.held_back, given)]
    held_back = held_back[~np.isin(held_back, trained_before)]
    trained = np.sort(np.concatenate([trained_before, trained]))[:MAX_FINGERPRINTS]
    return Fingerprints(np.concatenate([held_before, held_back]), trained)


def _smallest(source: Source, held_back: np.ndarray) -> np.ndarray:
    """Return the smallest fingerprints of sequences, sorted, whatever the order of the data."""
    kept = np.zeros(0, np.uint64)
    for block in source.own_blocks():
        hashes = fingerprints(block)
        hashes = hashes[~np.isin(hashes, held_back)]
        kept = np.sort(np.concatenate([kept, hashes]))[:MAX_FINGERPRINTS]
    return np.sort(np.concatenate(source.processes.gather(kept)))[:MAX_FINGERPRINTS]
