"""Fits of one data set at several sizes of the code, each measured on the same held-out part."""

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np

from refold.errors import ParameterError
from refold.evaluation import Fidelity
from refold.fitting._data_sources import FileSource, MemorySource
from refold.fitting._defaults_from_data import pick_latent_steps, rocket_dim_within
from refold.fitting._fit import fit
from refold.fitting._held_out_error import HeldOut
from refold.sequences import Scan, Sequences
from refold.training import validation_split

__all__ = ["Trials"]

# Values at most that are tried on where the data is larger than memory.
_MOST_VALUES = 4_000_000


class Trials:
    """Sizes of the code, tried on one data set.

    Every trial has the split, the seed and the settings of a fit, without the refit, so that what
    it is measured on was not trained on.  Of data in files, some sequences are tried on.

    Parameters
    ----------
    sequences : Sequences or Scan
    parameters : mapping
        The estimator's arguments, checked; ``latent_dim``, ``refit`` and ``time_budget`` do not
        count.
    seed : int
    most : int
        Largest size.

    Attributes
    ----------
    held_out : HeldOut
        What errors are measured on.
    num_sequences : int
        Number of sequences tried on, the held-out ones included.
    most_numbers : int
        Size from which a code has room for all of a training part: PCA has no error on it.

    Raises
    ------
    ParameterError
        If nothing is held out.
    """

    def __init__(
        self,
        sequences: Sequences | Scan,
        parameters: Mapping[str, Any],
        *,
        seed: int,
        most: int,
    ) -> None:
        if not parameters["validation_fraction"]:
            raise ParameterError(
                "Sizes are told apart by what is held out from training, and validation_fraction=0 "
                "holds nothing out. Give a share above 0."
            )
        if isinstance(sequences, Scan):
            # codes are searched for as those of the model that is fitted on all
            parameters = {
                **parameters,
                "latent_steps": pick_latent_steps(parameters, FileSource(sequences)),
            }
            sequences = _some(sequences, seed)
        self._sequences, self._parameters, self._seed = sequences, parameters, seed
        training, held_out = validation_split(
            sequences.lengths, parameters["validation_fraction"], seed=seed
        )
        source = MemorySource(sequences)
        self.held_out = HeldOut(source, training, held_out, seed=seed, most=most)
        self.num_sequences = len(sequences)
        self.most_numbers = self.held_out.most_components

    def of_fit(self, size: int, time_budget: float | None = None) -> Fidelity:
        """Fit with codes of a size and measure what is held out.

        Raises
        ------
        KeyboardInterrupt
            On Ctrl-C.
        """
        changes = {
            "latent_dim": size,
            "refit": False,
            "time_budget": time_budget,
            "rocket_dim": rocket_dim_within(self._parameters["rocket_dim"], size),
        }
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # the fit that follows says them
            parameters = {**self._parameters, **changes}
            fitted, outcome, _ = fit(self._sequences, parameters, seed=self._seed)
        if fitted is None or outcome.interrupted:
            raise KeyboardInterrupt
        steps = parameters["latent_steps"]
        steps = fitted.latent_steps if steps == "auto" else steps
        return self.held_out.of_network(fitted.network, fitted.scaler, latent_steps=steps)

    def of_pca(self, size: int) -> Fidelity:
        """Measure PCA of a size on what is held out."""
        return self.held_out.of_pca(size)


def _some(scan: Scan, seed: int) -> Sequences:
    values = scan.summary.num_steps * scan.schema.num_columns
    count = max(100, int(_MOST_VALUES * len(scan) / max(1, values)))
    return FileSource(scan).sample(np.arange(len(scan)), count, seed)
