"""`diagnose`: checks of data, and of a short fit of a sample of the data.

The short fit is measured on training and on held-out sequences, next to two baselines: a constant
output and PCA. `check_fit` turns these measurements into findings.
"""

import itertools
import warnings
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

import refold
from refold._support.messages import format_short, pluralize
from refold._support.optional_imports import check_training_packages
from refold._support.rules import check_not_empty
from refold.arguments import Arguments
from refold.diagnosis._data_findings import Finding, data_findings, draw_sample, sort_by_importance
from refold.errors import DataError, DivergedError, argument, spelled
from refold.evaluation import Fidelity, PCABaseline, fidelity
from refold.model import History, Model, SequencesLike
from refold.sequences import Sequences

# The short fit gets a sample of this many sequences, so it needs little time and memory.
_MAX_SEQUENCES = 2000
# The sample also has at most this many values, for long sequences with many columns.
_MAX_VALUES = 2_000_000
# Errors are measured on this many sequences, which is enough for a rough comparison.
_MAX_MEASURED_SEQUENCES = 200
# The short fit ends after this many seconds, unless the estimator has a time budget.
_MAX_SECONDS = 30.0
# With fewer sequences, there is no short fit, because too few would be held out.
_MIN_SEQUENCES = 10
# Share of the sample that is held out from the short fit.
_HELD_OUT_SHARE = 0.2
# The thresholds below are rules of thumb. The first three are ratios of an error to that of a
# constant output. At this ratio, a model is no better than a constant output.
_USELESS_ERROR_RATIO = 0.95
# Below this ratio of errors, a model has learned something.
_LEARNED_ERROR_RATIO = 0.5
# Below this ratio of errors, more training is not worthwhile.
_SOLVED_ERROR_RATIO = 0.02
# A model overfits if its held-out error is more than this many times the training error.
_OVERFIT_RATIO = 2.0
# A model overfits only if its errors differ by more than this, because small errors vary.
_OVERFIT_GAP = 0.05
# A larger share of sequences with wrong lengths is reported.
_MAX_WRONG_LENGTH_SHARE = 0.1
# Relative error of a length above which it is wrong.
_LENGTH_TOLERANCE = 0.1
# A loss that falls by a smaller share than this during the whole fit is stuck.
_MIN_LOSS_FALL = 0.02
# A fit is too short if the loss falls by more than this share in its last quarter.
_MAX_FINAL_LOSS_FALL = 0.05
# With fewer epochs, a fit says little.
_MIN_EPOCHS = 4
# The text of a diagnosis names at most this many findings.
_MAX_SHOWN_FINDINGS = 3


@dataclass(frozen=True)
class Diagnosis:
    """What `diagnose` found.

    Attributes
    ----------
    findings : tuple of Finding
        The most important ones first; empty if nothing looks wrong.
    held_out, training : Fidelity or None
        Errors of the short fit on held-out and on training sequences; None without a fit.
    constant : Fidelity or None
        Error of the mean, or of the most frequent category, on the held-out sequences.
    pca : Fidelity or None
        Error of PCA of the same size on the held-out sequences.
    num_sequences : int
        Number of sequences in the short fit, held-out ones included; 0 without a fit.

    Examples
    --------
    >>> diagnosis = Diagnosis((Finding("constant-column", "Column 'x0' is constant."),))
    >>> diagnosis.to_dict()["findings"]
    ({'name': 'constant-column', 'message': "Column 'x0' is constant."},)
    """

    findings: tuple[Finding, ...]
    held_out: Fidelity | None = None
    training: Fidelity | None = None
    constant: Fidelity | None = None
    pca: Fidelity | None = None
    num_sequences: int = 0

    def __repr__(self) -> str:
        names = [finding.name for finding in self.findings]
        listed = ", ".join(names[:_MAX_SHOWN_FINDINGS]) + ", ..." * (
            len(names) > _MAX_SHOWN_FINDINGS
        )
        return f"Diagnosis({pluralize(len(names), 'finding')}{': ' * bool(names)}{listed})"

    def to_table(self) -> pa.Table:
        """Return one row per finding: ``name`` and ``message``."""
        names, messages = ([getattr(f, key) for f in self.findings] for key in ("name", "message"))
        return pa.table(
            {"name": pa.array(names, pa.string()), "message": pa.array(messages, pa.string())}
        )

    def text(self) -> str | None:
        """Return one line about the errors of the short fit; None without a fit."""
        if self.held_out is None or self.training is None or self.constant is None:
            return None
        pca = "" if self.pca is None else f"; PCA: {format_short(self.pca.error)}"
        return (
            f"A short fit of {self.num_sequences} sequences has a held-out {self.held_out.measure} "
            f"of {format_short(self.held_out.error)} (training: "
            f"{format_short(self.training.error)}; constant output: "
            f"{format_short(self.constant.error)}{pca})."
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, such as for JSON."""
        return asdict(self)


def diagnose(
    X: SequencesLike,
    *,
    estimator: "refold.SequenceAutoencoder | None" = None,
    short_fit: bool = True,
) -> Diagnosis:
    """Look for reasons why a model does not learn, in the data and in a short fit.

    Parameters
    ----------
    X : Sequences, list of arrays, array, table or path
        Data as for `SequenceAutoencoder.fit`.
    estimator : SequenceAutoencoder, optional
        Estimator with the settings that you use, which is not fitted itself. Without its
        ``time_budget``, the short fit ends after 30 seconds. ``refit``, ``calibration_fraction``
        and ``verbose`` are ignored.
    short_fit : bool, default=True
        False checks the data only, with the settings of the estimator.

    Returns
    -------
    Diagnosis
        A random fifth of at most 2000 sequences is held out from the short fit. With fewer than ten
        sequences, only the data is checked.

    Examples
    --------
    >>> import refold
    >>> sines = refold.datasets.noisy_sines(40, seed=0, max_steps=30)
    >>> short = refold.SequenceAutoencoder(units=8, latent_steps=0, max_epochs=2, random_state=0)
    >>> diagnosis = diagnose(sines, estimator=short)
    >>> [finding.name for finding in diagnosis.findings], diagnosis.num_sequences
    (['few-sequences'], 40)
    """
    check_training_packages("Training")
    # imported here, because Refold can be installed without JAX and Keras
    from refold.training import check_arguments, open_training_data

    estimator = refold.SequenceAutoencoder() if estimator is None else estimator
    arguments = Arguments.of(estimator)
    check_arguments(arguments)
    # windows that overlap would share steps between the training and the held-out data
    arguments = replace(arguments, step=arguments.window)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # they are among the findings
        sequences = open_training_data(X, arguments).sequences
        check_not_empty(len(sequences), "sequence", "to check")
        # below 1, the argument is a share of the variance, and the number is not chosen yet
        latent_dim = max(1, int(estimator.latent_dim))
        findings = data_findings(sequences, latent_dim=latent_dim, scale=estimator.scale)
        if not short_fit or len(sequences) < _MIN_SEQUENCES:
            return Diagnosis(findings)
        return _diagnose_short_fit(sequences, estimator, findings)


def _diagnose_short_fit(
    sequences: Sequences, estimator: "refold.SequenceAutoencoder", findings: tuple[Finding, ...]
) -> Diagnosis:
    """Fit a model to a sample of the sequences, and add the findings about the fit."""
    seed = estimator.random_state if isinstance(estimator.random_state, int) else 0
    num_values = int(sequences.lengths.sum()) * sequences.schema.num_columns
    # the number of values in an average sample with the largest number of sequences
    max_values = min(_MAX_VALUES, int(num_values * _MAX_SEQUENCES / len(sequences)))
    sample = draw_sample(sequences, max_values)
    order = np.random.default_rng(seed).permutation(len(sample))
    num_held_out = min(_MAX_MEASURED_SEQUENCES, max(2, int(_HELD_OUT_SHARE * len(sample))))
    train = sample[np.sort(order[num_held_out:])]
    held_out = sample[np.sort(order[:num_held_out])]
    arguments = estimator.get_params(deep=False) | {
        "refit": False,
        "calibration_fraction": 0.0,
        "verbose": 0,
        "random_state": seed,
        "time_budget": estimator.time_budget or _MAX_SECONDS,
    }
    try:
        model = refold.SequenceAutoencoder(**arguments).fit(train).model_
    except (DataError, DivergedError) as error:
        name = "diverged" if isinstance(error, DivergedError) else "cannot-fit"
        return Diagnosis(sort_by_importance([*findings, Finding(name, error.message.marked)]))
    measurements = _measure_fit(model, train, held_out)
    findings = sort_by_importance([*findings, *check_fit(measurements)])
    errors = measurements.held_out, measurements.training, measurements.constant, measurements.pca
    return Diagnosis(findings, *errors, len(sample))


def _measure_fit(model: Model, train: Sequences, held_out: Sequences) -> "FitMeasurements":
    """Measure errors of a model and of the baselines, on training and on held-out sequences."""
    scaler, measured_train = model.error_scaler, train[:_MAX_MEASURED_SEQUENCES]
    latent_dim, decoded = model.specification.latent_dim, _reconstruct(model, held_out)
    # PCA of long sequences is fitted to fewer of them, so that they fit in memory
    width = max(1, int(train.lengths.max()) * train.schema.output_width)
    pca_train = train[: max(latent_dim, 4 * _MAX_VALUES // width)]
    pca = PCABaseline(min(latent_dim, len(pca_train), width)).fit(pca_train)
    length_errors = np.abs(decoded.lengths - held_out.lengths)
    is_wrong = length_errors > _LENGTH_TOLERANCE * held_out.lengths
    return FitMeasurements(
        fidelity(held_out, decoded, scaler),
        fidelity(measured_train, _reconstruct(model, measured_train), scaler),
        fidelity(held_out, _constant_output(train, held_out), scaler),
        fidelity(held_out, pca.reconstruct(held_out), scaler),
        float(np.mean(is_wrong)),
        model.history,
        len(train),
        latent_dim,
    )


def _reconstruct(model: Model, sequences: Sequences) -> Sequences:
    """Encode sequences and decode the codes, at the lengths that the model predicts."""
    decoded = model.decode(model.encode(sequences))
    return Sequences.from_list(decoded, schema=sequences.schema)


def _constant_output(train: Sequences, held_out: Sequences) -> Sequences:
    """Replace each held-out step by the training mean, or the most frequent training category."""
    columns = []
    for column, values in zip(train.schema.columns, train.values.T, strict=True):
        observed = values[~np.isnan(values)]
        if column.column_type.is_number or not len(observed):
            columns.append(observed.mean(dtype=np.float64) if len(observed) else 0.0)
        else:
            distinct, counts = np.unique(observed, return_counts=True)
            columns.append(distinct[counts.argmax()])
    values = np.broadcast_to(columns, held_out.values.shape)
    return held_out.with_values(values.astype(held_out.values.dtype))


class FitMeasurements(NamedTuple):
    """Measurements of a short fit."""

    held_out: Fidelity
    training: Fidelity
    constant: Fidelity  # of the training mean, or most frequent category, at each held-out step
    pca: Fidelity  # of PCA with as many dimensions, on the held-out sequences
    wrong_lengths: float  # share of held-out sequences whose length is off by more than a tenth
    history: History
    num_training: int
    latent_dim: int


def check_fit(measurements: FitMeasurements) -> Iterator[Finding]:
    """Yield the findings about a short fit."""
    held_out, constant, pca = (
        measurements.held_out.error,
        measurements.constant.error,
        measurements.pca.error,
    )
    losses = measurements.history.epochs.get("val_loss", measurements.history.epochs["loss"])
    reason = _why_too_short(losses)
    if reason and held_out > _SOLVED_ERROR_RATIO * constant:
        yield Finding(
            "too-short",
            f"The short fit {reason}, so its errors say little. Give it more time with "
            f"{argument('time_budget')}.",
        )
    if len(losses) < _MIN_EPOCHS:
        return
    if held_out >= _USELESS_ERROR_RATIO * constant > 0:
        pca_learned = pca < _LEARNED_ERROR_RATIO * constant
        yield _constant_output_finding(measurements, pca_learned=pca_learned, is_short=bool(reason))
    elif held_out > pca and not reason:
        yield Finding(
            "no-better-than-pca",
            f"The held-out error ({format_short(held_out)}) is above that of PCA "
            f"({format_short(pca)}), so the data is nearly linear, or the training has not "
            f"converged. Train longer ({argument('max_epochs')}), with "
            f"{argument(latent_steps=10)}, or use PCA.",
        )
    training = measurements.training.error
    if held_out > _OVERFIT_RATIO * training and held_out - training > _OVERFIT_GAP:
        yield Finding(
            "overfitting",
            f"The error is {format_short(training)} on training sequences and "
            f"{format_short(held_out)} on held-out ones. {measurements.num_training} sequences are "
            f"too few for {measurements.latent_dim} latent dimensions. Use more sequences, fewer "
            f"dimensions ({argument('latent_dim')}), or {argument(denoise=0.3)}.",
        )
    if measurements.wrong_lengths > _MAX_WRONG_LENGTH_SHARE:
        lengths = spelled("inverse_transform(codes, lengths=...)", "refold decode --lengths")
        yield Finding(
            "wrong-lengths",
            f"The decoded lengths of {measurements.wrong_lengths:.0%} of the held-out sequences "
            f"are off by more than a tenth. If you know the lengths, decode with {lengths}. "
            f"Otherwise train longer, or use more latent dimensions ({argument('latent_dim')}).",
        )
    if not reason:
        yield from _find_stuck_loss(measurements, losses)


def _constant_output_finding(
    measurements: FitMeasurements, *, pca_learned: bool, is_short: bool
) -> Finding:
    """Return the finding of a model that is no better than a constant output, with its cause."""
    held_out, constant = measurements.held_out, measurements.constant
    output = "most frequent value" if held_out.nmse is None else "mean"
    if is_short:
        cause = "The fit was too short to say why: give it more time."
    elif measurements.training.error < _LEARNED_ERROR_RATIO * constant.error:
        cause = "Training sequences are learned, so the model overfits."
    elif pca_learned:
        cause = (
            "PCA of the same size does much better, so the training is the cause. Use the default "
            f"{argument('architecture')}, {argument('optimizer')} and {argument('learning_rate')}, "
            f"no {argument('denoise')}, and train longer."
        )
    else:
        cause = (
            "PCA learns as little, so sequences have little in common: they may be noise, or "
            f"begin at arbitrary points. Use more latent dimensions ({argument('latent_dim')}), "
            "smooth or align the sequences, or cut shorter ones."
        )
    return Finding(
        "output-is-mean",
        f"The held-out error ({held_out.measure} {format_short(held_out.error)}) is no better "
        f"than that of the {output} ({format_short(constant.error)}). {cause}",
    )


def _why_too_short(losses: list[float]) -> str | None:
    """Return why a fit is too short, such as "had only 1 epoch"; None if it is not."""
    if len(losses) < _MIN_EPOCHS:
        return f"had only {len(losses)} epoch{'s' * (len(losses) != 1)}"
    quarter = max(1, len(losses) // 4)
    if min(losses[-quarter:]) < (1 - _MAX_FINAL_LOSS_FALL) * min(losses[:-quarter]):
        return f"ended after {len(losses)} epochs while the loss still fell"
    return None


def _find_stuck_loss(measurements: FitMeasurements, losses: list[float]) -> Iterator[Finding]:
    """Find a loss that hardly falls, although the model has learned little."""
    initial = measurements.history.initial_loss
    first = losses[0] if initial is None else initial
    always_rises = all(later >= earlier for earlier, later in itertools.pairwise([first, *losses]))
    is_stuck = measurements.history.best_epoch == 0 or min(losses) > (1 - _MIN_LOSS_FALL) * first
    has_learned = measurements.held_out.error < _LEARNED_ERROR_RATIO * measurements.constant.error
    if is_stuck and not has_learned:
        # a loss that never falls is a sign of updates that are too large
        rate = "smaller" if always_rises else "larger or a smaller"
        yield Finding(
            "stuck-loss",
            f"The loss hardly fell in {len(losses)} epochs (from {format_short(first)} to "
            f"{format_short(min(losses))}). Try a {rate} {argument('learning_rate')}, and look "
            "at the other findings.",
        )
