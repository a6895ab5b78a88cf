"""`diagnose` checks data, and a short fit of a model to a sample of the data.

The errors of the short fit are measured on training and on held-out sequences. `fit_findings`
compares them with the errors of two baselines: a constant output, and PCA.
"""

import warnings
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

import refold
from refold._support.messages import format_rounded, pluralize
from refold._support.optional_imports import check_training_packages
from refold._support.rules import check_not_empty
from refold.arguments import Arguments
from refold.diagnosis._data_findings import Finding, data_findings, draw_sample, sort_by_importance
from refold.errors import DataError, DivergedError, argument, python_or_cli
from refold.evaluation import Fidelity, PCABaseline, fidelity
from refold.model import History, SequencesLike
from refold.sequences import Sequences

# The short fit gets a sample of this many sequences, so it needs little time and memory.
_MAX_FITTED_SEQUENCES = 2000
# The sample has fewer sequences if they are long or have many columns: at most this many values.
_MAX_FITTED_VALUES = 2_000_000
# Errors are measured on this many sequences, which is enough for a rough comparison.
_MAX_MEASURED_SEQUENCES = 200
# The short fit ends after this many seconds, unless the estimator has a time budget.
_MAX_SHORT_FIT_SECONDS = 30.0
# With fewer sequences, there is no short fit, because too few would be held out.
_MIN_SHORT_FIT_SEQUENCES = 10
# Share of the sample that is held out from the short fit.
_HELD_OUT_SHARE = 0.2
# The thresholds below are rules of thumb. The first three are ratios: error of the model divided by
# error of a constant output. With this ratio or more, a model counts as no better.
_USELESS_ERROR_RATIO = 0.95
# Below this ratio of errors, a model has learned something.
_LEARNED_ERROR_RATIO = 0.5
# Below this ratio of errors, more training is not worthwhile.
_SOLVED_ERROR_RATIO = 0.02
# A model overfits if its held-out error is more than this many times the training error.
_OVERFIT_ERROR_RATIO = 2.0
# A model overfits only if the held-out error exceeds the training error by more than this, because
# the ratio of small errors varies by chance.
_OVERFIT_ERROR_GAP = 0.05
# Decoded lengths are reported if more than this share of the sequences has a wrong length.
_MAX_WRONG_LENGTH_SHARE = 0.1
# A decoded length is wrong if it differs from the true length by more than this share of it.
_MAX_LENGTH_DEVIATION = 0.1
# A loss is stuck if it falls by a smaller share than this during the whole fit.
_MIN_LOSS_FALL = 0.02
# A fit is too short if the loss falls by more than this share in the last quarter of the epochs.
_MAX_FINAL_LOSS_FALL = 0.05
# A fit with fewer epochs is too short to judge.
_MIN_SHORT_FIT_EPOCHS = 4
# The `repr` of a diagnosis names at most this many findings.
_MAX_FINDINGS_IN_REPR = 3


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
        shown_names = names[:_MAX_FINDINGS_IN_REPR] + ["..."] * (len(names) > _MAX_FINDINGS_IN_REPR)
        separator = ": " if names else ""
        return f"Diagnosis({pluralize(len(names), 'finding')}{separator}{', '.join(shown_names)})"

    def to_table(self) -> pa.Table:
        """Return one row per finding: ``name`` and ``message``."""
        schema = pa.schema({"name": pa.string(), "message": pa.string()})
        return pa.Table.from_pylist([asdict(finding) for finding in self.findings], schema)

    def text(self) -> str | None:
        """Return one line about the errors of the short fit; None without a fit."""
        if self.held_out is None or self.training is None or self.constant is None:
            return None
        pca = "" if self.pca is None else f"; PCA: {format_rounded(self.pca.error)}"
        return (
            f"A short fit of {self.num_sequences} sequences has a held-out "
            f"{self.held_out.measure_name} of {format_rounded(self.held_out.error)} (training: "
            f"{format_rounded(self.training.error)}; constant output: "
            f"{format_rounded(self.constant.error)}{pca})."
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
        It gives the settings of the short fit, and is not fitted itself. If it has no
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
    from refold.training import check_arguments, prepare_training_windows

    estimator = refold.SequenceAutoencoder() if estimator is None else estimator
    arguments = Arguments.of(estimator)
    check_arguments(arguments)
    # windows that overlap would share steps between the training and the held-out data
    arguments = replace(arguments, step=arguments.window)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # the findings have the same messages
        sequences = prepare_training_windows(X, arguments).sequences
        check_not_empty(len(sequences), "sequence", "to check")
        # A `latent_dim` below 1 is a share of the variance. The fit then chooses the number of
        # dimensions. It is not known here, so it counts as 1.
        latent_dim = max(1, int(estimator.latent_dim))
        findings = data_findings(sequences, latent_dim=latent_dim, scale=estimator.scale)
        if not short_fit or len(sequences) < _MIN_SHORT_FIT_SEQUENCES:
            return Diagnosis(findings)
        return _diagnose_by_short_fit(sequences, estimator, findings)


def _diagnose_by_short_fit(
    sequences: Sequences, estimator: "refold.SequenceAutoencoder", findings: tuple[Finding, ...]
) -> Diagnosis:
    """Fit a model to a sample of the sequences; add findings about the fit to those of the data."""
    seed = estimator.random_state if isinstance(estimator.random_state, int) else 0
    num_values = int(sequences.lengths.sum()) * sequences.schema.num_columns
    # with this many values, a sample has about `_MAX_FITTED_SEQUENCES` sequences or fewer
    max_values = min(_MAX_FITTED_VALUES, int(num_values * _MAX_FITTED_SEQUENCES / len(sequences)))
    sample = draw_sample(sequences, max_values)
    order = np.random.default_rng(seed).permutation(len(sample))
    num_held_out = min(_MAX_MEASURED_SEQUENCES, max(2, int(_HELD_OUT_SHARE * len(sample))))
    train = sample[np.sort(order[num_held_out:])]
    held_out = sample[np.sort(order[:num_held_out])]
    arguments = estimator.get_params(deep=False) | {"refit": False, "calibration_fraction": 0.0}
    arguments |= {"verbose": 0, "random_state": seed}
    arguments["time_budget"] = estimator.time_budget or _MAX_SHORT_FIT_SECONDS
    try:
        model = refold.SequenceAutoencoder(**arguments).fit(train).model_
    except (DataError, DivergedError) as error:
        name = "diverged" if isinstance(error, DivergedError) else "cannot-fit"
        return Diagnosis(sort_by_importance([*findings, Finding(name, error.message.marked)]))

    # the constant output: for each column, the training mean or the most frequent category
    constants = []
    for column, values in zip(train.schema.columns, train.values.T, strict=True):
        observed = values[~np.isnan(values)]
        if column.column_type.is_number or not len(observed):
            constants.append(observed.mean(dtype=np.float64) if len(observed) else 0.0)
        else:
            categories, counts = np.unique(observed, return_counts=True)
            constants.append(categories[counts.argmax()])
    constant_values = np.broadcast_to(constants, held_out.values.shape)
    constant_output = held_out.with_values(constant_values.astype(held_out.values.dtype))

    # PCA pads all sequences to a matrix in memory, with a row for each sequence. To limit its size,
    # there are fewer rows if sequences are long: at most 4 * _MAX_FITTED_VALUES values, but at
    # least one row for each component.
    latent_dim = model.specification.latent_dim
    pca_columns = max(1, int(train.lengths.max()) * train.schema.output_width)
    pca_train = train[: max(latent_dim, 4 * _MAX_FITTED_VALUES // pca_columns)]
    pca = PCABaseline(min(latent_dim, len(pca_train), pca_columns)).fit(pca_train)

    # the decoded sequences have the lengths that the model predicts
    measured_train = train[:_MAX_MEASURED_SEQUENCES]
    decoded_train, decoded = (
        Sequences.from_list(model.decode(model.encode(measured)), schema=measured.schema)
        for measured in (measured_train, held_out)
    )
    length_errors = np.abs(decoded.lengths - held_out.lengths)
    measurements = FitMeasurements(
        held_out_fidelity=fidelity(held_out, decoded, model.error_scaler),
        training_fidelity=fidelity(measured_train, decoded_train, model.error_scaler),
        constant_fidelity=fidelity(held_out, constant_output, model.error_scaler),
        pca_fidelity=fidelity(held_out, pca.reconstruct(held_out), model.error_scaler),
        wrong_length_share=float(np.mean(length_errors > _MAX_LENGTH_DEVIATION * held_out.lengths)),
        history=model.history,
        num_training_sequences=len(train),
        latent_dim=latent_dim,
    )
    findings = sort_by_importance([*findings, *fit_findings(measurements)])
    fidelities = measurements[:4]  # in the order of the fields of a `Diagnosis`
    return Diagnosis(findings, *fidelities, num_sequences=len(sample))


class FitMeasurements(NamedTuple):
    """Measurements of a short fit."""

    held_out_fidelity: Fidelity
    training_fidelity: Fidelity
    constant_fidelity: Fidelity  # of a constant output, on the held-out sequences
    pca_fidelity: Fidelity  # of PCA with `latent_dim` components, on the held-out sequences
    wrong_length_share: float  # share of held-out sequences that are decoded to a wrong length
    history: History
    num_training_sequences: int
    latent_dim: int


def fit_findings(measurements: FitMeasurements) -> Iterator[Finding]:
    """Yield the findings about a short fit."""
    held_out_fidelity, training_fidelity, constant_fidelity, pca_fidelity = measurements[:4]
    held_out_error, training_error = held_out_fidelity.error, training_fidelity.error
    constant_error, pca_error = constant_fidelity.error, pca_fidelity.error
    history = measurements.history
    losses = history.epochs.get("val_loss", history.epochs["loss"])

    quarter_length = max(1, len(losses) // 4)  # in epochs
    short_reason = None  # why the fit is too short; None if it is long enough
    if len(losses) < _MIN_SHORT_FIT_EPOCHS:
        short_reason = f"had only {pluralize(len(losses), 'epoch')}"
    elif min(losses[-quarter_length:]) < (1 - _MAX_FINAL_LOSS_FALL) * min(losses[:-quarter_length]):
        short_reason = f"ended after {len(losses)} epochs while the loss still fell"
    if short_reason and held_out_error > _SOLVED_ERROR_RATIO * constant_error:
        yield Finding(
            "too-short",
            f"The short fit {short_reason}, so its errors say little. Give it more time with "
            f"{argument('time_budget')}.",
        )
    if len(losses) < _MIN_SHORT_FIT_EPOCHS:
        return

    # if the constant output has no error, all values are constant, and no ratio is defined
    if held_out_error >= _USELESS_ERROR_RATIO * constant_error > 0:
        if short_reason:
            cause = "The fit was too short to say why: give it more time."
        elif training_error < _LEARNED_ERROR_RATIO * constant_error:
            cause = "Training sequences are learned, so the model overfits."
        elif pca_error < _LEARNED_ERROR_RATIO * constant_error:
            cause = (
                "PCA of the same size does much better, so the training is the cause. Use the "
                f"default {argument('architecture')}, {argument('optimizer')} and "
                f"{argument('learning_rate')}, no {argument('denoise')}, and train longer."
            )
        else:
            cause = (
                "PCA learns as little, so sequences have little in common: they may be noise, or "
                f"begin at arbitrary points. Use more latent dimensions ({argument('latent_dim')}),"
                " smooth or align the sequences, or cut shorter ones."
            )
        output = "most frequent value" if held_out_fidelity.nmse is None else "mean"
        yield Finding(
            "output-is-mean",
            f"The held-out error ({held_out_fidelity.measure_name} "
            f"{format_rounded(held_out_error)}) is no better than that of the {output} "
            f"({format_rounded(constant_error)}). {cause}",
        )
    elif held_out_error > pca_error and not short_reason:
        yield Finding(
            "no-better-than-pca",
            f"The held-out error ({format_rounded(held_out_error)}) is above that of PCA "
            f"({format_rounded(pca_error)}), so the data is nearly linear, or the training has not "
            f"converged. Train longer ({argument('max_epochs')}), with "
            f"{argument(latent_steps=10)}, or use PCA.",
        )

    is_overfit = held_out_error > _OVERFIT_ERROR_RATIO * training_error
    if is_overfit and held_out_error - training_error > _OVERFIT_ERROR_GAP:
        yield Finding(
            "overfitting",
            f"The error is {format_rounded(training_error)} on training sequences and "
            f"{format_rounded(held_out_error)} on held-out ones. "
            f"{measurements.num_training_sequences} sequences are too few for "
            f"{measurements.latent_dim} latent dimensions. Use more sequences, fewer dimensions "
            f"({argument('latent_dim')}), or {argument(denoise=0.3)}.",
        )

    if measurements.wrong_length_share > _MAX_WRONG_LENGTH_SHARE:
        lengths = python_or_cli("inverse_transform(codes, lengths=...)", "refold decode --lengths")
        yield Finding(
            "wrong-lengths",
            f"The decoded lengths of {measurements.wrong_length_share:.0%} of the held-out "
            "sequences are off by more than a tenth. If you know the lengths, decode with "
            f"{lengths}. Otherwise train longer, or use more latent dimensions "
            f"({argument('latent_dim')}).",
        )

    first_loss = losses[0] if history.initial_loss is None else history.initial_loss
    # the best epoch is 0 if no epoch was better than the initialization
    is_stuck = history.best_epoch == 0 or min(losses) > (1 - _MIN_LOSS_FALL) * first_loss
    has_learned = held_out_error < _LEARNED_ERROR_RATIO * constant_error
    if not short_reason and is_stuck and not has_learned:
        # updates that are too large make the loss rise in each epoch
        always_rises = [first_loss, *losses] == sorted([first_loss, *losses])
        rate = "smaller" if always_rises else "larger or a smaller"
        yield Finding(
            "stuck-loss",
            f"The loss hardly fell in {len(losses)} epochs (from {format_rounded(first_loss)} to "
            f"{format_rounded(min(losses))}). Try a {rate} {argument('learning_rate')}, and look "
            "at the other findings.",
        )
