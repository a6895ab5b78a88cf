"""What an argument can be, in words and as a test; each check has one wording."""

import math
from collections.abc import Callable
from numbers import Integral, Real
from typing import Any, NamedTuple

from refold.errors import DataError, ParameterError, argument


class Rule(NamedTuple):
    """What an argument can be."""

    expected: str  # completes the sentence "The argument must be ..."
    holds: Callable[[Any], bool]


def check(name: str, value: object, rule: Rule) -> None:
    """Raise a ParameterError if an argument breaks its rule."""
    if not rule.holds(value):
        raise ParameterError(f"{argument(name)} must be {rule.expected}. Got {value!r}.")


def check_only_one(choices: str, *values: Any) -> None:
    """Check that one of several arguments is there; `choices` names them in a message."""
    if sum(value is not None for value in values) != 1:
        raise ParameterError(f"Give {choices}, and only one of them.")


def whole(least: int = 1, most: int | None = None) -> Rule:
    """Allow integers within limits; True and False are none."""
    expected = "a positive integer" if least == 1 else f"an integer of at least {least}"
    if most is not None:
        expected = f"an integer from {least} to {most}"

    def holds(value: Any) -> bool:
        integer = isinstance(value, Integral) and not isinstance(value, bool)
        return integer and least <= int(value) and (most is None or int(value) <= most)

    return Rule(expected, holds)


def number(
    *,
    above: float | None = None,
    least: float | None = None,
    below: float | None = None,
    what: str = "number",
) -> Rule:
    """Allow finite numbers within limits; True and False are none."""
    limits = [] if least is None else [f"of at least {least:g}"]
    limits += [] if above is None else [f"above {above:g}"]
    limits += [] if below is None else [f"below {below:g}"]
    expected = f"a {what} {' and '.join(limits)}".rstrip()
    if above == 0 and below is None:
        expected = f"a positive {what}"

    def holds(value: object) -> bool:
        if not isinstance(value, Real) or isinstance(value, bool):
            return False
        amount: Any = value  # may be an integer that no float can hold
        return (
            -math.inf < amount < math.inf
            and (least is None or amount >= least)
            and (above is None or amount > above)
            and (below is None or amount < below)
        )

    return Rule(expected, holds)


def one_of(*choices: str | None) -> Rule:
    """Allow some names, and None if it is among them."""
    names = [repr(choice) for choice in choices]
    expected = " or ".join(names) if len(names) == 2 else f"one of {', '.join(names)}"
    return Rule(
        expected, lambda value: (value is None or isinstance(value, str)) and value in choices
    )


def or_auto(rule: Rule) -> Rule:
    """Allow "auto", too."""
    return Rule(
        f"'auto' or {rule.expected}",
        lambda value: value == "auto" if isinstance(value, str) else rule.holds(value),
    )


def or_none(rule: Rule) -> Rule:
    """Allow None, too."""
    return Rule(f"{rule.expected} or None", lambda value: value is None or rule.holds(value))


FLAG = Rule("True or False", lambda value: isinstance(value, bool))


def _is_random_state(value: object) -> bool:
    if isinstance(value, Integral):
        return 0 <= int(value) < 2**32
    # NumPy's RandomState has `randint`, and its Generator `bit_generator`
    return value is None or hasattr(value, "randint") or hasattr(value, "bit_generator")


RANDOM_STATE = Rule(
    "an integer from 0 to 2**32 - 1, a numpy RandomState or Generator, or None", _is_random_state
)


# Checks of common arguments


def check_whole(name: str, value: Any, least: int = 1) -> int:
    """Return an argument as an int if it is an integer of at least `least`."""
    check(name, value, whole(least))
    return int(value)


def check_rate(name: str, value: Any, what: str) -> float:
    """Return an argument as a float if it is between 0 and 1, both excluded."""
    check(name, value, number(above=0, below=1, what=what))
    return float(value)


def check_kind(name: str, value: object, what: str, attribute: str) -> None:
    """Check that an argument has an attribute of the objects that it can be."""
    if not hasattr(value, attribute):
        raise ParameterError(f"{argument(name)} must be {what}. Got a {type(value).__name__}.")


def check_some(count: int, noun: str, purpose: str) -> None:
    """Check that there is one at least; a message is "There is no sequence to fit on"."""
    if not count:
        raise DataError(f"There is no {noun} {purpose}. Give at least one.")


def check_one_each(count: int, noun: str, expected: int, of: str) -> None:
    """Check that numbers agree; a message is "Got 3 labels for 4 codes"."""
    if count != expected:
        raise DataError(f"Got {count} {noun} for {expected} {of}. Give one for each.")
