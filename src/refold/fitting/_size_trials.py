"""Fits of one data set with several code sizes, measured on the same held-out sequences."""

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np

from refold.errors import ParameterError
from refold.evaluation import Fidelity
from refold.fitting._data_sources import MemorySource, Source, source_of
from refold.fitting._defaults_from_data import check_columns, rocket_dim_within
from refold.fitting._fit_network import fit_network
from refold.fitting._held_out_error import HeldOut
from refold.fitting._latent_steps import pick_latent_steps
from refold.sequences import Scan, Sequences
from refold.training import validation_split

# Cap on values for trials if the data is larger than memory.
_MOST_VALUES = 4_000_000


class Trials:
    """Trial fits of one data set with different code sizes."""

    # Every trial has the split, the seed and the settings of a fit, but no refit, so it is measured
    # on sequences that it was not trained on.

    def __init__(
        self,
        sequences: Sequences | Scan,
        parameters: Mapping[str, Any],
        *,
        seed: int,
        most: int,  # largest size
    ) -> None:
        if not parameters["validation_fraction"]:
            raise ParameterError(
                "Sizes are compared by their errors on held-out data, and validation_fraction=0 "
                "holds nothing out. Give a share above 0."
            )
        check_columns(sequences)
        source = source_of(sequences)
        if not source.in_memory:
            # use the latent optimization of the final model, which is fitted on all data
            latent_steps = pick_latent_steps(parameters, source)
            parameters = {**parameters, "latent_steps": latent_steps}
            source = MemorySource(_some(source, seed))
        sequences = source.sequences
        self._sequences, self._parameters, self._seed = sequences, parameters, seed
        training, held_out = validation_split(
            sequences.lengths, parameters["validation_fraction"], seed=seed
        )
        self.held_out = HeldOut(source, training, held_out, seed=seed, most=most)
        self.num_sequences = len(sequences)
        # size at which PCA reconstructs its training data without error
        self.most_numbers = self.held_out.most_components

    def of_fit(self, size: int, time_budget: float | None = None) -> Fidelity:
        """Fit with codes of a size and measure the error on held-out sequences."""
        changes = {
            "latent_dim": size,
            "refit": False,
            "time_budget": time_budget,
            "rocket_dim": rocket_dim_within(self._parameters["rocket_dim"], size),
        }
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # the final fit gives the same warnings
            parameters = {**self._parameters, **changes}
            fitted, outcome, _ = fit_network(self._sequences, parameters, seed=self._seed)
        if fitted is None or outcome.interrupted:
            raise KeyboardInterrupt
        steps = parameters["latent_steps"]
        steps = fitted.latent_steps if steps == "auto" else steps
        return self.held_out.of_network(fitted.network, fitted.scaler, latent_steps=steps)

    def of_pca(self, size: int) -> Fidelity:
        """Measure PCA of a size on the held-out sequences."""
        return self.held_out.of_pca(size)


def _some(source: Source, seed: int) -> Sequences:
    scan = source.sequences
    values = scan.summary.num_steps * scan.schema.num_columns
    count = max(100, int(_MOST_VALUES * len(scan) / max(1, values)))
    return source.sample(np.arange(len(scan)), count, seed)
