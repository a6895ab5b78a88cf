"""Each check of the data has data that triggers it, and sound data triggers none."""

import numpy as np
import pytest

import refold
from refold.cli._outputs import spell_as_options
from refold.diagnosis import data_findings
from refold.errors import DataError
from refold.sequences import Sequences, windows

RNG = np.random.default_rng(0)
SINES = [np.sin(np.arange(20 + i % 9) / 3 + i) + RNG.normal(0, 0.1, 20 + i % 9) for i in range(80)]


def sines_with_column(make_values, name="made"):
    """Return sines with a second column that is computed from the index and the length."""
    return Sequences.from_list(
        [np.stack([sine, make_values(i, len(sine))], axis=1) for i, sine in enumerate(SINES)],
        names=["x", name],
        column_types={name: "numeric"},
    )


def make_tokens(make_token):
    """Return sequences of tokens that are computed from the index and the step."""
    return Sequences.from_list([[make_token(i, j) for j in range(20)] for i in range(80)])


def series_with_repeated_ends():
    series = RNG.normal(size=(80, 12))
    for i in range(0, 80, 2):
        series[i, 8 - i % 5 :] = series[i, 8 - i % 5]
    return series


COUNTS = sines_with_column(lambda i, t: np.arange(t) + 10.0 * i)
HEAVY_TAILS = sines_with_column(lambda i, t: np.exp(3 * RNG.normal(size=t)))
LEVELS = sines_with_column(lambda i, t: 100.0 * (i % 7) + RNG.normal(size=t))
OUTLIERS = sines_with_column(lambda i, t: np.append(RNG.normal(size=t - 1), -99999.0))
UNSORTED = sines_with_column(lambda i, t: np.roll(np.arange(t), 5), "Time")


@pytest.mark.parametrize(
    ("data", "name", "words"),
    [
        (sines_with_column(lambda i, t: np.full(t, 3.0)), "constant-column", "'made'"),
        (sines_with_column(lambda i, t: np.full(t, float(i))), "id-like", "as ids do"),
        (make_tokens(lambda i, j: f"{i}-{j}"), "id-like", "most occur once"),
        (sines_with_column(lambda i, t: np.full(t, float(i % 4))), "per-sequence", "as labels are"),
        (COUNTS, "time-like", "ascends in every sequence"),
        (UNSORTED, "unsorted-time", "time='Time' and sort=True"),
        (HEAVY_TAILS, "heavy-tails", "np.log1p(x)"),
        (LEVELS, "different-levels", "scale='sequence'"),
        (OUTLIERS, "suspicious-values", "-99999"),
        (make_tokens(lambda i, j: f"w{(i * 20 + j) % 500}"), "many-categories", "500 categories"),
        (SINES[:20], "few-sequences", "20 sequences are few for 16 latent dimensions"),
        ([np.sin(np.arange(500))], "few-sequences", "into windows, window=100"),
        ([*SINES, *SINES[:5]], "duplicates", "5 of 85 sequences are exact copies"),
        (windows(SINES, 10, 5).sequences, "overlapping-windows", "share steps"),
        (series_with_repeated_ends(), "repeated-end", "give the true lengths"),
    ],
)
def test_data_triggers_its_finding(data, name, words):
    messages = [finding.message for finding in data_findings(data) if finding.name == name]
    assert len(messages) == 1
    assert words in messages[0]
    assert "\n" not in messages[0]


def test_sound_data_has_no_finding():
    assert data_findings(SINES) == ()
    assert data_findings(refold.datasets.japanese_vowels().train) == ()
    assert data_findings(LEVELS, scale="sequence") == ()
    cut_windows = windows([np.sin(np.arange(700) / 9) + RNG.normal(0, 0.1, 700)], 10, 10).sequences
    assert data_findings(cut_windows) == ()


def test_advice_for_the_command_line():
    [finding] = data_findings(SINES[:10], latent_dim=4)
    assert "--latent-dim 1" in spell_as_options(finding.message)


def test_empty_data_is_an_error():
    with pytest.raises(DataError, match=r"all sequences are empty\. Give some with steps"):
        data_findings([[], []])
