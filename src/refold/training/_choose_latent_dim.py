"""Choice of the smallest code that explains the share given as ``latent_dim``."""

import time
import warnings
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from refold._support.output import log, warn
from refold.arguments import Arguments
from refold.errors import ParameterError, argument
from refold.evaluation import Fidelity
from refold.sequences import Windows
from refold.training._held_out_error import HeldOut
from refold.training._shards import Source, sampled_rows
from refold.training._specify import check_columns
from refold.training._split import Split
from refold.training.loop._checkpoint import SavedTraining

# Every size up to 16, then steps of an eighth: finer steps differ by less than chance does.
SIZES = (*range(1, 17), *range(18, 33, 2), *range(36, 65, 4), *range(72, 129, 8))
# Cap on values for trials if the data is larger than memory.
_MAX_TRIAL_VALUES = 4_000_000
# Share of the time budget for each trial. The choice takes two to eight of them.
_SHARE_OF_TIME = 0.1


def choose_size(
    windows: Windows, saved: SavedTraining, fit: Callable[..., Any]
) -> tuple[Arguments, SavedTraining]:
    """Return the arguments with the smallest code that explains the share, and what to save."""
    # The choice counts against the time budget, and a checkpoint keeps it.
    arguments, choice = saved.arguments, saved.identity.get("choice")
    if choice is None:
        began = time.perf_counter()
        size = smallest_size(windows, arguments, fit, seed=saved.seed)
        choice = {"latent_dim": size, "seconds": time.perf_counter() - began}
    size, budget = choice["latent_dim"], arguments.time_budget
    if budget is not None:
        budget = max(0.1 * budget, budget - choice["seconds"])
    rocket_dim = rocket_dim_within(arguments.rocket_dim, size)
    arguments = replace(arguments, latent_dim=size, time_budget=budget, rocket_dim=rocket_dim)
    return arguments, replace(saved, identity=saved.identity | {"choice": choice})


def rocket_dim_within(rocket_dim: int | str, size: int) -> int:
    """Return the number of ROCKET features in a code whose size is chosen by its error."""
    # One dimension is left for reconstruction. "auto" gives none, so that errors fall with the
    # size.
    return 0 if isinstance(rocket_dim, str) else min(rocket_dim, size - 1)


def smallest_size(
    windows: Windows, arguments: Arguments, fit: Callable[..., Any], *, seed: int
) -> int:
    """Find the smallest code in `SIZES` that explains a share of the held-out variance."""
    # The explained variance is 1 - NMSE. Binary and categorical columns must reach the same share
    # with their accuracy, the share of held-out steps whose tokens are reconstructed. If no size
    # explains enough, the largest sensible one is taken.
    share, budget = float(arguments.latent_dim), arguments.time_budget
    trials = Trials(windows, arguments, fit, seed=seed, most=SIZES[-1])
    sequences = windows.sequences
    sizes = SIZES[: bisect_left(SIZES, trials.held_out.most_components) + 1]
    numeric = sequences.schema.numeric
    measures = {"variance": numeric.any(), "tokens": not numeric.all()}
    wanted = " and ".join(name for name, applies in measures.items() if applies)
    if arguments.verbose and trials.num_sequences < len(sequences):
        log(f"Choosing the size on {trials.num_sequences} of {len(sequences)} sequences.")
    lost = {}

    def is_enough(size: int) -> bool:
        lost[size] = trials.of_fit(size, None if budget is None else _SHARE_OF_TIME * budget).lost
        if arguments.verbose:
            log(f"{_a_code(size)} explains {1 - lost[size]:.3f} of the held-out {wanted}.")
        return lost[size] <= 1 - share

    # A bisection, because larger codes explain more. PCA, which is fast, rarely needs fewer
    # dimensions, so the sizes up to that of PCA are tried first.
    explained = (i for i, size in enumerate(sizes) if trials.of_pca(size).lost <= 1 - share)
    first = next(explained, len(sizes) - 1) + 1
    place = bisect_left(sizes, x=True, hi=first, key=is_enough)
    if place == first:
        place = bisect_left(sizes, x=True, lo=first, key=is_enough)
    if place < len(sizes):
        return sizes[place]
    warn(
        f"No code explains {share:g} of the held-out {wanted}. {_a_code(sizes[-1])}, the largest "
        f"that was tried, explains {1 - lost[sizes[-1]]:.3f} and is used."
    )
    return sizes[-1]


def _a_code(size: int) -> str:
    return f"A code of {size} dimension{'s' if size > 1 else ''}"


class Trials:
    """Trial fits of one data set with different code sizes."""

    # Every trial has the split, the seed and the settings of a fit, but no refit, so it is measured
    # on sequences that it was not trained on.

    def __init__(
        self,
        windows: Windows,
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
        sequences = windows.sequences
        check_columns(sequences)
        source = Source(sequences)
        if not source.in_memory:
            # the final model, which is fitted on data from files, has no latent optimization
            if arguments.latent_steps == "auto":
                arguments = replace(arguments, latent_steps=0)
            num_values = max(1, sequences.values.size)
            count = max(100, int(_MAX_TRIAL_VALUES * len(sequences) / num_values))
            windows = windows.take(sampled_rows(np.arange(len(sequences)), count, seed))
            source = Source(windows.sequences)
        self._windows, self._arguments, self._seed = windows, arguments, seed
        self._fit, self.num_sequences = fit, len(source.sequences)
        # PCA has no statistics of each sequence here, whatever the scale of the fits
        unscaled = replace(arguments, scale=None)
        split = Split(source, None, unscaled, seed=seed, further=None, windows=windows)
        self.held_out = HeldOut(split, most)

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
            model, outcome = self._fit(self._windows, arguments, trial_seed=self._seed)
        if model is None or outcome.interrupted:
            raise KeyboardInterrupt
        steps = model.latent_steps
        return self.held_out.of_network(model.network, model.scaler, latent_steps=steps)

    def of_pca(self, size: int) -> Fidelity:
        """Measure PCA of a size on the held-out sequences."""
        return self.held_out.of_pca(size)
