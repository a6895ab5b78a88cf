"""What a fit shows: its progress, and the held-out error next to that of PCA."""

import re

import numpy as np
import pytest

from refold import SequenceAutoencoder, Sequences
from refold._support.messages import describe_kept_epoch
from refold.arguments import Arguments
from refold.evaluation import PCABaseline, nmse
from refold.training import fit
from refold.training._held_out_error import HeldOutEvaluator
from refold.training._shards import FitBlocks
from refold.training._split import Split, split_validation
from refold.training.loop._training import ProgressBar

# Long enough to be better than the linear initialization.
LONG = {"latent_dim": 2, "units": 6, "max_epochs": 40, "random_state": 0, "learning_rate": 0.02}
SHORT = LONG | {"max_epochs": 1, "latent_steps": 0, "refit": False}
LINE = r"Held out \((\d+) sequences\): NMSE (\S+), PCA with (\d+) dimensions (\S+)\."


def curves(n=50, steps=9, seed=0):
    """Return waves of different speeds, which a few components cannot represent."""
    rng = np.random.default_rng(seed)
    speed = rng.uniform(0.2, 1.5, (n, 1))
    return Sequences.from_list(list(np.sin(speed * np.arange(steps) + rng.uniform(0, 6, (n, 1)))))


def lines(capsys):
    return [line for line in capsys.readouterr().err.splitlines() if line[:1].isalpha()]


@pytest.fixture(scope="module")
def without_refit():
    """Return the validated fit with which a refit begins, and both parts of the data."""
    arguments = Arguments.of(SequenceAutoencoder(**LONG, refit=False))
    fitted, _ = fit(curves(), arguments, dim_trial_seed=7)
    return fitted, [curves()[rows] for rows in split_validation(curves().lengths, 0.1, seed=7)]


@pytest.mark.parametrize("refit", [False, True])
def test_the_error_is_that_of_the_validated_weights_on_held_out_sequences(
    without_refit, refit, capsys, monkeypatch
):
    fitted, (training, held_out) = without_refit
    arguments = Arguments.of(SequenceAutoencoder(**LONG | {"refit": refit, "verbose": 1}))
    monkeypatch.setattr("refold.training._fit.to_integer_seed", lambda _: 7)
    again, outcome = fit(curves(), arguments)
    assert outcome.phase == ("refit" if refit else "validated")
    kept, line = lines(capsys)[-2:]
    epochs = outcome.history["phase"].count("validated")
    assert again.history.best_epoch == outcome.best_epoch
    assert kept == f"{describe_kept_epoch(outcome.best_epoch, epochs).capitalize()}."
    number, error, size, linear = re.fullmatch(LINE, line).groups()
    baseline = PCABaseline(2).fit(training)
    assert (int(number), int(size)) == (len(held_out), 2)
    expected = nmse(held_out, baseline.reconstruct(held_out), baseline.scaler_)
    assert float(linear) == pytest.approx(expected, rel=6e-3)
    split = Split(FitBlocks(curves()), None, arguments, seed=7, base_model=None)
    ours = HeldOutEvaluator(split, 2).network_errors(
        fitted.network, fitted.scaler, latent_steps=fitted.latent_steps
    )
    assert float(error) == pytest.approx(ours.nmse, rel=6e-3)
    if refit:  # the returned weights are still those of the refit
        pairs = zip(again.network.arrays().values(), fitted.network.arrays().values(), strict=True)
        assert not all(np.array_equal(a, b) for a, b in pairs)


def test_nothing_is_reported_without_verbose_or_validation(capsys):
    for settings in ({"verbose": 0}, {"verbose": 1, "validation_fraction": 0}):
        SequenceAutoencoder(**SHORT, **settings).fit(curves())
    assert not [line for line in lines(capsys) if "Held out" in line]


def test_reasons_are_given_if_pca_is_as_good(capsys):
    rng = np.random.default_rng(0)
    ramps = [np.outer(np.arange(9.0), rng.normal(size=2)) @ np.ones((2, 1)) for _ in range(50)]
    noise = list(rng.normal(size=(50, 9, 1)))
    settings = SHORT | {"learning_rate": 1e-9, "rocket_dim": 1, "verbose": 1}
    SequenceAutoencoder(**settings).fit(ramps)
    assert lines(capsys)[-1] == (
        "No better than PCA: little is left to gain, so a smaller latent_dim is enough."
    )
    SequenceAutoencoder(**settings).fit(noise)
    assert lines(capsys)[-1] == (
        "No better than PCA: ROCKET features take 1 of the 2 dimensions and reconstruct little, so "
        "fit with rocket_dim=0; 45 sequences of 9 values are few to learn from, so collect more."
    )


WORDS = Sequences.from_list(["ab", "ba"] * 10)
NO_TIME = {"max_epochs": 9, "time_budget": 0.01}


def test_a_training_that_ended_too_early_says_what_to_raise(capsys):
    for limits, advice in (
        ({}, "the error still fell after 1 epoch, so try max_epochs=4"),
        (NO_TIME, "the time was up after 1 of 9 epochs, so try time_budget=1"),
    ):
        SequenceAutoencoder(**SHORT | limits, verbose=1).fit(WORDS)
        few = "18 sequences of 2 values are few to learn from, so collect more."
        assert lines(capsys)[-1] == f"No better than PCA: {advice}; {few}"


def test_a_training_that_ended_too_early_says_so_also_if_it_beats_pca(capsys):
    rng = np.random.default_rng(0)
    waves = [
        np.sin(rng.uniform(0.2, 1.5) * np.arange(rng.integers(8, 20)) + rng.uniform(0, 6))
        for _ in range(40)
    ]
    settings = SHORT | {"latent_dim": 4, "units": 8, "max_epochs": 3, "latent_steps": 10}
    SequenceAutoencoder(**settings | {"learning_rate": 0.003}, verbose=1).fit(waves)
    assert lines(capsys)[-1] == "The error still fell after 3 epochs, so try max_epochs=12."


@pytest.mark.parametrize("window", [None, 9])
def test_windows_are_suggested_for_long_sequences_that_are_lost(window, capsys, monkeypatch):
    monkeypatch.setattr("refold.training._held_out_error._MIN_LENGTH_TO_SUGGEST_WINDOWS", 8)
    noise = np.random.default_rng(0).normal(size=(50, 9, 1))
    SequenceAutoencoder(**SHORT, verbose=1, window=window).fit(noise)
    advice = [line for line in lines(capsys) if "window=128" in line]
    assert len(advice) == (window is None)


def test_the_line_for_categorical_data_has_accuracy_and_exact(capsys):
    SequenceAutoencoder(**SHORT, verbose=1).fit(WORDS)
    number = r"\d+(\.\d)? %"
    pattern = rf"accuracy {number}, PCA with 2 dimensions {number}; exact {number}, PCA {number}\."
    (line,) = [line for line in lines(capsys) if "Held out" in line]
    assert re.fullmatch(rf"Held out \(\d+ sequences\): {pattern}", line)


def test_the_bar_counts_epochs(capsys, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "120")
    progress = ProgressBar(verbose=1)
    with progress.display:
        progress.begin_stage("epoch", 5, "compiling")
        progress.show_epoch(2, loss=0.5, val_loss=0.6)
    shown = capsys.readouterr().err
    assert "initialize" in shown
    assert "epoch 2/5" in re.sub(r"\x1b\[[0-9;]*m", "", shown)
    assert "validation 0.6" in shown
