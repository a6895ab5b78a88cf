"""`diagnose`: the findings about the data and about a short fit of a sample of it."""

import warnings
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

import refold
from refold._support.argument_checks import check_some
from refold._support.display import short_number
from refold._support.optional_imports import check_training_packages
from refold.arguments import Arguments
from refold.diagnosis._data_findings import data_findings, sampled
from refold.diagnosis._finding import Finding, by_importance
from refold.diagnosis._fit_findings import FitFacts, fit_findings
from refold.errors import DataError, DivergedError
from refold.evaluation import Fidelity, PCABaseline, fidelity
from refold.model import Model, SequencesLike
from refold.sequences import Scaler, Sequences, sequence_moments

# Caps of the short fit: sequences, their values, sequences for an error, seconds.
_MOST_SEQUENCES, _MOST_VALUES, _MOST_MEASURED, _SECONDS = 2000, 2_000_000, 200, 30.0
# Fewest sequences for a fit; share that is held out; epochs of a full fit.
_FEWEST, _HELD_OUT, _EPOCHS = 10, 0.2, 30


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
    >>> found = Diagnosis((Finding("constant-column", "Column 'x0' is constant."),))
    >>> found.to_dict()["findings"]
    ({'name': 'constant-column', 'message': "Column 'x0' is constant."},)
    """

    findings: tuple[Finding, ...]
    held_out: Fidelity | None = None
    training: Fidelity | None = None
    constant: Fidelity | None = None
    pca: Fidelity | None = None
    num_sequences: int = 0

    def text(self) -> str | None:
        """Return one line about the errors of the short fit; None without a fit."""
        if self.held_out is None or self.training is None or self.constant is None:
            return None
        ours, pca = self.held_out, self.pca
        theirs = "" if pca is None else f"; PCA: {short_number(pca.error)}"
        return (
            f"A short fit of {self.num_sequences} sequences has a held-out {ours.measure} of "
            f"{short_number(ours.error)} (training: {short_number(self.training.error)}; "
            f"constant output: {short_number(self.constant.error)}{theirs})."
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, such as for JSON."""
        return asdict(self)


def diagnose(
    X: SequencesLike, *, estimator: "refold.SequenceAutoencoder | None" = None
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

    Returns
    -------
    Diagnosis
        A random fifth of at most 2000 sequences is held out from the short fit. With fewer than ten
        sequences, only the data is checked.

    Raises
    ------
    KeyboardInterrupt
        On Ctrl-C.

    Examples
    --------
    >>> import refold
    >>> sines = refold.datasets.noisy_sines(40, seed=0, max_steps=30)
    >>> short = refold.SequenceAutoencoder(units=8, latent_steps=0, max_epochs=2, random_state=0)
    >>> found = diagnose(sines, estimator=short)
    >>> [one.name for one in found.findings], found.num_sequences
    (['few-sequences'], 40)
    """
    check_training_packages("Training")
    # not at the top, because a small installation has neither JAX nor Keras
    from refold.training import check_arguments, open_training

    estimator = refold.SequenceAutoencoder() if estimator is None else estimator
    check_arguments(Arguments.of(estimator))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # they are among the findings
        source = open_training(X, estimator.missing_values)
        check_some(len(source), "sequence", "to check")
        size = estimator.latent_dim if estimator.latent_dim >= 1 else 1
        found = data_findings(source, latent_dim=int(size), scale=estimator.scale)
        if len(source) < _FEWEST:
            return Diagnosis(found)
        return _with_short_fit(source, estimator, found)


def _with_short_fit(
    source: Sequences, estimator: "refold.SequenceAutoencoder", found: tuple[Finding, ...]
) -> Diagnosis:
    seed = estimator.random_state if isinstance(estimator.random_state, int) else 0
    values = int(source.lengths.sum()) * source.schema.num_columns
    most = min(_MOST_VALUES, int(values * _MOST_SEQUENCES / len(source)))
    sample = sampled(source, most)
    order = np.random.default_rng(seed).permutation(len(sample))
    count = min(_MOST_MEASURED, max(2, int(_HELD_OUT * len(sample))))
    train, held_out = sample[np.sort(order[count:])], sample[np.sort(order[:count])]
    estimator = refold.SequenceAutoencoder(**estimator.get_params(deep=False))
    estimator.set_params(
        refit=False,
        calibration_fraction=0.0,
        verbose=0,
        random_state=seed,
        time_budget=estimator.time_budget or _SECONDS,
    )
    try:
        model = estimator.fit(train).model_
    except (DataError, DivergedError) as error:
        name = "diverged" if isinstance(error, DivergedError) else "cannot-fit"
        return Diagnosis(by_importance([*found, Finding(name, error.message.marked)]))
    facts = _measured(model, train, held_out, len(source))
    findings = by_importance([*found, *fit_findings(facts)])
    errors = facts.held_out, facts.training, facts.constant, facts.pca
    return Diagnosis(findings, *errors, len(sample))


def _measured(model: Model, train: Sequences, held_out: Sequences, num_sequences: int) -> FitFacts:
    scaler, seen, history = model.error_scaler, train[:_MOST_MEASURED], model.history
    decoded = _decoded(model, held_out)
    # without the first epoch, in which steps are compiled
    seconds = np.diff(history.epochs["seconds"])
    seconds = float(np.median(seconds)) if len(seconds) else 0.0
    return FitFacts(
        fidelity(held_out, decoded, scaler),
        fidelity(seen, _decoded(model, seen), scaler),
        fidelity(held_out, _constant(train, held_out), scaler),
        _pca_error(model.specification.latent_dim, train, held_out, scaler),
        _kept_within(held_out, decoded),
        float(np.mean(np.abs(decoded.lengths - held_out.lengths) > 0.1 * held_out.lengths)),
        history.epochs,
        history.initial_loss,
        history.best_epoch,
        len(train),
        model.specification.latent_dim,
        seconds * _EPOCHS * num_sequences / len(train),
    )


def _decoded(model: Model, sequences: Sequences) -> Sequences:
    """Encode and decode at the predicted lengths."""
    decoded = model.decode(model.encode(sequences))
    return Sequences.from_list(decoded, schema=sequences.schema)


def _constant(train: Sequences, held_out: Sequences) -> Sequences:
    """Return the training mean, or the most frequent value, at each step."""
    columns = []
    for column, values in zip(train.schema.columns, train.values.T, strict=True):
        seen = values[~np.isnan(values)]
        if column.column_type.is_number or not len(seen):
            columns.append(seen.mean(dtype=np.float64) if len(seen) else 0.0)
        else:
            distinct, counts = np.unique(seen, return_counts=True)
            columns.append(distinct[counts.argmax()])
    values = np.broadcast_to(columns, held_out.values.shape)
    return held_out.with_values(values.astype(held_out.values.dtype))


def _pca_error(
    latent_dim: int, train: Sequences, held_out: Sequences, scaler: Scaler
) -> Fidelity | None:
    width = max(1, int(train.lengths.max()) * train.schema.output_width)
    train = train[: max(latent_dim, _MOST_VALUES * 4 // width)]
    size = min(latent_dim, len(train), width)
    if len(train) * width > 16 * _MOST_VALUES:  # PCA of so many values takes too much memory
        return None
    return fidelity(held_out, PCABaseline(size).fit(train).reconstruct(held_out), scaler)


def _kept_within(original: Sequences, decoded: Sequences) -> float | None:
    numeric = original.schema.numeric
    if not numeric.any():
        return None
    own, back = (
        np.square(np.nan_to_num(sequence_moments(one.values[:, numeric], one)[1]))
        for one in (original, decoded)
    )
    total = own.mean(axis=0)
    swings = total > 0
    return float(np.mean(back.mean(axis=0)[swings] / total[swings])) if swings.any() else None
