"""Fits of one data set with several code sizes, measured on the same held-out sequences."""

import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from refold.arguments import Arguments
from refold.errors import ParameterError
from refold.evaluation import Fidelity
from refold.sequences import Sequences
from refold.training._data_sources import Source
from refold.training._held_out_error import HeldOut
from refold.training._specify import check_columns, rocket_dim_within
from refold.training.data._validation_split import validation_split

# Cap on values for trials if the data is larger than memory.
_MOST_VALUES = 4_000_000


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
                "Sizes are compared by their errors on held-out data, and validation_fraction=0 "
                "holds nothing out. Give a share above 0."
            )
        check_columns(sequences)
        source = Source(sequences)
        if not source.in_memory:
            # the final model, which is fitted on data from files, has no latent optimization
            if arguments.latent_steps == "auto":
                arguments = replace(arguments, latent_steps=0)
            source = Source(_some(source, seed))
        sequences = source.sequences
        self._sequences, self._arguments, self._seed = sequences, arguments, seed
        self._fit = fit
        training, held_out = validation_split(
            sequences.lengths, arguments.validation_fraction, seed=seed
        )
        self.held_out = HeldOut(source, training, held_out, seed=seed, most=most)
        self.num_sequences = len(sequences)
        # size at which PCA reconstructs its training data without error
        self.most_numbers = self.held_out.most_components

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


def _some(source: Source, seed: int) -> Sequences:
    sequences = source.sequences
    count = max(100, int(_MOST_VALUES * len(sequences) / max(1, sequences.values.size)))
    return source.sample(np.arange(len(sequences)), count, seed)
