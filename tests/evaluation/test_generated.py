"""Generated sequences: told from real ones or not, copies or not."""

import numpy as np
import pytest

from refold.datasets import noisy_sines
from refold.errors import DataError, SchemaError
from refold.evaluation import copies, told_apart
from refold.sequences import Sequences


def test_more_of_the_same_is_not_told_apart_and_another_kind_is():
    real, more = noisy_sines(150, seed=0), noisy_sines(150, seed=1)
    assert told_apart(real, more) < 0.65
    flat = more.with_values(np.zeros_like(more.values))
    assert told_apart(real, flat) > 0.95
    short = Sequences.from_list([one[:3] for one in more.to_list()])
    assert told_apart(real, short) > 0.95


def test_of_the_more_numerous_only_as_many_count():
    real, more = noisy_sines(300, seed=0), noisy_sines(40, seed=1)
    assert told_apart(real, more) < 0.75
    offset = 1e6
    far = [part.with_values(part.values.astype(float) + offset) for part in (real, more)]
    assert abs(told_apart(*far) - told_apart(real, more)) < 0.1


def test_words():
    rng = np.random.default_rng(0)
    words = Sequences.from_list(["".join(rng.choice(list("abc"), 4)) for _ in range(120)])
    others = Sequences.from_list(["aaaa"] * 60, schema=words.schema)
    assert told_apart(words[:60], words[60:]) < 0.7
    assert told_apart(words[:60], others) > 0.9


def test_too_few():
    with pytest.raises(DataError, match="At least 5 real and 5 generated"):
        told_apart(noisy_sines(4, seed=0), noisy_sines(9, seed=1))


def test_copies():
    words = Sequences.from_list(["on", "in", "", "no"])
    new = Sequences.from_list(["no", "nn", "", "on"], schema=words.schema)
    assert copies(new, words) == 0.75
    assert copies(new[:0], words) == 0.0
    series = Sequences.from_list([[0.0, 1.0], [2.0]])
    assert copies(Sequences.from_list([[-0.0, 1.0], [2.0, 2.0]]), series) == 0.5
    with pytest.raises(SchemaError):
        copies(new, series)
