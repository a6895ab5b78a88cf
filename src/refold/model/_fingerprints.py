"""Recognition of the sequences that `fit` received, by their hashes."""

from typing import Literal

import numpy as np

from refold._support.output import warn
from refold.errors import DataError, argument
from refold.sequences import Sequences, fingerprints

# Cap on stored fingerprints. The smallest are kept, so the choice does not depend on the order.
MAX_FINGERPRINTS = 1 << 15
# Standard deviations above the expected number of chance matches that are still accepted.
_DEVIATIONS = 3.0
Purpose = Literal["calibration", "detection", "forecast"]
# What the sequences are called, and what their small errors mean.
_PURPOSES = {
    "calibration": ("normal sequences", "expect more false alarms than alpha"),
    "detection": ("sequences", "their anomalies may be missed"),
    "forecast": ("sequences", "expect larger errors of new ones"),
}


def check_untrained(normal: Sequences, trained: np.ndarray | None) -> None:
    """Refuse aligned normal sequences that are all training sequences; warn if some are."""
    count, total = _count_trained(normal, trained)
    if 0 < count == total:
        raise DataError(
            "The normal sequences are those that the model was trained on. Their errors are "
            "smaller than those of new ones, so normal new ones would look anomalous. Give others, "
            f"or fit with {argument(calibration_fraction=0.2)}."
        )
    warn_of_trained(normal, trained, "calibration")


def warn_of_trained(sequences: Sequences, trained: np.ndarray | None, purpose: Purpose) -> None:
    """Warn of aligned sequences that a model was trained on."""
    if text := describe_trained(sequences, trained, purpose):
        warn(text)


def describe_trained(
    sequences: Sequences, trained: np.ndarray | None, purpose: Purpose
) -> str | None:
    """Describe in one line how many aligned sequences a model was trained on; None if none."""
    count, total = _count_trained(sequences, trained)
    if trained is None or not count:
        return None
    noun, consequence = _PURPOSES[purpose]
    all_compared = len(trained) < MAX_FINGERPRINTS
    share = f"{count} of {total}" if all_compared else f"{100 * count / total:.0f} % of the"
    verb = "is" if all_compared and count == 1 else "are"
    return (
        f"{share} {noun} {verb} among those that the model was trained on. Their errors are "
        f"smaller than those of new ones, so {consequence}. Leave them out."
    )


def first_of_each(hashes: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Mark (n,) the wanted hashes, each at most as often as it is wanted."""
    if not len(wanted):
        return np.zeros(len(hashes), bool)
    values, counts = np.unique(wanted, return_counts=True)
    order = np.argsort(hashes, kind="stable")
    ordered = hashes[order]
    occurrence = np.arange(len(hashes)) - np.searchsorted(ordered, ordered)
    place = np.minimum(np.searchsorted(values, ordered), len(values) - 1)
    marked = np.empty(len(hashes), bool)
    marked[order] = (values[place] == ordered) & (occurrence < counts[place])
    return marked


def _count_trained(sequences: Sequences, trained: np.ndarray | None) -> tuple[int, int]:
    """Return how many of how many sequences a model was trained on; none if by chance.

    If sequences repeat in the data, some equal a training sequence by chance. Matches up to the
    number expected from repeats among the training sequences are no matches.
    """
    if trained is None or not len(trained):
        return 0, 0
    hashes = fingerprints(sequences)[sequences.lengths > 0]  # all empty ones are equal
    if len(trained) == MAX_FINGERPRINTS:  # larger ones were not kept
        hashes = hashes[hashes <= trained[-1]]
    places = np.minimum(np.searchsorted(trained, hashes), len(trained) - 1)
    count, total = int((trained[places] == hashes).sum()), len(hashes)
    if not count:
        return 0, total
    _, copies = np.unique(trained, return_counts=True)
    twins = copies[copies > 1].sum() / len(trained)  # the chance that a new one equals another
    expected = twins * total + _DEVIATIONS * np.sqrt(twins * (1 - twins) * total)
    return count if count > expected else 0, total
