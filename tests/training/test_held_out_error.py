"""The report after training: the held-out error next to that of PCA of the training part."""

import contextlib
import re

import numpy as np
import pytest

from refold import SequenceAutoencoder, Sequences
from refold._support.output import describe_epochs
from refold.arguments import Arguments
from refold.errors import ParameterError
from refold.evaluation import Fidelity, PCABaseline, accuracy, nmse
from refold.network.keras.network import keras_models
from refold.sequences import Column, Schema, write
from refold.training import fit
from refold.training._data_sources import Source
from refold.training._held_out_error import HeldOut, HeldOutComparison, describe, holding
from refold.training.data._validation_split import validation_split
from small_data import mapped

SHORT = {"latent_dim": 2, "units": 6, "max_epochs": 3, "random_state": 0, "learning_rate": 0.02}
# Long enough to be better than the linear initialization.
LONG = SHORT | {"max_epochs": 40}
LINE = r"Held out \((\d+) sequences\): NMSE (\S+), PCA with (\d+) dimensions (\S+)\."


def curves(n=50, steps=9, seed=0):
    """Return waves of different speeds, which a few components cannot represent."""
    rng = np.random.default_rng(seed)
    speed = rng.uniform(0.2, 1.5, (n, 1))
    return Sequences.from_list(list(np.sin(speed * np.arange(steps) + rng.uniform(0, 6, (n, 1)))))


def held_out_lines(capsys):
    return [line for line in capsys.readouterr().err.splitlines() if "Held out" in line]


@pytest.fixture(scope="module")
def without_refit():
    """Return the validated fit with which a refit begins, and both parts of the data."""
    arguments = Arguments.of(SequenceAutoencoder(**LONG, refit=False))
    fitted, _ = fit(curves(), arguments, trial_seed=7)
    return fitted, [curves()[rows] for rows in validation_split(curves().lengths, 0.1, seed=7)]


@pytest.mark.parametrize("refit", [False, True])
def test_the_error_is_that_of_the_validated_weights_on_held_out_sequences(
    without_refit, refit, capsys, monkeypatch
):
    fitted, (training, held_out) = without_refit
    arguments = Arguments.of(SequenceAutoencoder(**LONG | {"refit": refit, "verbose": 1}))
    monkeypatch.setattr("refold.training._fit.draw_seed", lambda _: 7)
    again, outcome = fit(curves(), arguments)
    assert outcome.phase == ("refit" if refit else "validated")
    kept, line = [line for line in capsys.readouterr().err.splitlines() if line[:1].isalpha()][-2:]
    epochs = outcome.history["phase"].count("validated")
    assert again.history.best_epoch == outcome.epoch
    assert kept == f"{describe_epochs(outcome.epoch, epochs).capitalize()}."
    number, error, size, linear = re.fullmatch(LINE, line).groups()
    baseline = PCABaseline(2).fit(training)
    assert (int(number), int(size)) == (len(held_out), 2)
    expected = nmse(held_out, baseline.reconstruct(held_out), baseline.scaler_)
    assert float(linear) == pytest.approx(expected, rel=6e-3)
    source, split = Source(curves()), validation_split(curves().lengths, 0.1, seed=7)
    ours = HeldOut(source, *split, seed=7, most=2).of_network(
        fitted.network, fitted.scaler, latent_steps=fitted.latent_steps
    )
    assert float(error) == pytest.approx(ours.nmse, rel=6e-3)
    if refit:  # the returned weights are still those of the refit
        pairs = zip(again.network.arrays().values(), fitted.network.arrays().values(), strict=True)
        assert not all(np.array_equal(a, b) for a, b in pairs)


def test_the_reported_error_is_that_of_the_estimator(capsys):
    ae = SequenceAutoencoder(**SHORT, refit=False, verbose=1).fit(curves())
    (line,) = held_out_lines(capsys)
    error = float(re.fullmatch(LINE, line).group(2))
    seed = int(np.random.RandomState(0).randint(2**31))
    training, held_out = (
        curves()[rows] for rows in validation_split(curves().lengths, 0.1, seed=seed)
    )
    units = PCABaseline(2).fit(training).scaler_
    assert nmse(held_out, ae.reconstruct(held_out), units) == pytest.approx(error, rel=6e-3)


@pytest.mark.parametrize(
    ("data", "settings"),
    [
        (curves(), {"verbose": 0}),
        (curves(), {"verbose": 1, "validation_fraction": 0}),
    ],
    ids=["silent", "nothing held out"],
)
def test_nothing_is_reported_without_verbose_or_validation(data, settings, capsys):
    SequenceAutoencoder(
        **SHORT | {"max_epochs": 1, "latent_steps": 0}, refit=False, **settings
    ).fit(data)
    assert held_out_lines(capsys) == []


@pytest.mark.parametrize("scale", ["features", "sequence"])
def test_data_in_files_has_the_same_errors(scale, tmp_path, without_refit):
    fitted, _ = without_refit
    write(curves(), tmp_path / "curves.parquet")
    split = validation_split(curves().lengths, 0.1, seed=7)
    sources = Source(curves()), Source(mapped(tmp_path / "curves.parquet", block_bytes=500))
    errors = []
    for source in sources:
        held_out = HeldOut(source, *split, seed=7, most=4)
        np.testing.assert_array_equal(held_out.sequences.values, curves()[split[1]].values)
        own = source.scaler(scale, source.units(scale), split[0])
        measured = held_out.of_pca(4), held_out.of_network(fitted.network, own)
        errors.append([one.nmse for one in measured])
    # The units of files are those of all sequences.
    np.testing.assert_allclose(*errors, rtol=0.2)


@pytest.mark.parametrize("seed", range(4))
def test_pca_of_a_sample_has_at_most_as_many_components_as_it_allows(seed, monkeypatch):
    monkeypatch.setattr("refold.training._held_out_error._MOST_VALUES", 64)
    data = Sequences.from_list([*([np.arange(3.0), np.ones(3)] * 30), np.zeros(40)])
    source, split = Source(data), (np.arange(10, 61), np.arange(10))
    held_out = HeldOut(source, *split, seed=seed, most=16)
    assert np.isfinite(held_out.of_pca(16).nmse)


def test_weights_are_restored_after_a_temporary_change(without_refit):
    network = keras_models(without_refit[0].network)
    before = [np.asarray(variable.value) for variable in network.variables]
    with contextlib.suppress(ParameterError), holding(network, [value + 1 for value in before]):
        np.testing.assert_array_equal(network.variables[0].value, before[0] + 1)
        raise ParameterError
    for variable, value in zip(network.variables, before, strict=True):
        np.testing.assert_array_equal(variable.value, value)


def numbers(error):
    return Fidelity(error, None, 0.0)


BEHIND = HeldOutComparison(
    numbers(0.2), numbers(0.1), 16, num_sequences=100, num_training=900, epochs=30, max_epochs=30
)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"num_training": 90}, "90 sequences are few to learn from"),
        ({"pca": numbers(0.004)}, "PCA with 16 dimensions leaves an NMSE of only 0.004"),
        ({"epochs": 3, "out_of_time": True}, "the time was up after 3 of 30 epochs"),
        (
            {"linear": True},
            "no epoch improved on the linear initialization, so the data may be linear",
        ),
        (
            {"latent_dim": 32, "rocket_dim": 8},
            "8 of the 32 dimensions hold ROCKET features, which reconstruct "
            "little: fit without them for a smaller error",
        ),
    ],
)
def test_a_reason_is_given_only_if_it_applies(changes, reason):
    assert len(describe(BEHIND)) == 1
    assert describe(BEHIND._replace(**changes))[1] == f"No better than PCA: {reason}."
    assert len(describe(BEHIND._replace(**{**changes, "ours": numbers(0.001)}))) == 1


@pytest.mark.parametrize(
    ("ours", "pca", "where"),
    [
        ((0.2, 0.9), (0.1, 0.8), "No better than PCA on the numeric columns: "),
        ((0.1, 0.8), (0.2, 0.9), "No better than PCA on the binary and categorical columns: "),
        ((0.2, 0.8), (0.1, 0.9), "No better than PCA: "),
        ((None, 0.8), (None, 0.9), "No better than PCA: "),
        ((0.1, 1.0), (0.2, 1.0), None),
        ((0.1, 0.9), (0.2, 0.8), None),
    ],
)
def test_the_reason_names_the_columns_of_a_mixed_table(ours, pca, where):
    changes = {"ours": Fidelity(*ours, 0.0), "pca": Fidelity(*pca, 0.0), "linear": True}
    lines = describe(BEHIND._replace(**changes))
    assert [line.partition("no epoch")[0] for line in lines[1:]] == ([where] if where else [])


@pytest.fixture(scope="module")
def mixed():
    """Return a table with a number that PCA reconstructs exactly, and a category."""
    rng = np.random.default_rng(0)
    schema = Schema((Column("x", "numeric"), Column("word", "categorical", ("a", "b", "c"))))
    values = np.stack([rng.normal(size=320), rng.integers(0, 3, 320)], axis=1)
    return Sequences(values, np.arange(0, 321, 8), schema=schema)


def test_fit_and_report_have_the_same_errors_for_a_mixed_table(mixed):
    split = np.arange(10, 40), np.arange(10)
    held_out = HeldOut(Source(mixed), *split, seed=0, most=3)
    training, others = (mixed[rows] for rows in split)
    baseline = PCABaseline(3).fit(training)
    back = baseline.reconstruct(others)
    found = held_out.of_pca(3)
    assert found.nmse == pytest.approx(nmse(others, back, baseline.scaler_))
    assert found.accuracy == accuracy(others, back)
    assert 0 < found.accuracy < 1


def test_the_line_for_categorical_data_has_accuracy_and_exact(capsys):
    words = Sequences.from_list(["ab", "ba"] * 10)
    settings = SHORT | {"max_epochs": 1, "latent_steps": 0}
    SequenceAutoencoder(**settings, refit=False, verbose=1).fit(words)
    (line,) = held_out_lines(capsys)
    number = r"\d+(\.\d)? %"
    pattern = rf"accuracy {number}, PCA with 2 dimensions {number}; exact {number}, PCA {number}\."
    assert re.fullmatch(rf"Held out \(\d+ sequences\): {pattern}", line)
