"""`fit`, which splits and scales sequences, and builds and trains a network."""

import functools
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from refold import storage
from refold._support.compilation import keep_compiled
from refold._support.console import log_kept_epoch
from refold.errors import ModelFileError, ParameterError
from refold.fitting._data_sources import FileSource, MemorySource
from refold.fitting._defaults_from_data import pick_latent_steps, rocket_dim_within, specify
from refold.fitting._forecast_initialization import initialize_forecast
from refold.fitting._held_out_error import HeldOut, held_back
from refold.inference import MOST_SEQUENCES, check_fits, count_active, report_active
from refold.models import build, seeded
from refold.sequences import Batches, Scaler, Scan, Sequences, remove_leftovers
from refold.storage import Fitted
from refold.training import (
    Checkpoints,
    Corruption,
    FitResult,
    Settings,
    Snapshot,
    SplitData,
    cut_sequences,
    doing,
    has_linear_path,
    pick_batch_size,
    pick_max_epochs,
    pick_patience,
    pick_refit,
    sample_size,
    set_linear_initialization,
    set_rocket_initialization,
    train,
    validation_split,
)

__all__ = ["Checkpoint", "fit"]

# Sample of training sequences for the reference statistics: cap on sequences, cap on their values,
# and minimum number of sequences.
_MOST_KNOWN, _MOST_VALUES, _FEWEST = 1024, 1 << 21, 64
# Arguments that may change when a training is resumed.
_FREE = ("verbose", "time_budget", "random_state", "latent_steps")


class Checkpoint(NamedTuple):
    """File and frequency of the saved training state.

    Attributes
    ----------
    path : path
    seconds : float
        Time between two checkpoints.
    epochs : int, optional
        Also write a checkpoint after this number of epochs.

    Examples
    --------
    >>> Checkpoint("vowels.checkpoint").seconds
    60.0
    """

    path: str | os.PathLike[str]
    seconds: float = 60.0
    epochs: int | None = None


def fit(
    sequences: Sequences | Scan,
    parameters: Mapping[str, Any],
    *,
    seed: int,
    callbacks: Sequence[Any] = (),
    checkpoint: Checkpoint | None = None,
    resume: bool = False,
    find_size: Callable[[], int] | None = None,
    aside: np.ndarray | None = None,
    report: bool = False,
) -> tuple[Fitted | None, FitResult, Sequences | None]:
    """Split, scale, build and train.

    Parameters
    ----------
    sequences : Sequences or Scan
        At least one.
    parameters : mapping
        The estimator's arguments, checked.
    seed : int
        Seed of all random choices. A resumed training uses the seed of its checkpoint.
    callbacks : sequence of keras.callbacks.Callback
    checkpoint : Checkpoint, optional
    resume : bool
        Continue from the checkpoint if it exists.
    find_size : callable, optional
        Called for the size of the code if ``latent_dim`` is a share and the checkpoint has no
        size. Its time counts against ``time_budget``.
    aside : array of int, optional
        Lengths of the sequences set aside for calibration, which are checked.
    report : bool
        Log the held-out errors of the validated weights and of PCA to standard error.

    Returns
    -------
    fitted : Fitted or None
        None if training was interrupted before any weights could be kept.
    outcome : FitResult
    sample : Sequences or None
        Sample of the training sequences.

    Raises
    ------
    ParameterError
        If the checkpoint belongs to another training.
    ModelFileError
        If the checkpoint cannot be read.
    DivergedError
        If the loss became NaN before any weights could be kept.
    """
    keep_compiled()
    parameters = {name: _python(value) for name, value in parameters.items()}
    source = FileSource(sequences) if isinstance(sequences, Scan) else MemorySource(sequences)
    identity = {"parameters": _settled(parameters), "data": source.digest(), "seed": seed}
    snapshot, found = None, None
    if checkpoint is not None:
        remove_leftovers(checkpoint.path)
    if resume and checkpoint is not None and Path(checkpoint.path).exists():
        snapshot, seed, found = _read_snapshot(checkpoint.path, identity)
        identity["seed"] = seed
    if find_size is not None:
        identity["found"] = found = found or _find(find_size)
        parameters = _with_size(parameters, found)
    lengths = sequences.lengths
    fraction = source.most_held_out(parameters["validation_fraction"])
    chosen, held_out = validation_split(lengths, fraction, seed=seed)
    specification = specify(source, parameters, chosen)
    architecture = parameters["architecture"]
    latent_steps = pick_latent_steps(parameters, source)
    default_latent_steps = pick_latent_steps({**parameters, "latent_steps": "auto"}, source)
    with seeded(seed):
        network = build(specification, architecture if callable(architecture) else None)
    check_fits(lengths, network)
    if aside is not None:
        check_fits(aside, network)
    batch_size = min(parameters["batch_size"] or pick_batch_size(len(chosen)), len(chosen))
    batches = Batches(lengths, batch_size, network.fixed_steps)
    steps_an_epoch = source.num_batches(batches, chosen, seed)
    max_epochs = parameters["max_epochs"] or pick_max_epochs(steps_an_epoch)
    corruption = Corruption.of(parameters["denoise"])
    wait = pick_patience(max_epochs, variational=specification.variational)
    settings = Settings(
        max_epochs=max_epochs,
        batch_size=batch_size,
        steps_an_epoch=steps_an_epoch,
        learning_rate=parameters["learning_rate"],
        seed=seed,
        patience=parameters["patience"] or wait,
        optimizer=parameters["optimizer"],
        time_budget=parameters["time_budget"],
        corruption=corruption,
        verbose=parameters["verbose"],
    )
    units = source.units(parameters["scale"])
    longest = batches.buckets[-1].num_steps

    @functools.cache
    def scaler(phase: str) -> Scaler:
        rows = chosen if phase == "validated" else None
        return source.scaler(parameters["scale"], units, rows)

    def trained_on(phase: str) -> np.ndarray:
        return chosen if phase == "validated" else np.arange(len(lengths))

    def part(phase: str) -> SplitData:
        others = held_out if phase == "validated" else np.arange(0)
        return source.part(scaler(phase), trained_on(phase), others, longest, seed)

    def initialize(phase: str) -> bool:
        if not has_linear_path(network) and not specification.rocket_dim:
            return False
        doing("scaling")
        sample = source.sample(trained_on(phase), sample_size(network), seed)
        scaled = whole = scaler(phase).transform(sample)
        if specification.forecast_steps:
            scaled, _ = cut_sequences(whole, specification.forecast_steps, seed)
        if specification.rocket_dim:
            set_rocket_initialization(network, scaled)
        if not has_linear_path(network):
            return False
        good = set_linear_initialization(network, scaled, seed=seed, corruption=corruption)
        if specification.forecast_steps and sequences.schema.numeric.any():
            initialize_forecast(network, whole, seed)
        return good

    refit = parameters["refit"]
    outcome = train(
        network,
        part,
        batches,
        settings,
        start=initialize,
        refit=pick_refit(len(lengths), len(held_out)) if refit == "auto" else refit,
        checkpoints=None if checkpoint is None else _checkpoints(checkpoint, identity),
        callbacks=callbacks,
        resume=snapshot,
    )
    if outcome.phase is None:
        return None, outcome, None
    if report and len(held_out) and not outcome.interrupted:
        own = scaler("validated")
        width = specification.latent_dim + own.num_statistics
        measured = HeldOut(source, chosen, held_out, seed=seed, most=width)
        log_kept_epoch(outcome.epoch, outcome.history["phase"].count("validated"))
        measured.report(network, own, outcome, latent_steps=latent_steps, max_epochs=max_epochs)
        if specification.forecast_steps:
            measured.report_forecast(network, own, outcome)
    active = None
    if specification.variational:
        sample = source.sample(trained_on(outcome.phase), MOST_SEQUENCES, seed)
        active = count_active(scaler(outcome.phase).transform(sample), network)
        report_active(active, specification.latent_dim, verbose=parameters["verbose"])
    fitted = Fitted(
        network,
        sequences.schema,
        scaler(outcome.phase),
        units,
        outcome.history,
        default_latent_steps,
        active,
        initial_loss=outcome.initial_loss,
        held_back=held_back(source, held_out, outcome),
    )
    average = max(1.0, float(lengths.mean())) * len(specification.column_types)
    most = int(np.clip(_MOST_VALUES / average, _FEWEST, _MOST_KNOWN))
    return fitted, outcome, source.sample(trained_on(outcome.phase), most, seed)


def _python(value: Any) -> Any:
    """Convert a NumPy scalar to a Python number, for JSON."""
    return value.item() if isinstance(value, np.generic) else value


def _find(find_size: Callable[[], int]) -> dict[str, Any]:
    began = time.perf_counter()
    return {"latent_dim": find_size(), "seconds": time.perf_counter() - began}


def _with_size(parameters: Mapping[str, Any], found: Mapping[str, Any]) -> dict[str, Any]:
    """Set the chosen size, and subtract the time of the choice from the budget."""
    budget = parameters["time_budget"]
    if budget is not None:
        budget = max(0.1 * budget, budget - found["seconds"])
    size = found["latent_dim"]
    rocket_dim = rocket_dim_within(parameters["rocket_dim"], size)
    return {**parameters, "latent_dim": size, "time_budget": budget, "rocket_dim": rocket_dim}


def _checkpoints(checkpoint: Checkpoint, identity: dict[str, Any]) -> Checkpoints:
    def write(snapshot: Snapshot) -> None:
        storage.save_checkpoint(checkpoint.path, identity, snapshot.values, snapshot.arrays)

    return Checkpoints(write, checkpoint.seconds, checkpoint.epochs)


def _settled(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments that must be the same when a training is resumed."""
    return storage.plain({k: v for k, v in parameters.items() if k not in _FREE})


def _read_snapshot(
    path: str | os.PathLike[str], identity: dict[str, Any]
) -> tuple[Snapshot, int, dict[str, Any] | None]:
    theirs, values, arrays = storage.load_checkpoint(path)
    ours = identity["parameters"]
    if set(ours) != set(theirs["parameters"]):
        raise ModelFileError(
            f"The checkpoint {str(path)!r} comes from another version of Refold, which has other "
            "arguments. Start again without resume."
        )
    changed = [
        f"{name} was {theirs['parameters'].get(name)!r} and is {ours[name]!r}"
        for name in ours
        if theirs["parameters"].get(name) != ours[name]
    ]
    if theirs["data"] != identity["data"]:
        changed.insert(0, "the data is not the same")
    if changed:
        raise ParameterError(
            f"The checkpoint {str(path)!r} belongs to another training: {', '.join(changed)}. Use "
            "the same data and arguments, or start again without resume."
        )
    return Snapshot(values, arrays), theirs["seed"], theirs.get("found")
