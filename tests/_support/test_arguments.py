"""Rules for arguments: what holds, and how it is said; seeds."""

import numpy as np
import pytest
from sklearn.utils import check_random_state

from refold._support.arrays import draw_seed
from refold._support.rules import check, number, one_of, or_auto, or_none, whole
from refold.errors import ParameterError


@pytest.mark.parametrize(
    ("rule", "expected", "good", "bad"),
    [
        (whole(), "a positive integer", [1, np.int64(7)], [0, True, 1.0, "1", None]),
        (whole(0), "an integer of at least 0", [0], [-1]),
        (whole(1, 9), "an integer from 1 to 9", [1, 9], [0, 10]),
        (number(), "a number", [0, -1.5, 10**400, np.float32(2)], [True, np.nan, np.inf, "2"]),
        (number(above=0), "a positive number", [1e-9], [0, -1]),
        (number(least=0, below=1), "a number of at least 0 and below 1", [0, 0.5], [1, -0.1]),
        (one_of("a", "b", None), "one of 'a', 'b', None", ["a", None], ["c", 1, np.zeros(2)]),
        (or_auto(whole()), "'auto' or a positive integer", ["auto", 1], ["all", 0]),
        (or_none(whole()), "a positive integer or None", [None, 1], [0]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_a_rule_allows_and_says(rule, expected, good, bad):
    for value in good:
        check("x", value, rule)
    for value in bad:
        with pytest.raises(ParameterError) as caught:
            check("x", value, rule)
        assert str(caught.value) == f"x must be {expected}. Got {value!r}."


def test_seeds():
    assert draw_seed(np.int64(7)) == check_random_state(7).randint(2**31)
    drawn = [draw_seed(make(5)) for make in (np.random.default_rng, np.random.RandomState) * 2]
    assert drawn[:2] == drawn[2:]
    assert drawn[0] != drawn[1] != draw_seed(np.random.RandomState(6))
    with pytest.raises(ParameterError, match="Got -1"):
        draw_seed(-1)
