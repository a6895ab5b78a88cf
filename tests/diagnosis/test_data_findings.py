"""Each check of the data has data that triggers it, and sound data triggers none."""

import numpy as np
import pytest

import refold
from refold.cli._process import as_options
from refold.diagnosis import data_findings
from refold.diagnosis._data_findings import ORDER, Finding, by_importance
from refold.errors import DataError
from refold.sequences import Sequences, windows, write
from small_data import mapped

RNG = np.random.default_rng(0)
SINES = [np.sin(np.arange(20 + i % 9) / 3 + i) + RNG.normal(0, 0.1, 20 + i % 9) for i in range(80)]


def with_column(make):
    """Return sines with a second column that is computed from the index and the length."""
    return Sequences.from_list(
        [np.stack([one, make(i, len(one))], axis=1) for i, one in enumerate(SINES)],
        names=["x", "made"],
        column_types={"made": "numeric"},
    )


def tokens(make, n=80, steps=20):
    return Sequences.from_list([[make(i, j) for j in range(steps)] for i in range(n)])


def repeated_end():
    series = RNG.normal(size=(80, 12))
    for i in range(0, 80, 2):
        series[i, 8 - i % 5 :] = series[i, 8 - i % 5]
    return series


TRIGGERS = {
    "constant-column": with_column(lambda i, t: np.full(t, 3.0)),
    "id-like": with_column(lambda i, t: np.full(t, float(i))),
    "per-sequence": with_column(lambda i, t: np.full(t, float(i % 4))),
    "time-like": with_column(lambda i, t: np.arange(t) + 10.0 * i),
    "integer-codes": with_column(lambda i, t: RNG.integers(0, 5, t).astype(float)),
    "missing-values": with_column(lambda i, t: np.where(np.arange(t) % 9, np.nan, RNG.normal())),
    "heavy-tails": with_column(lambda i, t: np.exp(3 * RNG.normal(size=t))),
    "different-levels": with_column(lambda i, t: 100.0 * (i % 7) + RNG.normal(size=t)),
    "suspicious-values": with_column(lambda i, t: np.append(RNG.normal(size=t - 1), -99999.0)),
    "many-categories": tokens(lambda i, j: f"w{(i * 20 + j) % 500}"),
    "few-sequences": SINES[:20],
    "empty-sequences": [*SINES, *[np.zeros(0)] * 20],
    "duplicates": [*SINES, *SINES[:5]],
    "overlapping-windows": windows(SINES, 10, 5).sequences,
    "long-sequences": [np.sin(np.arange(1500) / (5 + i)) for i in range(70)],
    "spread-lengths": [*[one[:3] for one in SINES], np.sin(np.arange(900) / 9)],
    "repeated-end": repeated_end(),
}


@pytest.mark.parametrize("name", TRIGGERS)
def test_data_triggers_its_finding(name):
    found = {one.name: one.message for one in data_findings(TRIGGERS[name])}
    assert name in found
    assert "\n" not in found[name]


def test_sound_data_has_no_finding():
    assert data_findings(SINES) == ()
    assert data_findings(refold.datasets.japanese_vowels().train) == ()


def test_unsorted_times():
    data = Sequences.from_list(
        [np.stack([one, np.roll(np.arange(len(one)), 5)], axis=1) for one in SINES],
        names=["x", "Time"],
    )
    [one] = [one for one in data_findings(data) if one.name == "unsorted-time"]
    assert "time='Time' and sort=True" in one.message
    assert "--time Time --sort" in as_options(one.message)


def test_different_causes_have_different_advice():
    assert "'made' is missing in more than 80%" in advice("missing-values")
    gaps = with_column(lambda i, t: np.where(np.arange(t) % 3, np.nan, RNG.normal()))
    assert "denoise='steps:0.2'" in advice("missing-values", gaps)
    assert "most occur once" in advice("id-like", tokens(lambda i, j: f"{i}-{j}"))


def advice(name, data=None):
    found = data_findings(TRIGGERS[name] if data is None else data)
    return next(one.message for one in found if one.name == name)


def test_scales_depend_on_the_scaling():
    large = with_column(lambda i, t: 1e4 * RNG.normal(size=t))
    assert data_findings(large) == ()
    [one] = data_findings(large, scale=None)
    assert one.name == "different-scales"
    assert data_findings(TRIGGERS["different-levels"], scale="sequence") == ()


def test_outliers_do_not_also_count_as_heavy_tails():
    found = data_findings(TRIGGERS["suspicious-values"])
    assert [one.name for one in found] == ["suspicious-values"]


def test_long_series_give_a_finding():
    assert "refold.sequences.windows(x, 100)" in advice("few-sequences", [np.sin(np.arange(500))])
    cut = windows([np.sin(np.arange(700) / 9) + RNG.normal(0, 0.1, 700)], 10, 10).sequences
    assert data_findings(cut) == ()


def test_data_in_files(tmp_path):
    write(TRIGGERS["duplicates"], tmp_path / "sines.parquet")
    found = data_findings(mapped(tmp_path / "sines.parquet", block_bytes=1000))
    assert [one.name for one in found] == ["duplicates"]


def test_empty_data_is_an_error():
    with pytest.raises(DataError, match=r"all sequences are empty\. Give some with steps"):
        data_findings([[], []])


def test_findings_are_sorted_by_importance():
    names = [one.name for one in by_importance(Finding(name, "") for name in sorted(ORDER))]
    assert names == list(ORDER)
