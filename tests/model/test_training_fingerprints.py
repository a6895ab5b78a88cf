"""Fingerprints tell whether normal sequences are from the training data."""

import copy
import warnings

import numpy as np
import pytest

import refold
from model.small import sines
from refold.errors import DataError
from refold.model import _fingerprints, check_untrained
from refold.sequences import as_sequences, fingerprints, write
from refold.training import _split
from refold.training._split import Source, joined_fingerprints
from small_data import mapped

REFUSED = "The normal sequences are those that the model was trained on"


def trained_on(source, held_back=()):
    """Return the fingerprints of what a fit trained on."""
    return joined_fingerprints(Source(source), np.array(held_back, np.uint64), None).trained


def accepted(normal, trained):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_untrained(normal, trained)


def test_the_training_sequences_are_refused_and_some_are_counted():
    series, others = sines(50), sines(50, seed=1)
    trained = trained_on(series)
    for known in (series, series[::-1], series[:1]):
        with pytest.raises(DataError, match=REFUSED):
            check_untrained(known, trained)
    mixed = as_sequences([*others.to_list(), *series[:3].to_list()])
    with pytest.warns(UserWarning, match=r"^3 of 53 normal sequences are among those"):
        check_untrained(mixed, trained)
    accepted(others, trained)
    accepted(series[:5], trained_on(series, fingerprints(series[:5])))
    accepted(series, None)
    accepted(series[:0], trained)


def test_repeated_sequences_cause_no_warning():
    rng = np.random.default_rng(0)
    words = ["".join(rng.choice(list("ab"), 3)) for _ in range(100)]
    accepted(as_sequences(words[50:]), trained_on(as_sequences(words[:50])))


def test_large_data_keeps_the_smallest_fingerprints(monkeypatch, tmp_path):
    series = sines(200)
    whole = trained_on(series)
    for module in (_split, _fingerprints):
        monkeypatch.setattr(module, "MAX_FINGERPRINTS", 50)
    assert np.array_equal(trained_on(series), whole[:50])
    write(series, tmp_path / "sines.parquet")
    assert np.array_equal(
        trained_on(mapped(tmp_path / "sines.parquet", block_bytes=2000)), whole[:50]
    )
    with pytest.raises(DataError, match=REFUSED):
        check_untrained(series, whole[:50])
    mixed = as_sequences([*sines(100, seed=1).to_list(), *series[:100].to_list()])
    with pytest.warns(UserWarning, match=r"^\d\d % of the normal sequences are among those"):
        check_untrained(mixed, whole[:50])


def test_fingerprints_are_saved_with_the_model(bare, tmp_path):
    bare.save(tmp_path / "m.refold")
    loaded = refold.SequenceAutoencoder.load(tmp_path / "m.refold")
    for model in (bare, loaded):
        with pytest.raises(DataError, match=REFUSED):
            model.calibrate(sines(60))
        assert model.num_calibrated_ == 0
    assert loaded.calibrate(sines(12, seed=1)).num_calibrated_ == 12


def test_detect_warns_of_training_sequences(bare):
    ae, new = copy.deepcopy(bare).calibrate(sines(40, seed=1)), sines(30, seed=2)
    with pytest.warns(UserWarning, match=r"^\d+ of 60 sequences are among .* be missed") as told:
        ae.detect(sines(60), alpha=0.1)
    assert len(told) == 1
    trained = sines(60)[~ae.held_back(sines(60))]
    with pytest.warns(UserWarning, match="^1 of 31 sequences is among those"):
        ae.detect([*new.to_list(), trained.to_list()[0]], alpha=0.1)
    ae.detect(new, alpha=0.1)
    ae.detect(sines(40, seed=1), alpha=0.1)
