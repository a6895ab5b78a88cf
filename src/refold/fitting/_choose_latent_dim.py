"""The size of the code where ``latent_dim`` is a share of the variance: the smallest enough."""

import time
import warnings
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from refold._support.console import say
from refold.errors import ParameterError
from refold.fitting._size_trials import Trials
from refold.sequences import Scan, Schema, Sequences

__all__ = ["SIZES", "choose_size", "smallest"]

# Every size up to 16, then steps of an eighth: neighbours differ by less than chance does.
SIZES = (*range(1, 17), *range(18, 33, 2), *range(36, 65, 4), *range(72, 129, 8))


def choose_size(sequences: Sequences | Scan, parameters: Mapping[str, Any], *, seed: int) -> int:
    """Find the smallest code that explains a share of the held-out variance.

    The variance explained is 1 - NMSE on what is held out. Binary and categorical columns have to
    reach the same share by their accuracy, the share of held-out steps whose symbols come back.

    Parameters
    ----------
    sequences : Sequences or Scan
    parameters : mapping
        The estimator's arguments, checked, with a share as ``latent_dim``.
    seed : int

    Returns
    -------
    int
        One of `SIZES`, the largest that makes sense if none explains as much.

    Raises
    ------
    ParameterError
        If nothing is held out.
    KeyboardInterrupt
        On Ctrl-C; nothing is kept.

    Warns
    -----
    UserWarning
        If no size explains as much.
    """
    share, verbose = float(parameters["latent_dim"]), parameters["verbose"]
    if not parameters["validation_fraction"]:
        raise ParameterError(
            f"latent_dim={share:g} is a share of the held-out variance, and validation_fraction=0 "
            "holds nothing out. Give a validation_fraction above 0, or a whole number as "
            "latent_dim."
        )
    trials = Trials(sequences, parameters, seed=seed, most=SIZES[-1])
    sizes = SIZES[: bisect_left(SIZES, trials.most_numbers) + 1]
    wanted = _wanted(trials.held_out.sequences.schema)
    if verbose and trials.num_sequences < len(sequences):
        say(f"Looking for the size on {trials.num_sequences} of {len(sequences)} sequences.")
    yardstick = [trials.of_pca(size).lost for size in sizes]
    budget = _Shares(parameters["time_budget"])

    def error(place: int) -> float:
        measured = trials.of_fit(sizes[place], budget.next()).lost
        if verbose:
            say(f"{_a_code(sizes[place])} explains {1 - measured:.3f} {wanted} held out.")
        return measured

    place, reached = smallest(error, 1 - share, yardstick)
    if reached > 1 - share:
        warnings.warn(
            f"No code explains {share:g} {wanted} held out. {_a_code(sizes[place])}, the largest "
            f"that was tried, explains {1 - reached:.3f}; it is kept.",
            UserWarning,
            stacklevel=4,
        )
    return sizes[place]


def smallest(
    error: Callable[[int], float], most: float, yardstick: Sequence[float]
) -> tuple[int, float]:
    """Find the first place whose error is small enough, where errors fall from place to place.

    Bisection, whose next place is where the yardstick says, as far as the last error was from it;
    from the third place on, every other one is the middle, as the yardstick can be wrong.

    Parameters
    ----------
    error : callable
        Called with places, with none twice.
    most : float
        An error that is small enough.
    yardstick : sequence of float
        About the errors to expect, up to a factor, one a place.

    Returns
    -------
    place : int
        The last one if all errors are too large.
    error : float

    Examples
    --------
    >>> errors = [0.9, 0.5, 0.3, 0.2, 0.15, 0.12, 0.1, 0.09, 0.085]
    >>> tried = []
    >>> smallest(lambda place: tried.append(place) or errors[place], 0.16, [e / 2 for e in errors])
    (4, 0.15)
    >>> tried
    [2, 4, 3]
    """
    low, high, num_tried = -1, len(yardstick), 0
    ratio, errors = 1.0, {}
    while high - low > 1:
        likely = (i for i, other in enumerate(yardstick) if ratio * other <= most)
        place = min(max(next(likely, high), low + 1), high - 1)
        if num_tried >= 2 and num_tried % 2 == 0:
            place = (low + high) // 2
        errors[place] = error(place)
        num_tried += 1
        ratio = errors[place] / max(yardstick[place], 1e-12)
        if errors[place] <= most:
            high = place
        else:
            low = place
    place = min(high, len(yardstick) - 1)
    return place, errors[place]


def _wanted(schema: Schema) -> str:
    """Name what a code is to explain a share of."""
    if schema.numeric.all():
        return "of the variance"
    return "of the variance and of the symbols" if schema.numeric.any() else "of the symbols"


def _a_code(size: int) -> str:
    return f"A code of {size} number{'s' if size > 1 else ''}"


class _Shares:
    """A tenth of a time budget for each trial, and after a few of them never more than is left."""

    def __init__(self, budget: float | None) -> None:
        self._budget, self._began = budget, time.perf_counter()

    def next(self) -> float | None:
        """Return the seconds of the next trial; half of what is left remains for what follows."""
        if self._budget is None:
            return None
        left = self._budget - (time.perf_counter() - self._began)
        return max(0.01 * self._budget, min(self._budget / 10, left / 2))
