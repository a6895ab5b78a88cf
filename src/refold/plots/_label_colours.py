"""How labels become colours: a few groups, or a ramp of numbers."""

from collections import Counter
from typing import NamedTuple

import numpy as np

__all__ = ["ColourGroups", "colour_groups"]

_MOST_GROUPS = 10


class ColourGroups(NamedTuple):
    """What the colours of points stand for.

    Attributes
    ----------
    values : array of shape (n_points,)
        Numbers, or the indices of groups.
    names : list of str or None
        Of the groups, in order; None where the values are numbers.
    num_others : int
        Labels in the last group, where it is that of rare ones; 0 where each has its own.
    """

    values: np.ndarray
    names: list[str] | None
    num_others: int = 0


def colour_groups(labels: np.ndarray) -> ColourGroups:
    """Turn labels into numbers for a colour ramp, or into a few groups.

    More than ten different numbers are a ramp; of more than ten others, the nine most frequent
    are groups and the rest is one more.

    Parameters
    ----------
    labels : array of shape (n_points,)

    Returns
    -------
    ColourGroups

    Examples
    --------
    >>> colour_groups(np.array(["b", "a", "b"])).names
    ['a', 'b']
    >>> colour_groups(np.arange(20)).names is None
    True
    """
    distinct = np.unique(labels)
    if len(distinct) <= _MOST_GROUPS:
        names = [str(one) for one in distinct.tolist()]
        return ColourGroups(np.searchsorted(distinct, labels), names)
    values = _as_numbers(labels)
    if values is not None:
        return ColourGroups(values, None)
    counted = Counter(labels.tolist())
    common = sorted(counted, key=lambda one: (-counted[one], str(one)))[: _MOST_GROUPS - 1]
    common.sort()
    place = {one: i for i, one in enumerate(common)}
    groups = np.array([place.get(one, len(common)) for one in labels.tolist()])
    num_others = len(counted) - len(common)
    names = [*(str(one) for one in common), f"{num_others} others"]
    return ColourGroups(groups, names, num_others)


def _as_numbers(labels: np.ndarray) -> np.ndarray | None:
    try:
        values = labels.astype(float)
    except (TypeError, ValueError):
        return None
    return None if np.isinf(values).any() or np.isnan(values).all() else values
