"""Functions refuse arguments of a wrong kind with an error of Refold."""

import contextlib
import warnings

import numpy as np
import pytest

import refold
from refold import diagnosis, evaluation, plots, report, search
from refold.errors import RefoldError
from refold.export import to_onnx
from refold.sequences import Scaler, Sequences
from small_data import untrained

WAVES = [np.sin(0.3 * np.arange(8 + i) + i) for i in range(12)]
BACK = [0.9 * wave for wave in WAVES]
SCALER = Scaler.fit(Sequences.from_list(WAVES))
WORDS = ["abba", "cab", "bac"] * 4
CODES = np.random.default_rng(0).normal(size=(12, 4))


@pytest.fixture(scope="module")
def ae():
    return untrained(WAVES, latent_dim=4)


PAIRS = ["exact", "entry_errors", "compare", "copies"]
PAIRS += [f"errors_by_{group}" for group in ("feature", "sequence", "length", "position")]
CALLS = {name: (getattr(evaluation, name), WAVES, BACK) for name in PAIRS} | {
    "nmse": (evaluation.nmse, WAVES, BACK, SCALER),
    "explained_variance": (evaluation.explained_variance, WAVES, BACK, SCALER),
    "accuracy": (evaluation.accuracy, WORDS, WORDS[::-1]),
    "forecast_errors": (evaluation.forecast_errors, WAVES, BACK, BACK, SCALER),
    "latent_dimensions": (diagnosis.latent_dimensions, "model", CODES),
    "sweep": (diagnosis.sweep, "model", CODES, 0),
    "probe": (lambda codes: evaluation.probe(codes, np.arange(12) % 2), CODES),
    "conformal_p_values": (evaluation.conformal_p_values, CODES[0], CODES[1]),
    "PCABaseline": (evaluation.PCABaseline(2).fit, WAVES),
    "code_map": (plots.code_map, CODES),
    "reconstructions": (plots.reconstructions, WAVES, BACK),
    "anomalies": (plots.anomalies, WAVES[:1], np.ones(8)),
    "plots.forecast": (plots.forecast, WAVES, None),
    "plots.latent_dimensions": (plots.latent_dimensions, None),
    "error_by_feature": (plots.error_by_feature, {"Refold": [1.0]}, ["x"]),
    "report": (report.report, "model", WAVES, "page.html"),
    "search.cluster": (search.cluster, "model", WAVES),
    "nearest": (search.nearest, CODES, CODES, 1),
    "to_onnx": (to_onnx, "model", "model.onnx"),
}


@pytest.mark.usefixtures("few_trees")
@pytest.mark.parametrize("name", CALLS)
def test_an_argument_of_a_wrong_kind_is_refused_or_read(name, ae, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    function, *arguments = CALLS[name]
    arguments = [ae if isinstance(one, str) and one == "model" else one for one in arguments]
    wrong = [ae, refold.SequenceAutoencoder(), refold.SequenceAutoencoder, None, 3, 0.5, CODES[0]]
    wrong += [np.zeros((2, 3, 4)), WAVES, [], SCALER]
    for place, right in enumerate(arguments):
        if isinstance(right, str):
            continue  # a path
        for other in wrong:
            changed = [*arguments[:place], other, *arguments[place + 1 :]]
            with warnings.catch_warnings(), contextlib.suppress(RefoldError):
                warnings.simplefilter("ignore")
                function(*changed)


def test_what_an_unfitted_or_misplaced_estimator_gets(ae):
    with pytest.raises(RefoldError, match=r"^codes must be an array .* Got a SequenceAutoencoder"):
        plots.code_map(ae)
    with pytest.raises(RefoldError, match=r"is not fitted yet\. Call fit first"):
        report.report(refold.SequenceAutoencoder(), WAVES, "page.html")
    with pytest.raises(RefoldError, match=r"a fitted SequenceAutoencoder\. Got a list"):
        diagnosis.latent_dimensions(WAVES, CODES)
