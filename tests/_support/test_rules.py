"""Rules for arguments: what holds, and how it is said."""

import numpy as np
import pytest

from refold._support.rules import (
    check,
    check_only_one,
    number,
    one_of,
    or_auto,
    or_none,
    whole,
)
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
        (number(above=0, below=1, what="rate"), "a rate above 0 and below 1", [0.5], [0, 1]),
        (one_of("a", "b"), "'a' or 'b'", ["a"], ["c", None, 1, np.zeros(2)]),
        (one_of("a", "b", None), "one of 'a', 'b', None", ["a", None], ["c"]),
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


def test_one_of_several_arguments():
    check_only_one("a or b", None, 0)
    for values in ((None, None), (1, 2)):
        with pytest.raises(ParameterError, match=r"^Give a or b, and only one of them\.$"):
            check_only_one("a or b", *values)
