"""Where a fitted network stands on what was held out from it, beside PCA of the same size.

Owns the measure and what is said of it.  PCA sees the training part only, as the network does.
"""

import contextlib
import functools
import warnings
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from refold._codec import decode, encode, predict_lengths
from refold._forecast import continued, split_last
from refold._say import say
from refold._sources import InFiles, InMemory
from refold.evaluation import PCABaseline, accuracy, forecast_errors, nmse
from refold.models import Network
from refold.sequences import Scaler, Sequences
from refold.training import Outcome

__all__ = ["HeldOut", "Standing", "describe", "holding"]

# Held-out sequences at most that an error is measured on.
_MOST_SEQUENCES = 1000
# Padded values at most that PCA is fitted on, and sequences all the same.
_MOST_VALUES, _FEWEST = 1 << 23, 16
# Training sequences below which there are few, and an error below which nothing much is left.
_FEW, _TINY = 500, 0.01


class HeldOut:
    """Held-out sequences, and errors on them.

    The error is the NMSE, in units of the training part; where no column is numeric, the share of
    steps that do not come back.

    Parameters
    ----------
    source : InMemory or InFiles
    training, held_out : arrays of int
        Which sequences of the source.
    seed : int
        Draws some of them where there are many: PCA is fitted on eight million padded values at
        most, and an error measured on a thousand sequences.
    most : int
        Largest size that PCA will be asked for.

    Attributes
    ----------
    measure : {"NMSE", "steps lost"}
    sequences : Sequences
        Those that errors are measured on.
    """

    def __init__(
        self,
        source: InMemory | InFiles,
        training: np.ndarray,
        held_out: np.ndarray,
        *,
        seed: int,
        most: int,
    ) -> None:
        self._source, self._training, self._seed, self._most = source, training, seed, most
        schema = source.sequences.schema
        self.measure = "NMSE" if schema.numeric.any() else "steps lost"
        num_steps = max(1, int(source.sequences.lengths[training].max(initial=0)))
        num_values = num_steps * schema.output_width
        self._sample_size = max(_FEWEST, _MOST_VALUES // num_values)
        self.most_components = min(len(training), num_values)
        sequences = source.held_out(held_out)
        count = min(_MOST_SEQUENCES, self._sample_size)
        if len(sequences) > count:
            rng = np.random.default_rng([seed, 0x4E1D])
            sequences = sequences[np.sort(rng.choice(len(sequences), count, replace=False))]
        self.sequences = sequences

    def network_error(self, network: Network, scaler: Scaler, *, refine_steps: int = 0) -> float:
        """Return the error of a network, which decodes to its own lengths."""
        codes = encode(scaler.transform(self.sequences), network, refine_steps=refine_steps)
        lengths = predict_lengths(codes, network)
        scaled = decode(codes, lengths, self.sequences.schema, network)
        own = scaler.statistics(self.sequences) if scaler.mode == "sequence" else None
        return self._error(scaler.inverse_transform(scaled, own))

    def pca_error(self, size: int) -> float:
        """Return the error of PCA, told the lengths; of all components where there are fewer."""
        if self._baseline is None:
            return 1.0
        return self._error(self._baseline.first(size).reconstruct(self.sequences))

    def report(
        self,
        network: Network,
        scaler: Scaler,
        outcome: Outcome,
        *,
        refine_steps: int,
        max_epochs: int,
    ) -> None:
        """Say on standard error where the validated weights of a training stand."""
        with holding(network, outcome.validated):
            error = self.network_error(network, scaler, refine_steps=refine_steps)
        standing = Standing(
            error,
            self.pca_error(self._most),
            self._num_components,
            num_sequences=len(self.sequences),
            num_training=len(self._training),
            linear=outcome.epoch == 0,
            epochs=outcome.history["phase"].count("validated"),
            max_epochs=max_epochs,
            out_of_time=outcome.out_of_time,
        )
        for line in describe(standing):
            say(line)

    def report_forecast(self, network: Network, scaler: Scaler, outcome: Outcome) -> None:
        """Say on standard error how well the last held-out steps are forecast, if there are any."""
        steps = network.specification.forecast_steps
        longer, before, after = split_last(self.sequences, steps)
        if not len(longer):
            return
        with holding(network, outcome.validated):
            ahead = continued(before, network, scaler)
        errors = forecast_errors(before, after, ahead, self._units)
        say(f"Held out, {_count(steps, 'step')} ahead: error {errors}.")

    @functools.cached_property
    def _units(self) -> Scaler:
        """Units of the training part."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of constants, which fitting remarks on
            units = self._source.units("features")
            return self._source.scaler("features", units, self._training)

    @functools.cached_property
    def _baseline(self) -> PCABaseline | None:
        sample = self._source.sample(self._training, self._sample_size, self._seed)
        if not sample.lengths.any():
            return None
        num_values = int(sample.lengths.max()) * sample.schema.output_width
        components = min(self._most, len(sample), num_values)
        return PCABaseline(components).fit(sample, self._units)

    @property
    def _num_components(self) -> int:
        return 0 if self._baseline is None else self._baseline.latent_dim

    def _error(self, reconstructed: Sequences) -> float:
        if self.measure == "NMSE":
            return nmse(self.sequences, reconstructed, self._units)
        return 1.0 - accuracy(self.sequences, reconstructed)


class Standing(NamedTuple):
    """How a training has come out, beside PCA.

    Attributes
    ----------
    error, pca : float
        NMSE of the validated weights, and of PCA.
    size : int
        Numbers of PCA.
    num_sequences, num_training : int
        Sequences that the error was measured on, and that were trained on.
    linear : bool
        Whether no epoch was better than the linear start.
    epochs, max_epochs : int
        Epochs trained, and those of the schedule.
    out_of_time : bool
        Whether it was the time that ended them.
    """

    error: float
    pca: float
    size: int
    num_sequences: int
    num_training: int
    linear: bool = False
    epochs: int = 0
    max_epochs: int = 0
    out_of_time: bool = False


def describe(standing: Standing) -> list[str]:
    """Say where a network stands, and where it is no better than PCA what may be behind that.

    Parameters
    ----------
    standing : Standing

    Returns
    -------
    list of str
        One line or two.

    Examples
    --------
    >>> describe(Standing(0.121, 0.133, 16, num_sequences=27, num_training=243))
    ['Held out (27 sequences): error 0.121 (NMSE), PCA of 16 numbers 0.133.']
    >>> describe(Standing(0.133, 0.133, 16, num_sequences=90, num_training=810, linear=True))[1]
    'No better than PCA: no epoch improved on the linear start, so the data may be linear.'
    """
    held_out = _count(standing.num_sequences, "sequence")
    lines = [
        f"Held out ({held_out}): error {standing.error:.3g} (NMSE), PCA of "
        f"{_count(standing.size, 'number')} {standing.pca:.3g}."
    ]
    reasons = []
    if standing.out_of_time and standing.epochs < standing.max_epochs:
        reasons.append(
            f"the time was up after {standing.epochs} of {_count(standing.max_epochs, 'epoch')}"
        )
    if standing.num_training < _FEW:
        reasons.append(f"{_count(standing.num_training, 'sequence')} are few to learn from")
    if standing.pca < _TINY:
        numbers = _count(standing.size, "number")
        reasons.append(f"{numbers} of PCA hold all but {standing.pca:.2g} of what there is")
    if standing.linear and not standing.out_of_time:
        reasons.append("no epoch improved on the linear start, so the data may be linear")
    if standing.error >= standing.pca and reasons:
        lines.append(f"No better than PCA: {'; '.join(reasons)}.")
    return lines


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


@contextlib.contextmanager
def holding(network: Network, weights: list[np.ndarray] | None) -> Iterator[None]:
    """Have a network hold other weights for a while; its own where there are none."""
    if weights is None:
        yield
        return
    own = [np.asarray(variable.value) for variable in network.variables]
    try:
        for variable, value in zip(network.variables, weights, strict=True):
            variable.assign(value)
        yield
    finally:
        for variable, value in zip(network.variables, own, strict=True):
            variable.assign(value)
