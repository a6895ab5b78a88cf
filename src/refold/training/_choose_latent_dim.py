"""Choice of the smallest code that explains the share given as ``latent_dim``."""

import time
import warnings
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from refold._support.output import log, warn
from refold.arguments import Arguments
from refold.errors import ParameterError, argument
from refold.evaluation import Fidelity
from refold.sequences import Sequences
from refold.training._held_out_error import HeldOut
from refold.training._specify import check_columns
from refold.training._split import Source, Split
from refold.training.loop._checkpoint import SavedTraining

# Every size up to 16, then steps of an eighth: finer steps differ by less than chance does.
SIZES = (*range(1, 17), *range(18, 33, 2), *range(36, 65, 4), *range(72, 129, 8))
# Cap on values for trials if the data is larger than memory.
_MAX_VALUES = 4_000_000


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


def rocket_dim_within(rocket_dim: int | str, size: int) -> int:
    """Return the number of ROCKET features in a code whose size is chosen by its error."""
    # One dimension is left for reconstruction. "auto" gives none, so that errors fall with the
    # size.
    return 0 if isinstance(rocket_dim, str) else min(rocket_dim, size - 1)


def smallest_size(
    sequences: Sequences, arguments: Arguments, fit: Callable[..., Any], *, seed: int
) -> int:
    """Find the smallest code in `SIZES` that explains a share of the held-out variance."""
    # The explained variance is 1 - NMSE. Binary and categorical columns must reach the same share
    # with their accuracy, the share of held-out steps whose tokens are reconstructed. If no size
    # explains enough, the largest sensible one is taken.
    share, verbose, budget = float(arguments.latent_dim), arguments.verbose, arguments.time_budget
    trials = Trials(sequences, arguments, fit, seed=seed, most=SIZES[-1])
    sizes = SIZES[: bisect_left(SIZES, trials.held_out.most_components) + 1]
    numeric = sequences.schema.numeric
    measures = {"variance": numeric.any(), "tokens": not numeric.all()}
    wanted = " and ".join(name for name, applies in measures.items() if applies)
    if verbose and trials.num_sequences < len(sequences):
        log(f"Choosing the size on {trials.num_sequences} of {len(sequences)} sequences.")
    baseline = [trials.of_pca(size).lost for size in sizes]
    began = time.perf_counter()

    def error(place: int) -> float:
        seconds = None
        if budget is not None:  # a tenth of it, and at most half of what is left
            left = budget - (time.perf_counter() - began)
            seconds = max(0.01 * budget, min(budget / 10, left / 2))
        measured = trials.of_fit(sizes[place], seconds).lost
        if verbose:
            log(f"{_a_code(sizes[place])} explains {1 - measured:.3f} of the held-out {wanted}.")
        return measured

    place, reached = smallest(error, 1 - share, baseline)
    if reached > 1 - share:
        warn(
            f"No code explains {share:g} of the held-out {wanted}. {_a_code(sizes[place])}, the "
            f"largest that was tried, explains {1 - reached:.3f} and is used."
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


def _a_code(size: int) -> str:
    return f"A code of {size} dimension{'s' if size > 1 else ''}"


class Trials:
    """Trial fits of one data set with different code sizes."""

    # Every trial has the split, the seed and the settings of a fit, but no refit, so it is measured
    # on sequences that it was not trained on.

    def __init__(
        self,
        sequences: Sequences,
        arguments: Arguments,
        fit: Callable[..., Any],
        *,
        seed: int,
        most: int,  # largest size
    ) -> None:
        if not arguments.validation_fraction:
            raise ParameterError(
                "Sizes are compared by their errors on held-out data, and "
                f"{argument(validation_fraction=0)} holds nothing out. Give a share above 0."
            )
        check_columns(sequences)
        source = Source(sequences)
        if not source.in_memory:
            # the final model, which is fitted on data from files, has no latent optimization
            if arguments.latent_steps == "auto":
                arguments = replace(arguments, latent_steps=0)
            num_values = max(1, sequences.values.size)
            count = max(100, int(_MAX_VALUES * len(sequences) / num_values))
            source = Source(source.sample(np.arange(len(sequences)), count, seed))
        self._sequences, self._arguments, self._seed = source.sequences, arguments, seed
        self._fit, self.num_sequences = fit, len(source.sequences)
        # PCA has no statistics of each sequence here, whatever the scale of the fits
        unscaled = replace(arguments, scale=None)
        self.held_out = HeldOut(Split(source, None, unscaled, seed=seed, further=None), most)

    def of_fit(self, size: int, time_budget: float | None = None) -> Fidelity:
        """Fit with codes of a size and measure the error on held-out sequences."""
        arguments = replace(
            self._arguments,
            latent_dim=size,
            refit=False,
            calibration_fraction=0.0,
            time_budget=time_budget,
            rocket_dim=rocket_dim_within(self._arguments.rocket_dim, size),
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # the final fit gives the same warnings
            model, outcome = self._fit(self._sequences, arguments, trial_seed=self._seed)
        if model is None or outcome.interrupted:
            raise KeyboardInterrupt
        steps = model.latent_steps
        return self.held_out.of_network(model.network, model.scaler, latent_steps=steps)

    def of_pca(self, size: int) -> Fidelity:
        """Measure PCA of a size on the held-out sequences."""
        return self.held_out.of_pca(size)
