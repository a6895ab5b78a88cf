"""Results: each has a short text and a table."""

import numpy as np
import pyarrow as pa
import pytest

import refold
from refold import diagnosis, evaluation
from refold.cluster import RunSummary
from refold.evaluation import ErrorCurve, Fidelity, GenerationQuality, Probe
from refold.model import History
from small_data import draw_ragged_sequences, fit_without_training


@pytest.fixture(scope="module")
def results():
    """Return a result of each class."""
    ae = fit_without_training(draw_ragged_sequences(40), forecast_steps=1)
    ae.calibrate(draw_ragged_sequences(60, seed=1))
    names = [f"s{i}" for i in range(12)]
    new = refold.Sequences.from_list(draw_ragged_sequences(12, seed=2), ids=names)
    stream = ae.stream(window=4, every=3)
    values = np.array([0.1, 0.2, 0.3, 0.4])
    errors = [("few-sequences", "Collect more. " * 99)] * 5
    diagnosed = diagnosis.Diagnosis(tuple(diagnosis.Finding(*error) for error in errors))
    return {
        "detection": ae.detect(new, alpha=0.05),
        "drift": ae.drift(new),
        "forecast": ae.forecast(new, alpha=0.1),
        "forecast errors": ae.forecast_errors(new),
        "stream result": stream.push(np.ones((3, 2))),
        "stream": stream,
        "calibration": ae.model_.calibration,
        "history": History({"epoch": [1, 2], "loss": [2.0, 1.0], "val_loss": [2.0, 1.5]}, 1.8),
        "comparison": GenerationQuality(0.58, 60, values, values),
        "probe": Probe(0.9666, 0.0123, 0.3333, 3, 5),
        "fidelity": Fidelity(0.123456789012345678, 0.9, 0.0),
        "curve": ErrorCurve((2, 4), (0.3, 0.1), (0.4, 0.15), "NMSE", 100, 10),
        "errors by sequence": evaluation.errors_by_sequence(new, new),
        "errors by length": evaluation.errors_by_length(new, new),
        "dimensions": diagnosis.measure_latent_effects(ae, ae.encode(new)),
        "diagnosis": diagnosed,
        "finding": diagnosed.findings[0],
        "run": RunSummary("encode", "codes", 3, 0, [], 1, 0, 12, 2.0, 400_000_000),
        "clusters": refold.search.cluster(ae, new, num_clusters=2),
    }


def test_texts_fit_on_two_lines(results):
    texts = {name: repr(result) for name, result in results.items()}
    for text in texts.values():
        lines = [text[:100], text[100:]] if len(text) > 100 else text.splitlines()
        assert all(len(line) <= 100 for line in lines)
    anomalous = results["detection"].anomalous.sum()
    assert texts["detection"] == f"Detection(12 sequences, {anomalous} anomalous at alpha 0.05)"
    assert texts["forecast"] == "Forecast(12 sequences, 1 step, bounds at alpha 0.1)"
    assert texts["stream"] == "Stream(3 steps, window 4, every 3)"
    assert texts["comparison"].endswith("verdict: good, hard to distinguish from real ones)")
    assert texts["history"] == "History(2 epochs, best 2 with loss 1.5)"
    assert texts["diagnosis"].startswith("Diagnosis(5 findings: few-sequences, ")


COLUMNS = {
    "detection": "id score error distance p_value adjusted_p_value anomalous step column",
    "drift": "test statistic p_value",
    "forecast": "id step x0 x0_lower x0_upper x1 x1_lower x1_upper",
    "forecast errors": "column step model last_value linear",
    "stream result": "num_steps length code error p_value",
    "calibration": "score",
    "history": "epoch loss val_loss",
    "comparison": "two_sample_test count verdict unseen unseen_real",
    "probe": "accuracy deviation chance num_classes num_folds",
    "fidelity": "nmse accuracy exact",
    "curve": "size error pca",
    "errors by sequence": "numeric categorical",
    "errors by length": "first last numeric categorical num_sequences",
    "dimensions": "dimension deviation effect",
    "diagnosis": "name message",
    "clusters": "cluster size share silhouette nearest code",
}


@pytest.mark.parametrize("name", COLUMNS)
def test_tables(results, name):
    table = results[name].to_table()
    assert isinstance(table, pa.Table)
    assert table.column_names == COLUMNS[name].split()
    if "id" in table.column_names:
        assert table["id"].to_pylist() == [f"s{i}" for i in range(12)]


def test_a_table_of_steps(results):
    detection = results["detection"]
    steps = detection.to_step_table("name")
    assert steps.column_names == ["name", "step", "score", "p_value"]
    assert steps["name"].to_pylist()[:4] == ["s0"] * 3 + ["s1"]
    assert steps["score"].to_pylist() == np.concatenate(detection.step_scores).tolist()
