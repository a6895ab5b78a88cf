"""The training loop: epochs of compiled chunks, validation, early stopping."""

import math
import time
import warnings
from typing import Any, NamedTuple

import jax.numpy as jnp
import keras
import numpy as np

from refold.errors import DivergedError
from refold.models import Models
from refold.training._batches import Padded, epoch_order, num_batches
from refold.training._engine import Engine, State, Totals
from refold.training._progress import Progress
from refold.training._schedule import WarmupCosine

__all__ = ["Settings", "train"]

_CHUNK_SECONDS = 1.0
_EVALUATION_BATCH = 128


class Settings(NamedTuple):
    """How to train.

    Attributes
    ----------
    max_epochs, batch_size : int
    learning_rate : float
        Highest rate of the schedule.
    patience : int
        Epochs without a better validation loss before training stops.
    seed : int
        Fixes the order of the data.
    length_weight : float
        Weight of the length model's loss, in nats a sequence.
    weight_decay, clip_norm : float
        Of the optimizer, AdamW.
    verbose : int
        0 for silence, 1 for a progress bar on standard error.
    """

    max_epochs: int
    batch_size: int
    learning_rate: float
    patience: int
    seed: int
    length_weight: float = 0.05
    weight_decay: float = 1e-4
    clip_norm: float = 1.0
    verbose: int = 0


def train(
    models: Models,
    length: keras.Model,
    training: Padded,
    validation: Padded | None,
    settings: Settings,
) -> dict[str, list[float]]:
    """Train an autoencoder and its length model in place.

    The models end with the weights of the epoch that had the lowest validation loss, or, without
    validation, those of the last epoch.

    Parameters
    ----------
    models : Models
    length : keras.Model
    training : Padded
    validation : Padded, optional
    settings : Settings

    Returns
    -------
    dict of lists
        For each epoch: ``"epoch"`` (from 1), ``"loss"``, ``"val_loss"`` (with validation),
        ``"learning_rate"``, ``"seconds"`` (since the start).

    Raises
    ------
    DivergedError
        If the loss became NaN or infinite before any epoch was worth keeping.
    """
    num_sequences = len(training.lengths)
    steps = num_batches(num_sequences, settings.batch_size)
    schedule: Any = _make_schedule(settings, steps)
    optimizer = keras.optimizers.AdamW(
        schedule, weight_decay=settings.weight_decay, global_clipnorm=settings.clip_norm
    )
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    engine = Engine(
        models,
        length,
        optimizer,
        expected=training.num_observed / num_sequences * settings.batch_size,
        length_weight=settings.length_weight,
    )
    data = Padded(*map(jnp.asarray, training))
    checker = None if validation is None else _Checker(engine, validation)
    state = best = engine.initial_state()
    best_loss, best_epoch = math.inf, 0
    chunk = _Chunk()
    history = _empty_history(validation is not None)
    started = time.perf_counter()
    with Progress(settings.max_epochs, verbose=settings.verbose) as progress:
        for epoch in range(1, settings.max_epochs + 1):
            order = epoch_order(num_sequences, settings.batch_size, seed=settings.seed, epoch=epoch)
            state = _run_epoch(engine, state._replace(totals=Totals.zero()), data, order, chunk)
            loss = engine.loss(state.totals)
            val_loss = loss if checker is None else checker.loss(state)
            # without validation nobody has looked at the weights of the last step yet
            sound = checker is not None or engine.is_finite(state)
            if not (math.isfinite(loss) and math.isfinite(val_loss) and sound):
                _report_divergence(epoch, best_epoch, settings)
                break
            history["epoch"].append(epoch)
            history["loss"].append(loss)
            if checker is not None:
                history["val_loss"].append(val_loss)
            history["learning_rate"].append(float(schedule(epoch * steps - 1)))
            history["seconds"].append(time.perf_counter() - started)
            if checker is None or val_loss < best_loss:
                best, best_loss, best_epoch = state, val_loss, epoch
            progress.epoch(epoch, loss, val_loss if checker is not None else None)
            if epoch - best_epoch >= settings.patience:
                break
    engine.write_back(best)
    return history


def _run_epoch(
    engine: Engine, state: State, data: Padded, order: np.ndarray, chunk: "_Chunk"
) -> State:
    batches = jnp.asarray(order)
    start = 0
    while start < len(order):
        stop = min(len(order), start + chunk.num_steps)
        began = time.perf_counter()
        state = engine.run(state, data, batches, start, stop)
        finite = bool(jnp.isfinite(state.totals.error))
        chunk.took(time.perf_counter() - began, stop - start)
        if not finite:
            break
        start = stop
    return state


class _Chunk:
    """How many steps to run at once: about a second's worth."""

    def __init__(self) -> None:
        self.num_steps = 1
        self._compiled = False

    def took(self, seconds: float, num_steps: int) -> None:
        if self._compiled:
            self.num_steps = max(1, int(_CHUNK_SECONDS * num_steps / max(seconds, 1e-6)))
        self._compiled = True


class _Checker:
    """Validation loss of a state."""

    def __init__(self, engine: Engine, validation: Padded) -> None:
        self._engine = engine
        self._data = Padded(*map(jnp.asarray, validation))
        num_sequences = len(validation.lengths)
        self._order = jnp.asarray(epoch_order(num_sequences, min(_EVALUATION_BATCH, num_sequences)))

    def loss(self, state: State) -> float:
        totals = self._engine.evaluate(
            state.trainable, state.non_trainable, self._data, self._order
        )
        return self._engine.loss(totals)


def _make_schedule(settings: Settings, steps: int) -> WarmupCosine:
    num_steps = settings.max_epochs * steps
    return WarmupCosine(
        settings.learning_rate, num_steps, num_warmup_steps=max(1, min(100, num_steps // 10))
    )


def _empty_history(validated: bool) -> dict[str, list[Any]]:  # noqa: FBT001
    names = ["epoch", "loss", "val_loss", "learning_rate", "seconds"]
    return {name: [] for name in names if validated or name != "val_loss"}


def _report_divergence(epoch: int, best_epoch: int, settings: Settings) -> None:
    advice = (
        f"The loss became NaN or infinite in epoch {epoch}. Try a smaller learning_rate (it was "
        f"{settings.learning_rate:g}), and look for extreme values in the data."
    )
    if best_epoch == 0:
        raise DivergedError(f"{advice} Nothing was learned before that.")
    warnings.warn(f"{advice} Kept are the weights of epoch {best_epoch}.", stacklevel=4)
