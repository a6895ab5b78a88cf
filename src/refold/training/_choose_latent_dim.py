"""Choice of the smallest code that explains the share given as ``latent_dim``."""

import time
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from refold._support.output import log, warn
from refold.arguments import Arguments
from refold.errors import ParameterError
from refold.sequences import Schema, Sequences
from refold.training._checkpoint import SavedTraining
from refold.training._size_trials import Trials
from refold.training._specify import rocket_dim_within

# Every size up to 16, then steps of an eighth: finer steps differ by less than chance does.
SIZES = (*range(1, 17), *range(18, 33, 2), *range(36, 65, 4), *range(72, 129, 8))


def choose_size(sequences: Sequences, saved: SavedTraining, fit: Callable[..., Any]) -> Arguments:
    """Return the arguments of a fit with the smallest code that explains the requested share."""
    # The choice counts against the time budget, and a checkpoint keeps it.
    arguments, known = saved.arguments, saved.identity
    if not known.get("found"):
        began = time.perf_counter()
        size = smallest_size(sequences, arguments, fit, seed=saved.seed)
        known["found"] = {"latent_dim": size, "seconds": time.perf_counter() - began}
    size, budget = known["found"]["latent_dim"], arguments.time_budget
    if budget is not None:
        budget = max(0.1 * budget, budget - known["found"]["seconds"])
    rocket_dim = rocket_dim_within(arguments.rocket_dim, size)
    return replace(arguments, latent_dim=size, time_budget=budget, rocket_dim=rocket_dim)


def smallest_size(
    sequences: Sequences,
    arguments: Arguments,
    fit: Callable[..., Any],
    *,
    seed: int,
) -> int:
    """Find the smallest code in `SIZES` that explains a share of the held-out variance."""
    # The explained variance is 1 - NMSE. Binary and categorical columns must reach the same share
    # with their accuracy, the share of held-out steps whose tokens are reconstructed. If no size
    # explains enough, the largest sensible one is taken.
    share, verbose = float(arguments.latent_dim), arguments.verbose
    if not arguments.validation_fraction:
        raise ParameterError(
            f"latent_dim={share:g} is a share of the held-out variance, and validation_fraction=0 "
            "holds nothing out. Give a validation_fraction above 0, or an integer as latent_dim."
        )
    trials = Trials(sequences, arguments, fit, seed=seed, most=SIZES[-1])
    sizes = SIZES[: bisect_left(SIZES, trials.most_numbers) + 1]
    wanted = _wanted(trials.held_out.sequences.schema)
    if verbose and trials.num_sequences < len(sequences):
        log(f"Choosing the size on {trials.num_sequences} of {len(sequences)} sequences.")
    baseline = [trials.of_pca(size).lost for size in sizes]
    budget = _Shares(arguments.time_budget)

    def error(place: int) -> float:
        measured = trials.of_fit(sizes[place], budget.next()).lost
        if verbose:
            log(f"{_a_code(sizes[place])} explains {1 - measured:.3f} {wanted}.")
        return measured

    place, reached = smallest(error, 1 - share, baseline)
    if reached > 1 - share:
        warn(
            f"No code explains {share:g} {wanted}. {_a_code(sizes[place])}, the largest that was "
            f"tried, explains {1 - reached:.3f} and is used."
        )
    return sizes[place]


def smallest(
    error: Callable[[int], float],  # of a place; called at most once for each
    most: float,  # largest error that is small enough
    baseline: Sequence[float],  # expected error of each place, up to a factor
) -> tuple[int, float]:
    """Find the first place with a small enough error, if errors fall, and that error."""
    # A bisection. The next place is where the baseline, times the ratio of the last error to it,
    # becomes small enough. From the third place on, every other place is the middle, because the
    # baseline can be wrong.
    low, high, num_tried = -1, len(baseline), 0
    ratio, errors = 1.0, {}
    while high - low > 1:
        likely = (i for i, other in enumerate(baseline) if ratio * other <= most)
        place = min(max(next(likely, high), low + 1), high - 1)
        if num_tried >= 2 and num_tried % 2 == 0:
            place = (low + high) // 2
        errors[place] = error(place)
        num_tried += 1
        ratio = errors[place] / max(baseline[place], 1e-12)
        if errors[place] <= most:
            high = place
        else:
            low = place
    place = min(high, len(baseline) - 1)
    return place, errors[place]


def _wanted(schema: Schema) -> str:
    """Name the quantity that a code explains."""
    if schema.numeric.all():
        return "of the held-out variance"
    return (
        "of the held-out variance and tokens" if schema.numeric.any() else "of the held-out tokens"
    )


def _a_code(size: int) -> str:
    return f"A code of {size} dimension{'s' if size > 1 else ''}"


class _Shares:
    """Time for each trial: a tenth of the budget, and at most half of what is left."""

    def __init__(self, budget: float | None) -> None:
        self._budget, self._began = budget, time.perf_counter()

    def next(self) -> float | None:
        """Return the seconds for the next trial."""
        if self._budget is None:
            return None
        left = self._budget - (time.perf_counter() - self._began)
        return max(0.01 * self._budget, min(self._budget / 10, left / 2))
