"""Sequences longer than any in training: how many steps they are written in, and what is said.

A model has learned nothing about the steps after the longest training length, and its length model
has seen no such length.
"""

import warnings
from typing import Literal

import numpy as np

__all__ = ["HEAD", "Meaning", "describe_longer", "lengths_to_write", "warn_of_longer"]

Meaning = Literal["codes", "reconstructions", "detection", "lengths", "predictions"]
# What every description has, for a filter of warnings.
HEAD = "longer than the longest in training"
# A predicted length may be too large by this share, or one step, before anything is said.
_SLACK = 0.1

_NOUNS = {"lengths": "length", "predictions": "predicted length"}
_MEANINGS: dict[str, str] = {
    "codes": (
        "The model never saw the steps after step {trained}, so these codes may keep little of "
        "them, and may not hold the length. Fit on sequences as long as these, cut them with "
        "refold.sequences.windows, or give lengths to inverse_transform."
    ),
    "reconstructions": (
        "They are decoded at their own length, since their codes may not hold it. The model never "
        "saw the steps after step {trained}, so these may be far off. Fit on sequences as long as "
        "these, or cut them with refold.sequences.windows."
    ),
    "detection": (
        "The model never saw the steps after step {trained}, so these sequences may be odd for "
        "their length alone. Fit and calibrate on sequences as long as these, or cut all of them "
        "with refold.sequences.windows."
    ),
    "lengths": (
        "The model never wrote steps after step {trained}, so these may be far off. Ask for at "
        "most {trained} steps, or fit on longer sequences."
    ),
    "predictions": (
        "The model never saw such a length, so the prediction may be far off, and so may the steps "
        "after step {trained}. Give the true lengths with lengths=, or fit on longer sequences."
    ),
}
_CUT = (
    "They come back cut to {most} steps, the most that this architecture writes. Use "
    "architecture='default', or cut them with refold.sequences.windows."
)


def describe_longer(
    lengths: np.ndarray, trained: int, meaning: Meaning, *, most: int | None = None
) -> str | None:
    """Say how many lengths are beyond training, and what that means.

    Parameters
    ----------
    lengths : array of int of shape (n_sequences,)
    trained : int
        Longest training length.
    meaning : {"codes", "reconstructions", "detection", "lengths", "predictions"}
        What is made of the sequences, or where the lengths come from.
    most : int, optional
        The most steps that the network writes, where there is such a number.

    Returns
    -------
    str or None
        One line; None where nothing is to be said.

    Examples
    --------
    >>> print(describe_longer(np.array([3, 9]), 5, "lengths"))
    1 of 2 lengths is longer than the longest in training: 9 steps against 5. The model never \
wrote steps after step 5, so these may be far off. Ask for at most 5 steps, or fit on longer \
sequences.
    >>> describe_longer(np.array([3, 5]), 5, "lengths") is None
    True
    """
    slack = max(1.0, _SLACK * trained) if meaning == "predictions" else 0.0
    count = int((lengths > trained + slack).sum())
    if count == 0:
        return None
    noun = _NOUNS.get(meaning, "sequence")
    longest = int(lengths.max())
    cut = most is not None and longest > most and meaning == "reconstructions"
    text = _CUT if cut else _MEANINGS[meaning]
    return (
        f"{count} of {len(lengths)} {noun}{'' if len(lengths) == 1 else 's'} "
        f"{'is' if count == 1 else 'are'} {HEAD}: {'' if count == 1 else 'up to '}{longest} steps "
        f"against {trained}. {text.format(trained=trained, most=most)}"
    )


def warn_of_longer(
    lengths: np.ndarray,
    trained: int,
    meaning: Meaning,
    *,
    most: int | None = None,
    stacklevel: int = 3,
) -> None:
    """Warn of lengths beyond training, in the words of `describe_longer`.

    Examples
    --------
    >>> warn_of_longer(np.array([3, 5]), 5, "codes")
    """
    if text := describe_longer(lengths, trained, meaning, most=most):
        warnings.warn(text, UserWarning, stacklevel=stacklevel)


def lengths_to_write(
    lengths: np.ndarray, predicted: np.ndarray, trained: int, most: int | None = None
) -> np.ndarray:
    """Return how many steps to decode to: the predicted length, or beyond training the true one.

    Parameters
    ----------
    lengths, predicted : arrays of int of shape (n_sequences,)
        True lengths, and those that the codes hold.
    trained : int
        Longest training length.
    most : int, optional
        The most steps that the network writes, where there is such a number.

    Returns
    -------
    array of int of shape (n_sequences,)

    Examples
    --------
    >>> lengths_to_write(np.array([3, 9]), np.array([4, 6]), trained=5)
    array([4, 9])
    """
    own = lengths if most is None else np.minimum(lengths, most)
    return np.where(lengths > trained, own, predicted)
