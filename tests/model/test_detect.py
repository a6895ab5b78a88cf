"""Detection of anomalies: the rate of false alarms, anomalous sequences and steps."""

from copy import deepcopy

import numpy as np
import pytest
from scipy.stats import betabinom, false_discovery_control

import refold
from model.small import TINY, sines
from refold import SequenceAutoencoder
from refold.errors import DataError, ParameterError, SchemaError
from refold.model import ReferenceStatistics
from refold.model._anomalies import Measurement, calibration_of, p_values
from refold.sequences import as_sequences, windows
from refold.training._split import set_aside
from small_data import mapped, untrained

ONCE = TINY | {"refit": False}


@pytest.fixture(scope="module")
def ae(bare):
    return deepcopy(bare).calibrate(sines(199, seed=1))


@pytest.fixture(scope="module")
def words():
    rng = np.random.default_rng(0)
    share = [0.4, 0.3, 0.15, 0.1, 0.05]
    return rng.choice(["in", "on", "no", "inn", "noon"], 120, p=share).tolist()


@pytest.fixture(scope="module")
def spelling(words):
    return SequenceAutoencoder(**ONCE).fit(words[:60]).calibrate(words[60:])


@pytest.mark.parametrize("alpha", [0.01, 0.05, 0.2])
def test_the_rate_of_false_alarms_is_alpha(ae, alpha):
    fresh = ae.detect(sines(500, seed=2), alpha=alpha)
    allowed = round(alpha * 200)
    # The number of false alarms is random, and so is the calibration.
    bounds = betabinom(500, allowed, 200 - allowed).ppf([0.001, 0.999])
    assert bounds[0] <= fresh.anomalous.sum() <= bounds[1]


def ordered_for_set_aside(left, aside):
    """Return both in an order in which ``set_aside`` separates them again, and its share."""
    n = len(left) + len(aside)
    share = len(aside) / n
    kept, put_aside = set_aside(as_sequences([np.zeros(1)] * n), share)
    assert sorted([*kept.ids, *put_aside.ids]) == list(range(n))
    series = [None] * n
    for places, given in ((kept.ids, left), (put_aside.ids, aside)):
        for place, one in zip(places, given, strict=True):
            series[place] = one
    return series, share


def test_calibration_fraction_sets_sequences_aside(ae):
    series, share = ordered_for_set_aside(sines(60), sines(199, seed=1))
    with_share = SequenceAutoencoder(**TINY, calibration_fraction=share).fit(series)
    new = sines(20, seed=3)
    assert np.array_equal(with_share.detect(new).p_values, ae.detect(new).p_values)


@pytest.mark.parametrize(
    "anomaly",
    [
        np.full(20, 9.0),
        np.random.default_rng(0).normal(size=20) * 3,
        np.sin(np.arange(20) * 3.0),
        np.zeros(20),
    ],
    ids=["far away", "noise", "too fast", "nothing at all"],
)
def test_anomalous_sequences_are_detected(ae, anomaly):
    found = ae.detect([*sines(5, seed=5).to_list(), anomaly], alpha=0.01)
    assert found.anomalous[-1]
    assert found.scores[-1] == found.scores.max()


def test_the_anomalous_step_has_the_largest_score(ae):
    series = sines(1, seed=7).to_list()[0].copy()
    series[6] += 6.0
    found = ae.detect([series])
    assert found.step_scores[0].argmax() == 6
    assert found.step_p_values[0][6] < 0.01
    reasons = found.explain(0)
    assert reasons[0][:2] == (6, "x0")
    assert 1 >= reasons[0].share > 0.3
    assert [r.share for r in reasons] == sorted((r.share for r in reasons), reverse=True)


def with_gaps(scale):
    """Return a calibrated model of two columns with gaps and an empty sequence, and new data."""
    rng = np.random.default_rng(0)
    time = np.arange(15) / 15
    series = [
        np.stack([np.sin(6 * time + p), np.cos(6 * time + p)], axis=1)
        + 0.05 * rng.normal(size=(15, 2))
        for p in rng.uniform(0, 6, 150)
    ]
    for i in (0, 120):
        series[i + 3][0, 0], series[i + 5] = np.nan, np.zeros((0, 2))
    data = as_sequences(series, names=["left", "right"])
    return untrained(data[:60], latent_dim=4, scale=scale).calibrate(data[60:120]), data[120:]


@pytest.mark.parametrize("scale", ["features", "sequence", None])
def test_gaps_empty_sequences_and_other_scales(scale):
    ae, new = with_gaps(scale)
    anomaly = new[0].copy()
    anomaly[4, 1] += 3
    given = [*new.to_list(), np.full((3, 2), 1e37), anomaly]
    found = ae.detect(as_sequences(given, names=["left", "right"]), alpha=0.05)
    assert np.isfinite(found.scores).all()
    assert found.explain(5) == []
    assert found.anomalous[-2]
    if scale == "features":  # columns can be named
        assert found.explain(31)[0][:2] == (4, "right")


def test_discoveries_among_many_sequences(ae):
    found = ae.detect([*sines(30, seed=4).to_list(), *[[9.0] * 15] * 5], alpha=0.05)
    assert np.array_equal(found.adjusted_p_values, false_discovery_control(found.p_values))
    assert found.discoveries[-5:].all()
    assert set(np.flatnonzero(found.discoveries)) <= set(np.flatnonzero(found.anomalous))
    nothing = ae.detect(sines(1)[:0])
    assert len(nothing.scores) == len(nothing.discoveries) == len(nothing.step_scores) == 0


def test_scores_and_p_values_by_hand():
    reference = ReferenceStatistics(*np.zeros((4, 1)), np.array([2.0, 4.0]))
    entries, no_codes = np.array([[1.0], [np.nan], [3.0]]), np.zeros((2, 0))
    normal = Measurement(entries, np.array([4.0, 2.0]), np.array([8.0, 0.0]), no_codes)
    kept = calibration_of(normal, reference, None)
    assert kept.steps.tolist() == [1, 3]
    assert kept.scores.tolist() == [1, 4]
    # except for rounding, the last score equals one of the calibration
    found = p_values(np.array([2.0, 4.5, 1.0 + 1e-6]), kept.scores)
    np.testing.assert_allclose(found, [2 / 3, 1 / 3, 1.0])


@pytest.mark.parametrize("value", [2.0**40, 1e20, 1e38, -2e38])
def test_huge_values_are_anomalous_and_do_not_change_other_sequences(ae, value):
    normal = sines(1, seed=7).to_list()[0].astype(float)
    spike = normal.copy()
    spike[3] = value
    alone, found = ae.detect([normal]), ae.detect([spike, normal], alpha=0.05)
    assert np.isfinite(found.scores).all()
    assert found.p_values[0] == 1 / 200
    assert found.discoveries[0]
    assert found.explain(0)[0].step == 3
    np.testing.assert_allclose(found.score_components[1], alone.score_components[0], rtol=1e-4)


def test_repeated_words_raise_no_false_alarms(spelling, words):
    for word in set(words[60:]):
        share = words[60:].count(word) / 60
        # Alone or with others, its score is the same as in the calibration.
        alone = spelling.detect([word], alpha=0.05)
        among = spelling.detect([*words[:30], word], alpha=0.05)
        assert alone.p_values[0] >= share * 60 / 61
        assert among.p_values[-1] >= share * 60 / 61


def test_a_sequence_that_a_classic_model_cannot_read_is_refused_before_training():
    series = [np.zeros((5, 1))] * 30
    _, aside = set_aside(as_sequences(series), 0.2)
    series[aside.ids[0]] = np.zeros((9, 1))
    options = {"architecture": "dense", "latent_dim": 5, "max_epochs": 1}
    with pytest.raises(DataError, match="has 9 steps, and architecture='dense' reads at most 5"):
        SequenceAutoencoder(**options, calibration_fraction=0.2).fit(series)


def test_the_table(ae):
    table = ae.detect(sines(3, seed=8).with_ids(["a", "b", "c"])).to_table()
    assert table.column_names == [
        "id", "score", "error", "distance", "p_value", "adjusted_p_value", "anomalous", "step",
        "column",
    ]  # fmt: skip
    assert table["id"].to_pylist() == ["a", "b", "c"]
    by_error = [
        e >= d
        for e, d in zip(table["error"].to_pylist(), table["distance"].to_pylist(), strict=True)
    ]
    assert [name == "x0" for name in table["column"].to_pylist()] == by_error


def test_unknown_categories(spelling):
    with pytest.warns(UserWarning, match="Not among the fitted categories"):
        found = spelling.detect(["in", "ccc", "no"], alpha=0.1)
    assert np.isfinite(found.scores).all()
    assert found.scores.argmax() == 1


def test_a_long_series_in_windows():
    rng = np.random.default_rng(0)
    series = np.sin(np.arange(1500) / 4) + 0.1 * rng.normal(size=1500)
    new = np.sin(np.arange(400) / 4 + 1) + 0.1 * rng.normal(size=400)
    new[250:262] = new[250]
    ae = untrained(windows([series[:1000]], 40, 5).sequences, latent_dim=4)
    ae.calibrate(windows([series[1000:]], 40, 3).sequences)
    cut = windows([new], 40, 5)
    found = ae.detect(cut.sequences, alpha=0.02)
    (merged,) = cut.merge(found.step_scores)
    assert 245 <= merged.argmax() <= 266
    assert 210 < cut.starts[found.scores.argmax()] < 262
    assert found.anomalous.mean() < 0.25


# Bad input


def test_detection_needs_enough_calibration_sequences(bare, ae):
    expected = r"at least 99 calibration .* Got 0\. Fit with calibration_fraction=0\.2, give"
    with pytest.raises(ParameterError, match=expected):
        bare.detect(sines(2))
    with pytest.raises(ParameterError, match=r"alpha=0\.001 needs at least 999 .* Got 199\."):
        ae.detect(sines(2), alpha=0.001)


@pytest.mark.parametrize("alpha", [0, 1, -0.1, "low", True, np.nan])
def test_bad_alpha(ae, alpha):
    with pytest.raises(ParameterError, match=r"^alpha must be a rate of false alarms above 0"):
        ae.detect(sines(2), alpha=alpha)


def test_calibration_fraction_must_leave_training_sequences_in_memory(tmp_path):
    expected = r"calibration_fraction=0\.9 of 2 sequences leaves noth"
    with pytest.raises(ParameterError, match=expected):
        SequenceAutoencoder(**TINY, calibration_fraction=0.9).fit(sines(2))
    refold.sequences.write(sines(30), tmp_path / "sines.parquet")
    source = mapped(tmp_path / "sines.parquet")
    with pytest.raises(ParameterError, match="sequences in memory, and these are larger"):
        SequenceAutoencoder(**TINY, calibration_fraction=0.5).fit(source)


def test_other_columns_and_no_sequences_are_refused(ae):
    with pytest.raises(SchemaError):
        ae.detect([np.zeros((5, 2))])
    with pytest.raises(DataError, match="no sequence to calibrate with"):
        ae.calibrate(sines(1)[:0])


def test_a_fraction_in_a_binary_column_is_correct_if_it_rounds_to_the_decoded_value():
    flags = as_sequences([[0.9, 0.1, 0.8], [0.7, 0.2, 0.6]] * 30, column_types="binary")
    settings = ONCE | {"max_epochs": 40, "latent_dim": 2, "validation_fraction": 0}
    ae = SequenceAutoencoder(**settings).fit(flags).calibrate(flags)
    assert [one.tolist() for one in ae.detect(flags, alpha=0.5).step_scores] == [[0.0] * 3] * 60
