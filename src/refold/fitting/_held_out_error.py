"""Where a fitted network stands on what was held out from it, beside PCA of the same size.

Owns the measure and what is said of it.  PCA sees the training part only, as the network does.
"""

import contextlib
import functools
import warnings
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from refold._support.console import say
from refold.evaluation import Fidelity, PCABaseline, fidelity, forecast_errors
from refold.fitting._data_sources import FileSource, MemorySource
from refold.inference import continued, decode, encode, predict_lengths, split_last
from refold.models import Network
from refold.sequences import Scaler, Sequences, fingerprints
from refold.training import FitResult

__all__ = ["Comparison", "HeldOut", "describe", "held_back", "holding"]

# Held-out sequences at most that an error is measured on.
_MOST_SEQUENCES = 1000
# Padded values at most that PCA is fitted on, and sequences all the same.
_MOST_VALUES, _FEWEST = 1 << 23, 16
# Training sequences below which there are few, and an error below which nothing much is left.
_FEW, _TINY = 500, 0.01


class HeldOut:
    """Held-out sequences, and how faithfully they come back, in units of the training part.

    Parameters
    ----------
    source : MemorySource or FileSource
    training, held_out : arrays of int
        Which sequences of the source.
    seed : int
        Draws some of them where there are many: PCA is fitted on eight million padded values at
        most, and an error measured on a thousand sequences.
    most : int
        Largest size that PCA will be asked for.

    Attributes
    ----------
    sequences : Sequences
        Those that are measured.
    """

    def __init__(
        self,
        source: MemorySource | FileSource,
        training: np.ndarray,
        held_out: np.ndarray,
        *,
        seed: int,
        most: int,
    ) -> None:
        self._source, self._training, self._seed, self._most = source, training, seed, most
        schema = source.sequences.schema
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

    def of_network(self, network: Network, scaler: Scaler, *, latent_steps: int = 0) -> Fidelity:
        """Measure a network, which decodes to its own lengths."""
        codes = encode(scaler.transform(self.sequences), network, latent_steps=latent_steps)
        lengths = predict_lengths(codes, network)
        scaled = decode(codes, lengths, self.sequences.schema, network)
        own = scaler.statistics(self.sequences) if scaler.mode == "sequence" else None
        return self._measured(scaler.inverse_transform(scaled, own))

    def of_pca(self, size: int) -> Fidelity:
        """Measure PCA, told the lengths; with all components where there are fewer."""
        if self._baseline is None:
            numeric = self.sequences.schema.numeric
            return Fidelity(
                1.0 if numeric.any() else None, None if numeric.all() else 0.0, exact=0.0
            )
        return self._measured(self._baseline.first(size).reconstruct(self.sequences))

    def report(
        self,
        network: Network,
        scaler: Scaler,
        outcome: FitResult,
        *,
        latent_steps: int,
        max_epochs: int,
    ) -> None:
        """Say on standard error where the validated weights of a training stand."""
        with holding(network, outcome.validated):
            ours = self.of_network(network, scaler, latent_steps=latent_steps)
        specification = network.specification
        standing = Comparison(
            ours,
            self.of_pca(self._most),
            self._num_components,
            num_sequences=len(self.sequences),
            num_training=len(self._training),
            linear=outcome.epoch == 0,
            epochs=outcome.history["phase"].count("validated"),
            max_epochs=max_epochs,
            out_of_time=outcome.out_of_time,
            latent_dim=specification.latent_dim,
            rocket_dim=specification.rocket_dim,
        )
        for line in describe(standing):
            say(line)

    def report_forecast(self, network: Network, scaler: Scaler, outcome: FitResult) -> None:
        """Say on standard error how well the last held-out steps are forecast, if there are any."""
        steps = network.specification.forecast_steps
        longer, before, after = split_last(self.sequences, steps)
        if not len(longer):
            return
        with holding(network, outcome.validated):
            ahead = continued(before, network, scaler)
        errors = forecast_errors(before, after, ahead, self._units)
        held_out = _count(errors.num_sequences, "sequence")
        say(f"Held out ({held_out}), {_count(steps, 'step')} ahead: {errors}.")

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

    def _measured(self, reconstructed: Sequences) -> Fidelity:
        return fidelity(self.sequences, reconstructed, self._units)


class Comparison(NamedTuple):
    """How a training has come out, beside PCA.

    Attributes
    ----------
    ours, pca : Fidelity
        Of the validated weights, and of PCA.
    size : int
        Dimensions of PCA.
    num_sequences, num_training : int
        Sequences that were measured, and that were trained on.
    linear : bool
        Whether no epoch was better than the linear start.
    epochs, max_epochs : int
        Epochs trained, and those of the schedule.
    out_of_time : bool
        Whether it was the time that ended them.
    latent_dim, rocket_dim : int
        Dimensions of the code, and how many of them are discriminative.
    """

    ours: Fidelity
    pca: Fidelity
    size: int
    num_sequences: int
    num_training: int
    linear: bool = False
    epochs: int = 0
    max_epochs: int = 0
    out_of_time: bool = False
    latent_dim: int = 0
    rocket_dim: int = 0


def describe(standing: Comparison) -> list[str]:
    """Say where a network stands, and where it is no better than PCA what the reason may be.

    Parameters
    ----------
    standing : Standing

    Returns
    -------
    list of str
        One line or two.

    Examples
    --------
    >>> ours, pca = Fidelity(0.121, None, 0.0), Fidelity(0.133, None, 0.0)
    >>> describe(Comparison(ours, pca, 16, num_sequences=27, num_training=243))
    ['Held out (27 sequences): NMSE 0.121, PCA with 16 dimensions 0.133.']
    >>> describe(Comparison(pca, pca, 16, num_sequences=90, num_training=810, linear=True))[1]
    'No better than PCA: no epoch improved on the linear start, so the data may be linear.'
    """
    held_out = _count(standing.num_sequences, "sequence")
    dimensions = _count(standing.size, "dimension")
    measured = standing.ours.text(standing.pca, name=f"PCA with {dimensions}")
    lines = [f"Held out ({held_out}): {measured}."]
    where = _behind(standing.ours, standing.pca)
    reasons = _reasons(standing)
    if where is not None and reasons:
        lines.append(f"No better than PCA{where}: {'; '.join(reasons)}.")
    return lines


def _behind(ours: Fidelity, pca: Fidelity) -> str | None:
    """Say on which columns PCA is as good, or None where it is on none."""
    numbers = ours.nmse is not None and pca.nmse is not None and ours.nmse >= pca.nmse
    symbols = (
        ours.accuracy is not None
        and pca.accuracy is not None
        and ours.accuracy <= pca.accuracy
        and ours.accuracy < 1
    )
    mixed = ours.nmse is not None and ours.accuracy is not None
    if not numbers and not symbols:
        return None
    if not mixed or (numbers and symbols):
        return ""
    return " on the numeric columns" if numbers else " on the binary and categorical columns"


def _reasons(standing: Comparison) -> list[str]:
    reasons = []
    if standing.out_of_time and standing.epochs < standing.max_epochs:
        reasons.append(
            f"the time was up after {standing.epochs} of {_count(standing.max_epochs, 'epoch')}"
        )
    if standing.num_training < _FEW:
        reasons.append(f"{_count(standing.num_training, 'sequence')} are few to learn from")
    if standing.rocket_dim:
        one = standing.rocket_dim == 1
        reasons.append(
            f"{standing.rocket_dim} of the {standing.latent_dim} dimensions "
            f"{'is' if one else 'are'} discriminative (ROCKET features, which reconstruct little), "
            "and rocket_dim=0 or --rocket-dim 0 turns them off"
        )
    if standing.pca.nmse is not None and standing.pca.nmse < _TINY:
        dimensions = _count(standing.size, "dimension")
        reasons.append(f"PCA with {dimensions} leaves an NMSE of {standing.pca.nmse:.2g} only")
    if standing.linear and not standing.out_of_time:
        reasons.append("no epoch improved on the linear start, so the data may be linear")
    return reasons


def held_back(
    source: MemorySource | FileSource, held_out: np.ndarray, outcome: FitResult
) -> np.ndarray:
    """Return the fingerprints of the held-out sequences that no refit was trained on."""
    if outcome.phase != "validated" or not len(held_out):
        return np.zeros(0, np.uint64)
    return fingerprints(source.held_out(held_out))


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
