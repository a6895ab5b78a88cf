"""`fit`: the checkpoint to resume from, the choice of ``latent_dim``, and the fit of a network."""

import functools
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from refold._support.compilation import keep_compiled
from refold._support.file_lock import sole_training
from refold.fitting._checkpoint import Checkpoint, checkpoints, identify, resumed
from refold.fitting._choose_latent_dim import choose_size
from refold.fitting._data_sources import source_of
from refold.fitting._defaults_from_data import check_columns, rocket_dim_within
from refold.fitting._fit_network import fit_network
from refold.fitting._parameters import is_share
from refold.fitting._warm_start import digest_of
from refold.sequences import Scan, Sequences
from refold.storage import Fitted
from refold.training import FitResult, Snapshot


def fit(
    sequences: Sequences | Scan,  # at least one
    parameters: Mapping[str, Any],  # the estimator's arguments, checked
    *,
    seed: int,  # of all random choices; a resumed training uses that of its checkpoint
    callbacks: Sequence[Any] = (),
    checkpoint: Checkpoint | None = None,
    resume: bool = False,  # from the checkpoint, if it exists
    aside: np.ndarray | None = None,  # lengths of the sequences for calibration, to check
    warm: Fitted | None = None,  # to continue from, with the schema of the sequences
) -> tuple[Fitted | None, FitResult, Sequences | None]:
    """Fit a network to sequences; returns the model, the outcome and a sample of the sequences."""
    if warm is None:
        check_columns(sequences)
    keep_compiled()
    # NumPy scalars as Python numbers, for JSON
    parameters = {
        name: value.item() if isinstance(value, np.generic) else value
        for name, value in parameters.items()
    }
    identity: dict[str, Any] = {"seed": seed}
    snapshot, source = None, source_of(sequences)
    processes = source.processes  # the first of them reads and writes checkpoints
    path = None if checkpoint is None or processes.index else checkpoint.path
    with sole_training(path):
        if checkpoint is not None:
            weights = None if warm is None else digest_of(warm.network)
            identity = identify(parameters, source.digest(), seed, weights)
            opened = functools.partial(_opened, checkpoint.path, identity, resume=resume)
            snapshot, identity = processes.first(opened)
            if snapshot is not None:
                warm = warm if "weights" in identity else None
        if warm is None and is_share(parameters["latent_dim"]):
            if not identity.get("found"):
                began = time.perf_counter()
                size = choose_size(sequences, parameters, seed=identity["seed"])
                identity["found"] = {"latent_dim": size, "seconds": time.perf_counter() - began}
            parameters = _with_size(parameters, **identity["found"])
        return fit_network(
            sequences,
            parameters,
            seed=identity["seed"],
            callbacks=callbacks,
            checkpoints=None
            if checkpoint is None
            else checkpoints(checkpoint, identity, writes=processes.index == 0),
            resume=snapshot,
            aside=aside,
            warm=warm,
            report=bool(parameters["verbose"]),
        )


def _opened(
    path: str | os.PathLike[str], identity: dict[str, Any], *, resume: bool
) -> tuple[Snapshot | None, dict[str, Any]]:
    """Return the snapshot of a checkpoint to resume, if there is one, and the identity."""
    return resumed(path, identity) if resume and Path(path).exists() else (None, identity)


def _with_size(parameters: dict[str, Any], latent_dim: int, seconds: float) -> dict[str, Any]:
    """Set the chosen size, and subtract the time of the choice from the budget."""
    budget = parameters["time_budget"]
    if budget is not None:
        budget = max(0.1 * budget, budget - seconds)
    rocket_dim = rocket_dim_within(parameters["rocket_dim"], latent_dim)
    changes = {"latent_dim": latent_dim, "time_budget": budget, "rocket_dim": rocket_dim}
    return {**parameters, **changes}
