"""`diagnose`: the findings about the data and about a short fit of a sample of it."""

import itertools
import warnings
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

import refold
from refold._support.optional_imports import check_training_packages
from refold._support.output import counted, short_number
from refold._support.rules import check_some
from refold.arguments import Arguments
from refold.diagnosis._data_findings import Finding, by_importance, data_findings, sampled
from refold.errors import DataError, DivergedError, argument, spelled
from refold.evaluation import Fidelity, PCABaseline, fidelity
from refold.model import History, Model, SequencesLike
from refold.sequences import Sequences

# Caps of the short fit: sequences, their values, sequences for an error, seconds.
_MOST_SEQUENCES, _MOST_VALUES, _MOST_MEASURED, _SECONDS = 2000, 2_000_000, 200, 30.0
# Fewest sequences for a fit, and share that is held out.
_FEWEST, _HELD_OUT = 10, 0.2
# Errors, relative to that of a constant output: no better, half-way learned, and solved.
_NO_BETTER, _LEARNED, _SOLVED = 0.95, 0.5, 0.02
# Ratio and difference of held-out and training error from which a model overfits.
_OVERFIT_RATIO, _OVERFIT_GAP = 2.0, 0.05
# Share of lengths that are off by more than a tenth; relative fall of the loss that is none, and
# that is still much.
_WRONG_LENGTHS, _STUCK, _FALLING = 0.1, 0.02, 0.05
# Epochs below which a fit says little.
_FEW_EPOCHS = 4
_SHOWN = 3  # findings that are named in a line


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

    def __repr__(self) -> str:
        names = [finding.name for finding in self.findings]
        shown = ", ".join(names[:_SHOWN]) + ", ..." * (len(names) > _SHOWN)
        return f"Diagnosis({counted(len(names), 'finding')}{': ' * bool(names)}{shown})"

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
        pca = "" if self.pca is None else f"; PCA: {short_number(self.pca.error)}"
        return (
            f"A short fit of {self.num_sequences} sequences has a held-out {self.held_out.measure} "
            f"of {short_number(self.held_out.error)} (training: "
            f"{short_number(self.training.error)}; constant output: "
            f"{short_number(self.constant.error)}{pca})."
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
    >>> found = diagnose(sines, estimator=short)
    >>> [one.name for one in found.findings], found.num_sequences
    (['few-sequences'], 40)
    """
    check_training_packages("Training")
    # not at the top, because a small installation has neither JAX nor Keras
    from refold.training import check_arguments, open_training

    estimator = refold.SequenceAutoencoder() if estimator is None else estimator
    arguments = Arguments.of(estimator)
    check_arguments(arguments)
    # without overlap, so that held-out windows are new to the short fit
    arguments = replace(arguments, step=arguments.window)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # they are among the findings
        source = open_training(X, arguments).sequences
        check_some(len(source), "sequence", "to check")
        size = max(1, int(estimator.latent_dim))  # a share below 1 is no number of dimensions
        findings = data_findings(source, latent_dim=size, scale=estimator.scale)
        if not short_fit or len(source) < _FEWEST:
            return Diagnosis(findings)
        return _with_short_fit(source, estimator, findings)


def _with_short_fit(
    source: Sequences, estimator: "refold.SequenceAutoencoder", findings: tuple[Finding, ...]
) -> Diagnosis:
    seed = estimator.random_state if isinstance(estimator.random_state, int) else 0
    values = int(source.lengths.sum()) * source.schema.num_columns
    most = min(_MOST_VALUES, int(values * _MOST_SEQUENCES / len(source)))
    sample = sampled(source, most)
    order = np.random.default_rng(seed).permutation(len(sample))
    count = min(_MOST_MEASURED, max(2, int(_HELD_OUT * len(sample))))
    train, held_out = sample[np.sort(order[count:])], sample[np.sort(order[:count])]
    arguments = estimator.get_params(deep=False) | {
        "refit": False,
        "calibration_fraction": 0.0,
        "verbose": 0,
        "random_state": seed,
        "time_budget": estimator.time_budget or _SECONDS,
    }
    try:
        model = refold.SequenceAutoencoder(**arguments).fit(train).model_
    except (DataError, DivergedError) as error:
        name = "diverged" if isinstance(error, DivergedError) else "cannot-fit"
        return Diagnosis(by_importance([*findings, Finding(name, error.message.marked)]))
    facts = _measured(model, train, held_out)
    findings = by_importance([*findings, *fit_findings(facts)])
    errors = facts.held_out, facts.training, facts.constant, facts.pca
    return Diagnosis(findings, *errors, len(sample))


def _measured(model: Model, train: Sequences, held_out: Sequences) -> "FitFacts":
    scaler, seen = model.error_scaler, train[:_MOST_MEASURED]
    latent_dim, decoded = model.specification.latent_dim, _decoded(model, held_out)
    # of fewer sequences if they are so long that PCA would take too much memory
    width = max(1, int(train.lengths.max()) * train.schema.output_width)
    fewer = train[: max(latent_dim, 4 * _MOST_VALUES // width)]
    pca = PCABaseline(min(latent_dim, len(fewer), width)).fit(fewer)
    return FitFacts(
        fidelity(held_out, decoded, scaler),
        fidelity(seen, _decoded(model, seen), scaler),
        fidelity(held_out, _constant(train, held_out), scaler),
        fidelity(held_out, pca.reconstruct(held_out), scaler),
        float(np.mean(np.abs(decoded.lengths - held_out.lengths) > 0.1 * held_out.lengths)),
        model.history,
        len(train),
        latent_dim,
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


class FitFacts(NamedTuple):
    """Measurements of a short fit."""

    held_out: Fidelity
    training: Fidelity
    constant: Fidelity  # of the training mean or the most frequent category at every held-out step
    pca: Fidelity  # of the same size, on the held-out sequences
    wrong_lengths: float  # share of held-out sequences whose length is off by more than a tenth
    history: History
    num_training: int
    latent_dim: int


def fit_findings(facts: FitFacts) -> Iterator[Finding]:
    """Yield what a short fit shows."""
    ours, constant, pca = facts.held_out.error, facts.constant.error, facts.pca.error
    losses = facts.history.epochs.get("val_loss", facts.history.epochs["loss"])
    short = _short(losses)
    if short and ours > _SOLVED * constant:
        yield Finding(
            "too-short",
            f"The short fit {short}, so its errors say little. Give it more time with "
            f"{argument('time_budget')}.",
        )
    if len(losses) < _FEW_EPOCHS:
        return
    if ours >= _NO_BETTER * constant > 0:
        yield _constant_output(facts, pca_learned=pca < _LEARNED * constant, short=bool(short))
    elif ours > pca and not short:
        yield Finding(
            "no-better-than-pca",
            f"The held-out error ({short_number(ours)}) is above that of PCA "
            f"({short_number(pca)}), so the data is nearly linear, or the training has not "
            f"converged. Train longer ({argument('max_epochs')}), with "
            f"{argument(latent_steps=10)}, or use PCA.",
        )
    trained = facts.training.error
    if ours > _OVERFIT_RATIO * trained and ours - trained > _OVERFIT_GAP:
        yield Finding(
            "overfitting",
            f"The error is {short_number(trained)} on training sequences and "
            f"{short_number(ours)} on held-out ones. {facts.num_training} sequences are too few "
            f"for {facts.latent_dim} latent dimensions. Use more sequences, fewer dimensions "
            f"({argument('latent_dim')}), or {argument(denoise=0.3)}.",
        )
    if facts.wrong_lengths > _WRONG_LENGTHS:
        lengths = spelled("inverse_transform(codes, lengths=...)", "refold decode --lengths")
        yield Finding(
            "wrong-lengths",
            f"The decoded lengths of {facts.wrong_lengths:.0%} of the held-out sequences are off "
            f"by more than a tenth. If you know the lengths, decode with {lengths}. Otherwise "
            f"train longer, or use more latent dimensions ({argument('latent_dim')}).",
        )
    if not short:
        yield from _stuck(facts, losses)


def _constant_output(facts: FitFacts, *, pca_learned: bool, short: bool) -> Finding:
    ours, constant = facts.held_out, facts.constant
    what = "most frequent value" if ours.nmse is None else "mean"
    if short:
        why = "The fit was too short to say why: give it more time."
    elif facts.training.error < _LEARNED * constant.error:
        why = "Training sequences are learned, so the model overfits."
    elif pca_learned:
        why = (
            "PCA of the same size does much better, so the training is the cause. Use the default "
            f"{argument('architecture')}, {argument('optimizer')} and {argument('learning_rate')}, "
            f"no {argument('denoise')}, and train longer."
        )
    else:
        why = (
            "PCA learns as little, so sequences have little in common: they may be noise, or "
            f"begin at arbitrary points. Use more latent dimensions ({argument('latent_dim')}), "
            "smooth or align the sequences, or cut shorter ones."
        )
    return Finding(
        "output-is-mean",
        f"The held-out error ({ours.measure} {short_number(ours.error)}) is no better than that "
        f"of the {what} ({short_number(constant.error)}). {why}",
    )


def _short(losses: list[float]) -> str | None:
    """Return why a fit ended too early to say much; None if it did not."""
    if len(losses) < _FEW_EPOCHS:
        return f"had only {len(losses)} epoch{'s' * (len(losses) != 1)}"
    part = max(1, len(losses) // 4)
    if min(losses[-part:]) < (1 - _FALLING) * min(losses[:-part]):
        return f"ended after {len(losses)} epochs while the loss still fell"
    return None


def _stuck(facts: FitFacts, losses: list[float]) -> Iterator[Finding]:
    initial = facts.history.initial_loss
    first = losses[0] if initial is None else initial
    steady = all(later >= earlier for earlier, later in itertools.pairwise([first, *losses]))
    stuck = facts.history.best_epoch == 0 or min(losses) > (1 - _STUCK) * first
    learned = facts.held_out.error < _LEARNED * facts.constant.error
    if stuck and not learned:
        rate = "smaller" if steady else "larger or a smaller"
        yield Finding(
            "stuck-loss",
            f"The loss hardly fell in {len(losses)} epochs (from {short_number(first)} to "
            f"{short_number(min(losses))}). Try a {rate} {argument('learning_rate')}, and look "
            "at the other findings.",
        )
