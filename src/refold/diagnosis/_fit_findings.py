"""Findings about a short fit: its errors, its loss, its lengths and its speed."""

import itertools
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from refold._support.display import short_number
from refold.diagnosis._finding import Finding
from refold.errors import argument, spelled
from refold.evaluation import Fidelity

# Errors, relative to that of a constant output: no better, half-way learned, and solved.
_NO_BETTER, _LEARNED, _SOLVED = 0.95, 0.5, 0.02
# Share of the variance within sequences below which the output is flat.
_FLAT = 0.1
# Ratio and difference of held-out and training error from which a model overfits.
_OVERFIT_RATIO, _OVERFIT_GAP = 2.0, 0.05
# Share of lengths that are off by more than a tenth; relative fall of the loss that is none, and
# that is still much.
_WRONG_LENGTHS, _STUCK, _FALLING = 0.1, 0.02, 0.05
# Epochs below which a fit says little; seconds that are long for a fit.
_FEW_EPOCHS, _SLOW = 4, 1800.0


class FitFacts(NamedTuple):
    """Measurements of a short fit."""

    held_out: Fidelity
    training: Fidelity
    constant: Fidelity  # of the training mean or the most frequent category at every held-out step
    pca: Fidelity | None  # of the same size, on the held-out sequences; None if it cannot be fitted
    kept_within: float | None  # variance within sequences, decoded over original; for numbers only
    wrong_lengths: float  # share of held-out sequences whose length is off by more than a tenth
    history: Mapping[str, list[Any]]  # as `SequenceAutoencoder.history_`
    initial_loss: float | None  # validation loss before the first epoch
    best_epoch: int | None  # epoch with the smallest validation loss
    num_training: int
    latent_dim: int
    seconds: float  # of 30 epochs on all data with the same settings; 0 if it is not known


def fit_findings(facts: FitFacts) -> Iterator[Finding]:
    """Yield what a short fit shows."""
    ours, constant = facts.held_out.error, facts.constant.error
    pca = facts.pca.error if facts.pca is not None else np.inf
    losses = facts.history.get("val_loss", facts.history["loss"])
    short = _short(losses)
    if short and ours > _SOLVED * constant:
        yield Finding(
            "too-short",
            f"The short fit {short}, so its errors say little. Give it more time with "
            f"{argument('time_budget')}.",
        )
    if facts.seconds > _SLOW:
        yield _slow(facts.seconds)
    if len(losses) < _FEW_EPOCHS:
        return
    if ours >= _NO_BETTER * constant > 0:
        yield _constant_output(facts, pca_learned=pca < _LEARNED * constant, short=bool(short))
    elif facts.kept_within is not None and facts.kept_within < _FLAT:
        yield Finding(
            "flat-output",
            f"Decoded sequences keep {facts.kept_within:.0%} of the variance within sequences, so "
            "they are nearly flat: the code holds the level of a sequence. Use "
            f"{argument(scale='sequence')}, or more latent dimensions ({argument('latent_dim')}).",
        )
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


def _slow(seconds: float) -> Finding:
    return Finding(
        "slow",
        f"30 epochs of all sequences take about {seconds / 60:.0f} minutes here. Set a limit with "
        f"{argument('time_budget')}, or make steps cheaper: shorter windows, a larger "
        f"{argument('patch')} or {argument('batch_size')}, fewer {argument('units')}.",
    )


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
    first = losses[0] if facts.initial_loss is None else facts.initial_loss
    steady = all(later >= earlier for earlier, later in itertools.pairwise([first, *losses]))
    stuck = facts.best_epoch == 0 or min(losses) > (1 - _STUCK) * first
    learned = facts.held_out.error < _LEARNED * facts.constant.error
    if stuck and not learned:
        rate = "smaller" if steady else "larger or a smaller"
        yield Finding(
            "stuck-loss",
            f"The loss hardly fell in {len(losses)} epochs (from {short_number(first)} to "
            f"{short_number(min(losses))}). Try a {rate} {argument('learning_rate')}, and look "
            "at the other findings.",
        )
