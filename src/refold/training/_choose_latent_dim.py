"""Choice of the code size if ``latent_dim`` is a share of the variance, such as 0.9.

`choose_latent_dim` finds the smallest code that explains this share. It measures codes by
a `TrialFitter`, which fits models with different code sizes to the same data.
"""

import time
import warnings
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from refold._support.messages import pluralize, print_stderr, warn
from refold.arguments import Arguments
from refold.errors import ParameterError, argument
from refold.evaluation import Fidelity
from refold.sequences import Windows
from refold.training._held_out_error import HeldOutEvaluator
from refold.training._shards import FitBlocks, sample_indices
from refold.training._specify import check_columns
from refold.training._split import Split
from refold.training.loop._checkpoint import ResumableTraining

# Candidates for the number of latent dimensions: all up to 16, then in steps of about an eighth.
# The errors of closer candidates differ by less than chance does.
CANDIDATE_LATENT_DIMS = (*range(1, 17), *range(18, 33, 2), *range(36, 65, 4), *range(72, 129, 8))
# Cap on the values of the data of trials, if the data is larger than memory.
_MAX_TRIAL_VALUES = 4_000_000
# Share of the time budget for each trial. The choice takes two to eight trials.
_TIME_SHARE_PER_TRIAL = 0.1
# Share of the time budget that remains for the final fit, even if the choice took longer.
_MIN_FINAL_FIT_TIME_SHARE = 0.1


def choose_latent_dim(
    data_windows: Windows, saved_training: ResumableTraining, fit_model: Callable[..., Any]
) -> tuple[Arguments, ResumableTraining]:
    """Return the arguments with the chosen code size, and what the checkpoint saves with it."""
    # The code size is the number of latent dimensions. A resumed training takes the choice from its
    # checkpoint. `fit_model` is the function `fit` of `_fit.py`. It is an argument, because
    # `_fit.py` imports this module.
    arguments, choice = saved_training.arguments, saved_training.identity.get("choice")
    if choice is None:
        start = time.perf_counter()
        latent_dim = find_latent_dim(data_windows, arguments, fit_model, seed=saved_training.seed)
        choice = {"latent_dim": latent_dim, "seconds": time.perf_counter() - start}
    latent_dim, budget = int(choice["latent_dim"]), arguments.time_budget
    if budget is not None:  # the final fit gets the time that the choice left over
        budget = max(_MIN_FINAL_FIT_TIME_SHARE * budget, budget - choice["seconds"])
    rocket_dim = resolve_rocket_dim(arguments.rocket_dim, latent_dim)
    arguments = replace(arguments, latent_dim=latent_dim, time_budget=budget, rocket_dim=rocket_dim)
    return arguments, replace(saved_training, identity=saved_training.identity | {"choice": choice})


def resolve_rocket_dim(rocket_dim: int | str, latent_dim: int) -> int:
    """Return the number of ROCKET features in a code whose size is chosen by its error."""
    # "auto" means no features here: a larger code would have more features, and so its error might
    # not be smaller than that of a smaller code. A number is limited, so that at least one
    # dimension can reconstruct.
    return 0 if isinstance(rocket_dim, str) else min(rocket_dim, latent_dim - 1)


def find_latent_dim(
    data_windows: Windows, arguments: Arguments, fit_model: Callable[..., Any], *, seed: int
) -> int:
    """Return the smallest candidate that explains a share of the held-out variance."""
    # The argument `latent_dim` is the share. The explained variance is 1 - NMSE. For binary and
    # categorical columns, the accuracy must reach the same share. (The accuracy is the share of
    # held-out steps whose tokens are reconstructed.) If no code explains enough, the largest one is
    # used. `Fidelity.larger_lost_share` is the share that a code does not explain.
    share, budget = float(arguments.latent_dim), arguments.time_budget
    fitter = TrialFitter(data_windows, arguments, fit_model, CANDIDATE_LATENT_DIMS[-1], seed=seed)
    sequences = data_windows.sequences
    # With `max_components`, PCA has an error of 0 on its training data, so larger codes are of no
    # use. The last candidate is the smallest one with at least this size.
    num_useful = bisect_left(CANDIDATE_LATENT_DIMS, fitter.evaluator.max_components) + 1
    candidates = CANDIDATE_LATENT_DIMS[:num_useful]
    numeric = sequences.schema.numeric
    measures = {"variance": numeric.any(), "tokens": not numeric.all()}
    measure = " and ".join(name for name, applies in measures.items() if applies)
    if arguments.verbose and fitter.num_sequences < len(sequences):
        print_stderr(f"Choosing the size on {fitter.num_sequences} of {len(sequences)} sequences.")
    lost_shares = {}  # share of the variance that a code does not explain, by its size
    trial_budget = None if budget is None else _TIME_SHARE_PER_TRIAL * budget

    def new_fit_explains_share(latent_dim: int) -> bool:
        """Fit a model with this code size, and compare what it explains with the share."""
        fidelity = fitter.measure_fit_error(latent_dim, trial_budget)
        lost_shares[latent_dim] = fidelity.larger_lost_share
        if arguments.verbose:
            explained = 1 - lost_shares[latent_dim]
            code = f"A code of {pluralize(latent_dim, 'dimension')}"
            print_stderr(f"{code} explains {explained:.3f} of the held-out {measure}.")
        return lost_shares[latent_dim] <= 1 - share

    # Larger codes explain more, so this is a bisection (False counts as less than True). PCA is
    # fast and rarely needs fewer dimensions than a fit. So the search begins with the candidates up
    # to the first one that is large enough for PCA, and then goes on with the others.
    pca_errors = map(fitter.evaluator.pca_errors, candidates)  # computed only if needed
    pca_indices = (i for i, pca in enumerate(pca_errors) if pca.larger_lost_share <= 1 - share)
    num_up_to_pca = next(pca_indices, len(candidates) - 1) + 1
    chosen_index = bisect_left(candidates, x=True, hi=num_up_to_pca, key=new_fit_explains_share)
    if chosen_index == num_up_to_pca:
        chosen_index = bisect_left(candidates, x=True, lo=num_up_to_pca, key=new_fit_explains_share)
    if chosen_index < len(candidates):
        return candidates[chosen_index]
    largest = candidates[-1]
    warn(
        f"No code explains {share:g} of the held-out {measure}. A code of "
        f"{pluralize(largest, 'dimension')}, the largest that was tried, explains "
        f"{1 - lost_shares[largest]:.3f} and is used."
    )
    return largest


class TrialFitter:
    """Fit models with different code sizes to one data set, and measure their held-out errors."""

    # A trial has the split, the seed and the settings of the final fit, but no refit. So its error
    # is measured on sequences that it was not trained on.

    def __init__(
        self,
        data_windows: Windows,
        arguments: Arguments,
        fit_model: Callable[..., Any],
        max_latent_dim: int,  # largest number of latent dimensions that a trial will have
        *,
        seed: int,
    ) -> None:
        if not arguments.validation_fraction:
            raise ParameterError(
                "Sizes are compared by their errors on held-out data, and "
                f"{argument(validation_fraction=0)} holds nothing out. Give a share above 0."
            )
        sequences = data_windows.sequences
        check_columns(sequences)
        fit_data = FitBlocks(sequences)
        if not fit_data.in_memory:
            # the final model has no latent optimization if its data comes from files
            if arguments.latent_steps == "auto":
                arguments = replace(arguments, latent_steps=0)
            num_values = max(1, sequences.values.size)
            max_sequences = max(100, int(_MAX_TRIAL_VALUES * len(sequences) / num_values))
            indices = sample_indices(np.arange(len(sequences)), max_sequences, seed)
            data_windows = data_windows.take(indices)
            fit_data = FitBlocks(data_windows.sequences)
        self._windows, self._arguments, self._seed = data_windows, arguments, seed
        self._fit_model, self.num_sequences = fit_model, len(fit_data.sequences)
        # With scale=None, PCA has exactly as many dimensions as the code. With scale="sequence", it
        # would have more, because the mean and the scale of each sequence count as dimensions.
        unscaled = replace(arguments, scale=None)
        # None, because no sequences are set aside for calibration
        split = Split(fit_data, None, unscaled, seed=seed, base_model=None, windows=data_windows)
        self.evaluator = HeldOutEvaluator(split, max_latent_dim)

    def measure_fit_error(self, latent_dim: int, time_budget: float | None = None) -> Fidelity:
        """Return the held-out errors of a fit with this number of latent dimensions."""
        arguments = replace(
            self._arguments,
            latent_dim=latent_dim,
            refit=False,
            calibration_fraction=0.0,
            time_budget=time_budget,
            rocket_dim=resolve_rocket_dim(self._arguments.rocket_dim, latent_dim),
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # the final fit gives the same warnings
            model, fit_result = self._fit_model(self._windows, arguments, dim_trial_seed=self._seed)
        # a fit that Ctrl-C interrupts returns normally, and the choice must end here
        if model is None or fit_result.interrupted:
            raise KeyboardInterrupt
        latent_steps = model.latent_steps
        return self.evaluator.network_errors(model.network, model.scaler, latent_steps=latent_steps)
