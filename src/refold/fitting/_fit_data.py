"""Training data of one fit: the split, the scalers, and the sequences of each phase."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from refold.anomalies import reference_errors
from refold.errors import ParameterError, argument
from refold.fitting._data_sources import source_of
from refold.fitting._held_out_error import HeldOut
from refold.inference import Specification
from refold.sequences import Scaler, Scan, Sequences, fingerprints
from refold.storage import Fitted
from refold.training import (
    MOST_WARPED,
    SplitData,
    WarpingLoader,
    choose_time_warp,
    validation_split,
)

# Sample of training sequences for the reference statistics: cap on sequences, cap on their values,
# and minimum number of sequences.
_MOST_KNOWN, _MOST_VALUES, _FEWEST = 1024, 1 << 21, 64


class FitData:
    """Sequences of a fit, split into training and held-out ones."""

    def __init__(
        self,
        sequences: Sequences | Scan,
        parameters: Mapping[str, Any],
        *,
        seed: int,  # of the split and of samples
        warm: Fitted | None,  # model that is trained further, whose scalers are used
    ) -> None:
        self.source, self.lengths = source_of(sequences), sequences.lengths
        fraction = self.source.most_held_out(parameters["validation_fraction"])
        chosen, self.held_out = validation_split(self.lengths, fraction, seed=seed)
        # indices of the training sequences of each phase
        self.rows = {"validated": chosen, "refit": np.arange(len(self.lengths))}
        self.seed, self._mode, self._warm = seed, parameters["scale"], warm
        self._time_warp = parameters["time_warp"]
        self._units = None if warm is None else warm.units
        self._scalers: dict[str, Scaler] = {}
        self._comparison: HeldOut | None = None

    def units(self) -> Scaler:
        """Return the scaler of the error units; refuse columns without values."""
        if self._units is None:
            self._units = self.source.units(self._mode)
        return self._units

    def scaler(self, phase: str) -> Scaler:
        """Return the scaler of a phase."""
        if self._warm is not None:
            return self._warm.scaler
        if phase not in self._scalers:
            rows = self.rows[phase] if phase == "validated" else None
            self._scalers[phase] = self.source.scaler(self._mode, self.units(), rows)
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
        given, schema = self._time_warp, self.source.sequences.schema
        if given != "auto":
            if given and not schema.numeric.all():
                other = next(column for column in schema.columns if column.type != "numeric")
                raise ParameterError(
                    f"{argument(time_warp=given)} needs numeric columns, but column "
                    f"{other.name!r} is {other.type}. Use {argument(time_warp=0)}."
                )
            return float(given)
        default = specification.architecture == "default"
        if self._warm is not None or not default or len(self.lengths) >= MOST_WARPED:
            return 0.0
        sample = self.scaler("validated").transform(self.sample("validated", MOST_WARPED))
        return choose_time_warp(sample, specification.latent_dim, seed=self.seed)

    def part(self, phase: str, longest: int, time_warp: float) -> SplitData:
        """Return the training and validation data of a phase, padded to ``longest`` steps."""
        held_out = self.held_out if phase == "validated" else np.arange(0)
        rows = self.rows[phase]
        split = self.source.part(self.scaler(phase), rows, held_out, longest, self.seed)
        if not time_warp:
            return split
        return split._replace(shards=WarpingLoader(split.shards, time_warp, seed=self.seed))

    def sample(self, phase: str, most: int) -> Sequences:
        """Return a random sample of at most ``most`` training sequences of a phase."""
        return self.source.sample(self.rows[phase], most, self.seed)

    def total(self, phase: str, most: int) -> Any:
        """Return what adds up over the training sequences of a phase, if a sample has not all."""
        rows = self.rows[phase]
        return None if len(rows) <= most else self.source.total(self.scaler(phase), rows)

    def reference_sample(self, phase: str) -> Sequences:
        """Return the training sequences that a fitted model is compared with later."""
        num_columns = self.source.sequences.schema.num_columns
        average = max(1.0, float(self.lengths.mean())) * num_columns
        return self.sample(phase, int(np.clip(_MOST_VALUES / average, _FEWEST, _MOST_KNOWN)))

    def held_out_errors(self, validated: Fitted) -> np.ndarray | None:
        """Measure held-out sequences with weights that were not trained on them."""
        if not len(self.held_out):
            return None
        sequences = self.source.held_out(self.held_out)
        if self._warm is not None and self._warm.trained is not None:
            sequences = sequences[~np.isin(fingerprints(sequences), self._warm.trained)]
        return reference_errors(sequences, validated)
