"""Warnings for sequences longer than any in training, and the lengths to decode them to."""

from typing import Literal

import numpy as np

from refold._support.output import warn
from refold.errors import Message, argument, spelled

# Use of the sequences, or origin of the lengths. Neither the decoder nor the length model has seen
# steps after the longest training length.
Meaning = Literal["codes", "reconstructions", "detection", "lengths", "predictions"]
# Part of every message, for warning filters.
HEAD = "longer than the longest in training"
# Relative excess of a predicted length, or one step if that is larger, without a warning.
_SLACK = 0.1

_NOUNS = {"lengths": "length", "predictions": "predicted length"}
_MEANINGS: dict[str, str] = {
    "codes": (
        "The model never saw the steps after step {trained}, so these codes may keep little of "
        "them, and may not hold the length. Fit on sequences as long as these, cut them with "
        "refold.sequences.windows, or give {lengths}."
    ),
    "reconstructions": (
        "They are decoded at their own length, since their codes may not hold it. The model never "
        "saw the steps after step {trained}, so these may be far off. Fit on sequences as long as "
        "these, or cut them with refold.sequences.windows."
    ),
    "detection": (
        "The model never saw the steps after step {trained}, so these sequences may be anomalous "
        "for their length alone. Fit and calibrate on sequences as long as these, or cut {all}."
    ),
    "lengths": (
        "The model never wrote steps after step {trained}, so these may be far off. Ask for at "
        "most {trained} steps, or fit on longer sequences."
    ),
    "predictions": (
        "The model never saw such a length, so the prediction may be far off, and so may the steps "
        "after step {trained}. Give the true lengths with {true_lengths}, or fit on longer "
        "sequences."
    ),
}
_CUT = (
    "They are cut to {most} steps, the most that this architecture writes. Use "
    "{default}, or cut them with refold.sequences.windows."
)


def describe_longer(
    lengths: np.ndarray, trained: int, meaning: Meaning, *, most: int | None = None
) -> str | None:
    """Describe in one line how many lengths exceed the longest in training; None if none does."""
    slack = max(1.0, _SLACK * trained) if meaning == "predictions" else 0.0
    count = int((lengths > trained + slack).sum())
    if count == 0:
        return None
    noun = _NOUNS.get(meaning, "sequence")
    longest = int(lengths.max())
    cut = most is not None and longest > most and meaning == "reconstructions"
    text = (_CUT if cut else _MEANINGS[meaning]).format(
        trained=trained,
        most=most,
        default=argument(architecture="default"),
        true_lengths=argument("lengths="),
        lengths=spelled("lengths to inverse_transform", "--lengths to refold decode"),
        all=spelled("all of them with refold.sequences.windows", "with --window"),
    )
    return Message(
        f"{count} of {len(lengths)} {noun}{'' if len(lengths) == 1 else 's'} "
        f"{'is' if count == 1 else 'are'} {HEAD}: {'' if count == 1 else 'up to '}{longest} steps "
        f"against {trained}. {text}"
    )


def warn_of_longer(
    lengths: np.ndarray,
    trained: int,
    meaning: Meaning,
    *,
    most: int | None = None,
) -> None:
    """Warn of lengths above the longest training length, with the text of `describe_longer`."""
    if text := describe_longer(lengths, trained, meaning, most=most):
        warn(text)


def lengths_to_write(
    lengths: np.ndarray, predicted: np.ndarray, trained: int, most: int | None = None
) -> np.ndarray:
    """Return the lengths to decode to: predicted, or true above the longest training length."""
    own = lengths if most is None else np.minimum(lengths, most)
    return np.where(lengths > trained, own, predicted)
