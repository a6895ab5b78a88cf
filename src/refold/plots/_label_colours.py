"""Colors of points by label: a few groups, or a continuous scale."""

from collections import Counter
from typing import NamedTuple

import numpy as np

_MAX_GROUPS = 10


class ColourGroups(NamedTuple):
    """Meaning of the colors of points."""

    values: np.ndarray  # (n_points,), numbers or indices of groups
    names: list[str] | None  # of the groups, in order; None if the values are numbers
    num_others: int = 0  # rare labels that share the last group


def colour_groups(labels: np.ndarray) -> ColourGroups:
    """Turn labels (n_points,) into values of a continuous scale, or into at most ten groups."""
    distinct = np.unique(labels)
    if len(distinct) <= _MAX_GROUPS:
        names = [str(label) for label in distinct.tolist()]
        return ColourGroups(np.searchsorted(distinct, labels), names)
    values = _as_numbers(labels)
    if values is not None:
        return ColourGroups(values, None)
    counted = Counter(labels.tolist())
    common = sorted(counted, key=lambda label: (-counted[label], str(label)))[: _MAX_GROUPS - 1]
    common.sort()
    index = {label: i for i, label in enumerate(common)}
    groups = np.array([index.get(label, len(common)) for label in labels.tolist()])
    num_others = len(counted) - len(common)
    names = [*(str(label) for label in common), f"{num_others} others"]
    return ColourGroups(groups, names, num_others)


def _as_numbers(labels: np.ndarray) -> np.ndarray | None:
    try:
        values = labels.astype(float)
    except (TypeError, ValueError):
        return None
    return None if np.isinf(values).any() or np.isnan(values).all() else values
