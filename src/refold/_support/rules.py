"""Checks of arguments. A `Rule` says what an argument can be, in words and as a test.

For example, ``check("units", -1, integer_rule())`` raises "units must be a positive integer. Got
-1." The functions from `integer_rule` to `or_none` make rules. The checks at the end are those that
many modules need, so that their errors have the same wording everywhere.
"""

import math
from collections.abc import Callable
from numbers import Integral, Real
from typing import Any, NamedTuple

from refold.errors import DataError, ParameterError, argument


class Rule(NamedTuple):
    """The values that an argument can have."""

    expected: str  # completes the sentence "The argument must be ..."
    allows: Callable[[Any], bool]  # whether a value is allowed


def check(name: str, value: object, rule: Rule) -> None:
    """Raise a ParameterError if an argument breaks its rule."""
    if not rule.allows(value):
        raise ParameterError(f"{argument(name)} must be {rule.expected}. Got {value!r}.")


def check_exactly_one(choices_in_words: str, *values: Any) -> None:
    """Raise a ParameterError unless exactly one value is not None; the words name the choices."""
    if sum(value is not None for value in values) != 1:
        raise ParameterError(f"Give {choices_in_words}, and only one of them.")


def integer_rule(minimum: int = 1, maximum: int | None = None) -> Rule:
    """Return a rule that allows integers within limits, but neither True nor False."""
    expected = "a positive integer" if minimum == 1 else f"an integer of at least {minimum}"
    if maximum is not None:
        expected = f"an integer from {minimum} to {maximum}"

    def is_allowed(value: Any) -> bool:
        is_integer = isinstance(value, Integral) and not isinstance(value, bool)
        return is_integer and minimum <= int(value) and (maximum is None or int(value) <= maximum)

    return Rule(expected, is_allowed)


def number_rule(
    *,
    above: float | None = None,
    minimum: float | None = None,
    below: float | None = None,
    noun: str = "number",
) -> Rule:
    """Return a rule that allows finite numbers within limits, but neither True nor False."""
    limits = [] if minimum is None else [f"of at least {minimum:g}"]
    limits += [] if above is None else [f"above {above:g}"]
    limits += [] if below is None else [f"below {below:g}"]
    expected = f"a {noun} {' and '.join(limits)}".rstrip()
    if above == 0 and below is None:
        expected = f"a positive {noun}"

    def is_allowed(value: object) -> bool:
        if not isinstance(value, Real) or isinstance(value, bool):
            return False
        x: Any = value  # not converted to a float, because an integer may be too large for a float
        return (
            -math.inf < x < math.inf
            and (minimum is None or x >= minimum)
            and (above is None or x > above)
            and (below is None or x < below)
        )

    return Rule(expected, is_allowed)


def one_of(*choices: str | None) -> Rule:
    """Return a rule that allows these texts, and None if it is one of the choices."""
    names = [repr(choice) for choice in choices]
    expected = " or ".join(names) if len(names) == 2 else f"one of {', '.join(names)}"
    # only texts are compared with the choices: the comparison with an array would be an array
    return Rule(
        expected, lambda value: (value is None or isinstance(value, str)) and value in choices
    )


def or_auto(rule: Rule) -> Rule:
    """Return a rule that allows "auto", and what another rule allows."""
    return Rule(
        f"'auto' or {rule.expected}",
        lambda value: value == "auto" if isinstance(value, str) else rule.allows(value),
    )


def or_none(rule: Rule) -> Rule:
    """Return a rule that allows None, and what another rule allows."""
    return Rule(f"{rule.expected} or None", lambda value: value is None or rule.allows(value))


# A boolean argument. It can be neither 0 nor 1.
BOOLEAN_RULE = Rule("True or False", lambda value: isinstance(value, bool))


def _is_random_state(value: object) -> bool:
    """Return whether a value is a seed of NumPy or a random generator."""
    if isinstance(value, Integral):
        return 0 <= int(value) < 2**32
    # RandomState has `randint`, and Generator has `bit_generator`. `isinstance` would need an
    # import of numpy.random, which takes time.
    return value is None or hasattr(value, "randint") or hasattr(value, "bit_generator")


# The argument `random_state`, as in scikit-learn.
RANDOM_STATE_RULE = Rule(
    "an integer from 0 to 2**32 - 1, a numpy RandomState or Generator, or None", _is_random_state
)


# Checks that many modules need


def check_integer(name: str, value: Any, minimum: int = 1) -> int:
    """Return an argument as an int, or raise a ParameterError if it is not an allowed integer."""
    check(name, value, integer_rule(minimum))
    return int(value)


def check_fraction(name: str, value: Any, number_noun: str) -> float:
    """Return an argument as a float, or raise a ParameterError unless it is between 0 and 1."""
    check(name, value, number_rule(above=0, below=1, noun=number_noun))
    return float(value)


def check_has_attribute(name: str, value: object, expected: str, attribute: str) -> None:
    """Raise a ParameterError if an argument lacks an attribute that all allowed types have."""
    # `isinstance` would need an import of the types, some of which load large libraries
    if not hasattr(value, attribute):
        raise ParameterError(f"{argument(name)} must be {expected}. Got a {type(value).__name__}.")


def check_not_empty(count: int, noun: str, sentence_end: str) -> None:
    """Raise a DataError if a count is 0, such as "There is no sequence to fit on"."""
    if not count:
        raise DataError(f"There is no {noun} {sentence_end}. Give at least one.")


def check_counts_match(count: int, noun: str, num_items: int, item_noun: str) -> None:
    """Raise a DataError if two counts differ, such as "Got 3 labels for 4 codes"."""
    if count != num_items:
        raise DataError(f"Got {count} {noun} for {num_items} {item_noun}. Give one for each.")
