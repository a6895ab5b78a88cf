"""Results of a stream are those of `transform` and `detect` on the steps so far."""

import pickle
import warnings

import numpy as np
import pyarrow as pa
import pytest

from refold import Sequences
from refold.errors import DataError, ParameterError, SchemaError
from small_data import draw_ragged_sequences, fit_without_training, sines


@pytest.fixture(scope="module")
def ae():
    training = draw_ragged_sequences()
    training[0][1, 0] = np.nan
    return fit_without_training(training).calibrate(draw_ragged_sequences(seed=1))


@pytest.fixture(scope="module")
def mixed():
    tables = []
    for i in range(24):
        columns = {"level": [None, *i - np.arange(2.0 + i % 4)]}
        columns["page"] = ["buy", "view", *["exit"] * (1 + i % 4)]
        tables.append(pa.table(columns | {"on": [True, False, *[True] * (1 + i % 4)]}))
    return fit_without_training(tables, scale="sequence")


def check_result(ae, result, sequence):
    """Check that a result has the same bits as those of the estimator."""
    [code] = ae.transform([sequence])
    assert result.code.tobytes() == code.tobytes()
    assert result.length == len(sequence)
    if not ae.model_.num_calibrated:
        assert result.p_value is None
        return
    detected = ae.detect([sequence], alpha=0.1)
    assert result.p_value == detected.p_values[0]
    assert np.isclose(result.error, np.nanmean(detected.errors[0]), rtol=1e-12)


@pytest.mark.parametrize("latent_steps", [0, 2])
def test_each_step(ae, latent_steps):
    sequence = draw_ragged_sequences(seed=2)[5]
    sequence[3, 1] = np.nan
    ae.set_params(latent_steps=latent_steps)
    stream = ae.stream()
    for i, step in enumerate(sequence):
        result = stream.push(step.tolist() if i % 2 else step)
        assert result.num_steps == stream.num_steps == i + 1
        check_result(ae, result, sequence[: i + 1])
    stream.reset()
    assert stream.push([]) is None
    assert (stream.num_steps, len(stream.sequence.values)) == (0, 0)
    check_result(ae, pickle.loads(pickle.dumps(stream)).push(sequence), sequence)  # noqa: S301
    ae.set_params(latent_steps=0)


def test_a_window_and_every(ae):
    steps = np.concatenate(draw_ragged_sequences(seed=3)[:4])
    stream = ae.stream(window=6, every=4)
    pushed = {i: stream.push(step) for i, step in enumerate(steps, start=1)}
    results = {i: result for i, result in pushed.items() if result is not None}
    assert list(results) == list(range(4, len(steps) + 1, 4))
    for i, result in results.items():
        check_result(ae, result, steps[max(0, i - 6) : i])
    assert np.array_equal(stream.sequence[0], steps[-6:])


def test_column_names_categories_and_missing_values(mixed):
    stream = mixed.stream()
    rows = [[2.0, "view", 1], [None, None, 0], [4, "buy", None]]
    stream.push({"on": True, "page": "view", "level": 2})
    stream.push([{"on": False}, {"page": "buy", "level": "4"}])
    with pytest.warns(UserWarning, match="treated as unknown: 1 entry of column 'page'"):
        result = stream.push([5.0, "nowhere", False])
    steps = [*rows, [5.0, "nowhere", 0]]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        check_result(mixed, result, Sequences.from_list([steps], names=["level", "page", "on"])[0])
    table = pa.table({"page": ["buy"], "level": [1.0], "on": [False]})
    from_table, from_list = (mixed.stream().push(steps) for steps in (table, [1, "buy", 0]))
    assert from_table.code.tobytes() == from_list.code.tobytes()


def test_times_become_gaps():
    times = [0.0, 1.0, 3.0, 4.0]
    table = {"id": np.repeat(np.arange(12), 4), "time": times * 12, "x": np.sin(np.arange(48.0))}
    data = Sequences.from_table(pa.table(table), "id", "time", time_gaps=True)
    ae = fit_without_training(data)
    stream = ae.stream()
    for time, x in zip(times, data.values[:4, 0], strict=True):
        result = stream.push({"time": time, "x": x})
    check_result(ae, result, data[0])
    with pytest.raises(DataError, match=r"Times must ascend.* Got \[4.0, 2.0\] up to step 4"):
        stream.push({"time": 2.0, "x": 1.0})


def test_one_column(word_model):
    series = fit_without_training([np.sin(np.arange(5.0) + i) for i in range(24)])
    numbers = [[1.0, 2.0], np.array([1.0, 2.0]), [[1.0], [2.0]]]
    for ae, forms in ((word_model, ["on", ["o", "n"]]), (series, numbers)):
        codes = [ae.stream().push(steps).code.tolist() for steps in forms]
        assert all(code == codes[0] for code in codes)
        assert ae.stream().push(forms[0][0]).num_steps == 1


@pytest.mark.parametrize(
    ("steps", "error", "message"),
    [
        (7, DataError, r"Step 2 has 1 value, but the model has 3 columns: level, page, on\."),
        ([{"page": "buy"}, {"pgae": "buy"}], SchemaError, "Step 3 has the name 'pgae', which"),
        ([1, "buy", "abc"], DataError, "Step 2 has the text 'abc' in column 'on'. Expected a num"),
        ([[1, "buy", 0], [np.inf, "buy", 0]], DataError, "Got an infinite value at step 3, col"),
        ([[1, "buy", 0], [1, 2.5, 0]], DataError, "^Got 2.5 at step 3, column 'page'"),
    ],
)
def test_a_wrong_step_is_named_and_not_added(mixed, steps, error, message):
    stream = mixed.stream()
    stream.push([[1.0, "view", 1], [2.0, "view", 1]])
    with pytest.raises(error, match=message):
        stream.push(steps)
    assert (stream.num_steps, len(stream.sequence.values)) == (2, 2)


def test_a_sequence_longer_than_in_training_is_reported_once(ae):
    stream = ae.stream()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for step in np.zeros((ae.max_steps_ + 3, 2)):
            stream.push(step)
    assert ["longer than the longest" in str(warning.message) for warning in caught] == [True]
    assert caught[0].filename == __file__


def test_wrong_arguments(ae):
    for name in ("window", "every"):
        with pytest.raises(ParameterError, match=f"{name} must be a positive integer"):
            ae.stream(**{name: 0})


@pytest.mark.filterwarnings("ignore:.*the model was fitted on data without gaps")
def test_a_step_without_values_hardly_moves_the_p_value():
    ae = fit_without_training(sines(80), latent_dim=8).calibrate(sines(60, seed=2))
    moves = []
    for i, wave in enumerate(sines(10, seed=1).to_list()):
        p_value, with_gap = ae.stream().push(wave[:, None]).p_value, wave.copy()
        with_gap[0 if i % 2 else len(wave) // 2] = np.nan
        moves.append(abs(ae.stream().push(with_gap[:, None]).p_value - p_value))
        assert ae.stream().push([*wave, None]).p_value == p_value
    assert np.mean(moves) < 0.15
