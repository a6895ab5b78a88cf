"""Functions refuse arguments of a wrong type with an error of Refold."""

import contextlib
import warnings

import numpy as np
import pytest

import refold
from refold import diagnosis, evaluation, plots, report, search
from refold.errors import RefoldError
from refold.export import to_onnx
from refold.sequences import Scaler, Sequences
from small_data import fit_without_training

WAVES = [np.sin(0.3 * np.arange(8 + i) + i) for i in range(12)]
RECONSTRUCTED = [0.9 * wave for wave in WAVES]
SCALER = Scaler.fit(Sequences.from_list(WAVES))
WORDS = ["abba", "cab", "bac"] * 4
CODES = np.random.default_rng(0).normal(size=(12, 4))


@pytest.fixture(scope="module")
def ae():
    return fit_without_training(WAVES, latent_dim=4)


# Functions of sequences and their reconstructions.
PAIR_FUNCTIONS = ["exact", "entry_errors", "compare_generated", "copied_share"]
PAIR_FUNCTIONS += [f"errors_by_{group}" for group in ("feature", "sequence", "length", "position")]
MODEL = object()  # stands for the fixture
# functions by name, each with valid arguments
CALLS = {name: (getattr(evaluation, name), WAVES, RECONSTRUCTED) for name in PAIR_FUNCTIONS} | {
    "nmse": (evaluation.nmse, WAVES, RECONSTRUCTED, SCALER),
    "explained_variance": (evaluation.explained_variance, WAVES, RECONSTRUCTED, SCALER),
    "accuracy": (evaluation.accuracy, WORDS, WORDS[::-1]),
    "forecast_errors": (evaluation.forecast_errors, WAVES, RECONSTRUCTED, RECONSTRUCTED, SCALER),
    "measure_latent_effects": (diagnosis.measure_latent_effects, MODEL, CODES),
    "decode_sweep": (diagnosis.decode_sweep, MODEL, CODES, 0),
    "probe": (lambda codes: evaluation.probe(codes, np.arange(12) % 2), CODES),
    "conformal_p_values": (evaluation.conformal_p_values, CODES[0], CODES[1]),
    "PCABaseline": (evaluation.PCABaseline(2).fit, WAVES),
    "code_map": (plots.code_map, CODES),
    "reconstructions": (plots.reconstructions, WAVES, RECONSTRUCTED),
    "anomalous_steps": (plots.anomalous_steps, WAVES[:1], np.ones(8)),
    "plots.forecast": (plots.forecast, WAVES, None),
    "plots.latent_dimensions": (plots.latent_dimensions, None),
    "error_by_feature": (plots.error_by_feature, {"Refold": [1.0]}, ["x"]),
    "report": (report.report, MODEL, WAVES, "page.html"),
    "search.cluster": (search.cluster, MODEL, WAVES),
    "nearest": (search.nearest, CODES, CODES, 1),
    "to_onnx": (to_onnx, MODEL, "model.onnx"),
}


@pytest.mark.usefixtures("small_forest")
@pytest.mark.parametrize("name", CALLS)
def test_an_argument_of_a_wrong_type_is_refused_or_read(name, ae, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    function, *arguments = CALLS[name]
    arguments = [ae if value is MODEL else value for value in arguments]
    wrong_values = [ae, refold.SequenceAutoencoder(), refold.SequenceAutoencoder, None, 3, 0.5]
    wrong_values += [CODES[0], np.zeros((2, 3, 4)), WAVES, [], SCALER]
    for i, argument in enumerate(arguments):
        if isinstance(argument, str):
            continue  # a path
        for wrong_value in wrong_values:
            # an error of another type fails the test
            changed = [*arguments[:i], wrong_value, *arguments[i + 1 :]]
            with warnings.catch_warnings(), contextlib.suppress(RefoldError):
                warnings.simplefilter("ignore")
                function(*changed)


def test_what_an_unfitted_or_misplaced_estimator_gets(ae):
    with pytest.raises(RefoldError, match=r"^codes must be an array .* Got a SequenceAutoencoder"):
        plots.code_map(ae)
    with pytest.raises(RefoldError, match=r"is not fitted yet\. Call fit first"):
        report.report(refold.SequenceAutoencoder(), WAVES, "page.html")
    with pytest.raises(RefoldError, match=r"a fitted SequenceAutoencoder\. Got a list"):
        diagnosis.measure_latent_effects(WAVES, CODES)
