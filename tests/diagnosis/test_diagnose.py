"""Findings about a short fit, from invented measurements and from a fit."""

import numpy as np
import pytest

from refold import SequenceAutoencoder
from refold.diagnosis import Finding, diagnose
from refold.diagnosis._diagnose import FitMeasurements, fit_findings
from refold.errors import DivergedError
from refold.evaluation import Fidelity
from refold.model import History
from refold.sequences import Column, Schema, Sequences
from small_data import TINY, draw_ragged_sequences


def nmse(value):
    return Fidelity(value, None, 0.0)


GOOD = FitMeasurements(
    held_out_fidelity=nmse(0.1),
    training_fidelity=nmse(0.08),
    constant_fidelity=nmse(1.0),
    pca_fidelity=nmse(0.2),
    wrong_length_share=0.0,
    history=History({"loss": [0.8, 0.5, 0.3, 0.2, 0.19, 0.19, 0.189, 0.19]}, 1.0),
    num_training_sequences=100,
    latent_dim=4,
)
STEADY = History({"loss": [1.0, 0.995, 0.999, 0.99, 0.99, 0.99, 0.99, 0.99]}, 1.0)
RISES = {"val_loss": [1.0, 1.1, 1.2, 1.3, 1.4], "loss": [1.0] * 5}
RISING = History(RISES, 1.0, keeps_initial_weights=True)
FALLING = History({"loss": [1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3]}, 1.0)
STUCK = {
    "held_out_fidelity": nmse(0.7),
    "training_fidelity": nmse(0.7),
    "pca_fidelity": nmse(0.8),
    "history": STEADY,
}
MEAN = {"held_out_fidelity": nmse(0.99), "training_fidelity": nmse(0.97)}


@pytest.mark.parametrize(
    ("changes", "name", "words"),
    [
        (MEAN, "output-is-mean", "the training is the cause"),
        (MEAN | {"pca_fidelity": nmse(0.98)}, "output-is-mean", "PCA learns as little"),
        (
            {"held_out_fidelity": nmse(0.3), "training_fidelity": nmse(0.28)},
            "no-better-than-pca",
            "nearly linear",
        ),
        (
            {"training_fidelity": nmse(0.01)},
            "overfitting",
            "0.01 on training sequences and 0.1 on held-out",
        ),
        ({"wrong_length_share": 0.5}, "wrong-lengths", "lengths of 50% of the held-out sequences"),
        ({"history": FALLING}, "too-short", "ended after 8 epochs while the loss still fell"),
        ({"history": History({"loss": [1.0]})}, "too-short", "had only 1 epoch,"),
        ({"held_out_fidelity": nmse(0.99)}, "output-is-mean overfitting", "so the model overfits"),
        (STUCK, "stuck-loss", "hardly fell in 8 epochs"),
        (STUCK | {"history": RISING}, "stuck-loss", "a smaller learning_rate"),
    ],
)
def test_measurements_trigger_their_finding(changes, name, words):
    assert list(fit_findings(GOOD)) == []
    findings = [*fit_findings(GOOD._replace(**changes))]
    assert [finding.name for finding in findings] == name.split()
    assert words in findings[0].message


def test_noise_is_not_learned():
    noise = [np.random.default_rng(i).normal(size=(3 + i % 6, 2)) for i in range(60)]
    diagnosis = diagnose(noise, estimator=SequenceAutoencoder(**TINY | {"latent_dim": 1}))
    assert "too-short" in {finding.name for finding in diagnosis.findings}
    assert diagnosis.num_sequences == 60
    assert diagnosis.constant.nmse == pytest.approx(1.0)
    assert "A short fit of 60 sequences has a held-out NMSE of" in diagnosis.text()
    assert diagnosis.to_dict()["pca"]["nmse"] == diagnosis.pca.nmse


def test_an_error_of_the_short_fit_is_a_finding(monkeypatch):
    words = [[f"w{i}"] * 3 for i in range(12)]
    schema = Schema((Column("word", "categorical", tuple(f"w{i}" for i in range(60_000))),))
    diagnosis = diagnose(Sequences.from_list(words, names=["word"]).convert_to_schema(schema))
    assert diagnosis.findings[0].name == "cannot-fit"
    assert "Keep the most frequent categories" in diagnosis.findings[0].message

    def diverge(*_, **__):
        raise DivergedError("The loss became NaN.")

    monkeypatch.setattr(SequenceAutoencoder, "fit", diverge)
    diagnosis = diagnose(draw_ragged_sequences())
    assert diagnosis.findings[0] == Finding("diverged", "The loss became NaN.")


def test_only_the_data_is_checked_without_a_short_fit():
    short = SequenceAutoencoder(latent_dim=8, missing_values=[-99999])
    data = [np.append(x, [[-99999.0, 1.0]], axis=0) for x in draw_ragged_sequences()]
    for diagnosis in (
        diagnose([[1.0, 2.0, 3.0], [2.0, 1.0]]),  # too few sequences for a short fit
        diagnose(data, estimator=short, short_fit=False),
    ):
        assert [finding.name for finding in diagnosis.findings] == ["few-sequences"]
        assert diagnosis.text() is None
        assert diagnosis.to_dict()["held_out"] is None
