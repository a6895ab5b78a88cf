"""Held-out error of a network and of PCA of its size, both fitted on the training part only."""

import contextlib
import functools
import warnings
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from refold._support.output import log
from refold.evaluation import Fidelity, PCABaseline, fidelity, forecast_errors
from refold.model import Model, continued, split_last
from refold.network.keras.build import Network
from refold.network.keras.network import inference_with
from refold.network.packed.network import FittedNetwork
from refold.sequences import Scaler, Sequences
from refold.training._data_sources import Source
from refold.training._training import FitResult

# Cap on held-out sequences for an error.
_MOST_SEQUENCES = 1000
# Cap on padded values for the PCA fit; minimum number of sequences.
_MOST_VALUES, _FEWEST = 1 << 23, 16
# Number of training sequences below which they are few; NMSE of PCA below which little is left.
_FEW, _TINY = 500, 0.01


class HeldOut:
    """Held-out sequences and their reconstruction errors, in units of the training part."""

    def __init__(
        self,
        source: Source,
        training: np.ndarray,
        held_out: np.ndarray,
        *,
        seed: int,  # of the samples
        most: int,  # largest size of PCA
    ) -> None:
        self._source, self._training, self._seed, self._most = source, training, seed, most
        schema = source.sequences.schema
        num_steps = max(1, int(source.sequences.lengths[training].max(initial=0)))
        num_values = num_steps * schema.output_width
        self._sample_size = max(_FEWEST, _MOST_VALUES // num_values)
        self.most_components = min(len(training), num_values)
        sequences = source.held_out(held_out)
        self.most_sequences = count = min(_MOST_SEQUENCES, self._sample_size)
        if len(sequences) > count:
            rng = np.random.default_rng([seed, 0x4E1D])
            sequences = sequences[np.sort(rng.choice(len(sequences), count, replace=False))]
        self.sequences = sequences

    def of_network(
        self,
        network: FittedNetwork,
        scaler: Scaler,
        *,
        latent_steps: int = 0,
        sequences: Sequences | None = None,
    ) -> Fidelity:
        """Measure a network with its predicted lengths, on other sequences if they are given."""
        measured = self.sequences if sequences is None else sequences
        model = Model(network, measured.schema, scaler, self._units, latent_steps=latent_steps)
        codes = model.codes_of(measured)
        reconstructed = model.to_sequences(codes, model.predict_lengths(codes))
        return fidelity(measured, reconstructed, self._units)

    def of_pca(self, size: int) -> Fidelity:
        """Measure PCA with the true lengths, and with all components if there are fewer."""
        if self._baseline is None:
            numeric = self.sequences.schema.numeric
            return Fidelity(
                1.0 if numeric.any() else None, None if numeric.all() else 0.0, exact=0.0
            )
        reconstructed = self._baseline.first(size).reconstruct(self.sequences)
        return fidelity(self.sequences, reconstructed, self._units)

    def report(
        self,
        network: Network,
        scaler: Scaler,
        outcome: FitResult,
        *,
        latent_steps: int,
        max_epochs: int,
        linear: bool,  # whether these are the linear initialization
    ) -> None:
        """Log the held-out errors of the validated weights to standard error."""
        with holding(network, outcome.validated):
            ours = self.of_network(inference_with(network), scaler, latent_steps=latent_steps)
        specification = network.specification
        comparison = HeldOutComparison(
            ours,
            self.of_pca(self._most),
            self._num_components,
            num_sequences=len(self.sequences),
            num_training=len(self._training),
            linear=linear,
            epochs=outcome.history["phase"].count("validated"),
            max_epochs=max_epochs,
            out_of_time=outcome.out_of_time,
            latent_dim=specification.latent_dim,
            rocket_dim=specification.rocket_dim,
        )
        for line in describe(comparison):
            log(line)

    def report_forecast(self, network: Network, scaler: Scaler, outcome: FitResult) -> None:
        """Log the forecast error of the last held-out steps to standard error, if any exist."""
        steps = network.specification.forecast_steps
        longer, before, after = split_last(self.sequences, steps)
        if not len(longer):
            return
        with holding(network, outcome.validated):
            ahead = continued(before, inference_with(network), scaler)
        errors = forecast_errors(before, after, ahead, self._units)
        held_out = _count(errors.num_sequences, "sequence")
        measured, *worse = str(errors).splitlines()
        log(f"Held out ({held_out}), {_count(steps, 'step')} ahead: {measured}.")
        for line in worse:
            log(line)

    @functools.cached_property
    def _units(self) -> Scaler:
        """Scaler fitted to the training part."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # constant columns, of which fitting warns
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


class HeldOutComparison(NamedTuple):
    """Held-out error of a training and of PCA, with facts that may explain them."""

    ours: Fidelity  # of the validated weights
    pca: Fidelity
    size: int  # number of principal components
    num_sequences: int  # measured
    num_training: int  # sequences trained on
    linear: bool = False  # whether no epoch was better than the linear initialization
    epochs: int = 0  # trained
    max_epochs: int = 0  # of the schedule
    out_of_time: bool = False  # whether the time budget ended the training
    latent_dim: int = 0
    rocket_dim: int = 0  # how many of the latent dimensions hold ROCKET features


def describe(comparison: HeldOutComparison) -> list[str]:
    """Describe the held-out errors in a line, and in a second one why PCA may be as good."""
    held_out = _count(comparison.num_sequences, "sequence")
    dimensions = _count(comparison.size, "dimension")
    measured = comparison.ours.text(comparison.pca, name=f"PCA with {dimensions}")
    lines = [f"Held out ({held_out}): {measured}."]
    where = _behind(comparison.ours, comparison.pca)
    reasons = _reasons(comparison)
    if where is not None and reasons:
        lines.append(f"No better than PCA{where}: {'; '.join(reasons)}.")
    return lines


def _behind(ours: Fidelity, pca: Fidelity) -> str | None:
    """Name the columns on which PCA is as good; None if there are none."""
    numeric = ours.nmse is not None and pca.nmse is not None and ours.nmse >= pca.nmse
    categorical = (
        ours.accuracy is not None
        and pca.accuracy is not None
        and ours.accuracy <= pca.accuracy
        and ours.accuracy < 1
    )
    mixed = ours.nmse is not None and ours.accuracy is not None
    if not numeric and not categorical:
        return None
    if not mixed or (numeric and categorical):
        return ""
    return " on the numeric columns" if numeric else " on the binary and categorical columns"


def _reasons(comparison: HeldOutComparison) -> list[str]:
    reasons = []
    if comparison.out_of_time and comparison.epochs < comparison.max_epochs:
        reasons.append(
            f"the time was up after {comparison.epochs} of {_count(comparison.max_epochs, 'epoch')}"
        )
    if comparison.num_training < _FEW:
        reasons.append(f"{_count(comparison.num_training, 'sequence')} are few to learn from")
    if comparison.rocket_dim:
        one = comparison.rocket_dim == 1
        reasons.append(
            f"{comparison.rocket_dim} of the {comparison.latent_dim} dimensions "
            f"{'holds' if one else 'hold'} ROCKET features, which reconstruct little: "
            "fit without them for a smaller error"
        )
    if comparison.pca.nmse is not None and comparison.pca.nmse < _TINY:
        dimensions = _count(comparison.size, "dimension")
        reasons.append(f"PCA with {dimensions} leaves an NMSE of only {comparison.pca.nmse:.2g}")
    if comparison.linear and not comparison.out_of_time:
        reasons.append("no epoch improved on the linear initialization, so the data may be linear")
    return reasons


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


@contextlib.contextmanager
def holding(network: Network, weights: list[np.ndarray] | None) -> Iterator[None]:
    """Give a network other weights for the duration of the context; None keeps its own."""
    if weights is None:
        yield
        return
    own = weights_of(network)
    try:
        assign_weights(network, weights)
        yield
    finally:
        assign_weights(network, own)


def weights_of(network: Network) -> list[np.ndarray]:
    """Return a network's weights."""
    return [np.asarray(variable.value) for variable in network.variables]


def assign_weights(network: Network, weights: list[np.ndarray]) -> None:
    """Give a network other weights."""
    for variable, value in zip(network.variables, weights, strict=True):
        variable.assign(value)
