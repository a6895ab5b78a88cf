"""A whole training: the phase that validates, the refit on everything, and ways back from both."""

import contextlib
import warnings
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np

from refold.errors import DivergedError, ParameterError
from refold.models import Network
from refold.sequences import Batches
from refold.training._progress import Progress
from refold.training._settings import Settings
from refold.training.data._forecast_targets import kept_share
from refold.training.loop._clock import Clock
from refold.training.loop._compiled_steps import Engine
from refold.training.loop._interrupt import Interrupt
from refold.training.loop._phase_data import Checkpoints, SplitData, StopReason
from refold.training.loop._phases import Loop
from refold.training.loop._snapshot import Snapshot, TrainingProgress

__all__ = ["FitResult", "train"]

# Names of weights that are not decayed by the default optimizer.
_UNDECAYED = ("bias", "change")


class FitResult(NamedTuple):
    """What a training has led to; the network holds the weights.

    Attributes
    ----------
    phase : str or None
        ``"validated"`` or ``"refit"``: on whose data the weights were trained. None where no
        epoch was completed.
    history : dict of lists
        By epoch: ``"epoch"`` (from 1 in either phase), ``"phase"``, ``"loss"``, ``"val_loss"``
        (with validation; None in the refit), ``"learning_rate"``, ``"seconds"`` (since the start).
    epoch : int
        Epoch of the validated weights.
    interrupted : bool
        Whether Ctrl-C came before the training was over.
    complete : bool
        Whether the phase that validates was over.
    num_shapes : int
        Padded shapes of the batches: so many times a training step was compiled.
    validated : list of arrays, optional
        Validated weights, as ``network.variables``, where the network holds those of a refit.
    out_of_time : bool
        Whether the time budget ended the phase that validates.
    initial_loss : float, optional
        Validation loss of the linear start.
    """

    phase: str | None
    history: dict[str, list[Any]]
    epoch: int
    interrupted: bool = False
    complete: bool = True
    num_shapes: int = 0
    validated: list[Any] | None = None
    out_of_time: bool = False
    initial_loss: float | None = None


def train(
    network: Network,
    parts: Callable[[str], SplitData],
    batches: Batches,
    settings: Settings,
    *,
    start: Callable[[str], bool] | None = None,
    refit: bool = False,
    checkpoints: Checkpoints | None = None,
    callbacks: Sequence[Any] = (),
    resume: Snapshot | None = None,
) -> FitResult:
    """Train an autoencoder and its length model in place.

    The network ends with the weights of the epoch that had the lowest validation loss; without
    validation, those of the last epoch; with ``refit``, with those of a second training, from the
    same start and on all sequences, for as many steps as led to the best epoch of the first.  If
    time, Ctrl-C, a callback or a loss that is not finite ends the refit, the validated weights
    count.

    Parameters
    ----------
    network : Network
    parts : callable
        Called with ``"validated"`` or ``"refit"``, returns that phase's `Part`.
    batches : Batches
        Of all sequences.
    settings : Settings
    start : callable, optional
        Called with the phase before it begins, sets the weights that it is to begin with, and
        returns whether they are worth keeping if nothing better follows.
    refit : bool
    checkpoints : Checkpoints, optional
        Called once before the first step, so that a place that cannot be written to is noticed.
    callbacks : sequence of keras.callbacks.Callback
    resume : Snapshot, optional
        Where to go on.

    Returns
    -------
    Outcome

    Raises
    ------
    DivergedError
        If the loss became NaN or infinite before any epoch was worth keeping.
    """
    standing = None if resume is None else resume.standing()
    clock = Clock(settings.time_budget, standing.seconds if standing else 0.0)
    part = parts("validated")
    engine = _make_engine(network, batches, settings)
    fresh = engine.read_state()
    out_of_time = good = False
    with contextlib.ExitStack() as stack:
        progress = stack.enter_context(Progress(settings.max_epochs, verbose=settings.verbose))
        if standing is None:
            good = start is not None and start("validated")
            standing = TrainingProgress(
                engine.read_state(),
                peak=settings.learning_rate,
                num_steps=settings.max_epochs * settings.steps_an_epoch,
            )
        clock.prepared()
        if resume is None:
            standing.preparation = clock.preparation
        clock.preparation = standing.preparation
        loop = Loop(
            engine, batches, settings, standing, clock, checkpoints=checkpoints, callbacks=callbacks
        )
        # before this, Ctrl-C ends all at once: there is nothing to keep
        interrupt = stack.enter_context(Interrupt())
        progress.train()
        if good:
            loop.keep_start(part)
        loop.write_checkpoint()
        if standing.phase == "validated":
            end = loop.validated(part, interrupt, progress, refit=refit)
            if end is StopReason.DIVERGED:
                _report_divergence(standing, settings)
            if end is StopReason.INTERRUPTED:
                loop.write_checkpoint()
                return _finish(engine, standing, interrupted=True, complete=False)
            out_of_time = end is StopReason.TIME
            if refit and out_of_time and clock.is_up(0):  # before its start could be made
                refit = False
                _report_no_refit(end, standing)
            if not refit or end is StopReason.DIVERGED:
                return _finish(engine, standing)._replace(out_of_time=out_of_time)
            standing.phase, standing.refit_steps = "refit", standing.best_steps
            engine.write_back(fresh)
            if start is not None:
                progress.initialize_again()
                start("refit")
            standing.state, standing.peak = engine.read_state(), settings.learning_rate
            standing.epoch, standing.page, standing.run, standing.batch = 1, 0, 0, 0
            loop.write_checkpoint()
        part = parts("refit")
        end = loop.refit(part, interrupt, progress)
        if end is StopReason.DONE:
            outcome = _finish(engine, standing)
            validated = [np.asarray(variable.value) for variable in network.variables]
            engine.write_back(standing.state)
            return outcome._replace(phase="refit", validated=validated, out_of_time=out_of_time)
        if end is StopReason.INTERRUPTED:
            loop.write_checkpoint()
    _report_no_refit(end, standing)
    outcome = _finish(engine, standing, interrupted=end is StopReason.INTERRUPTED)
    return outcome._replace(out_of_time=out_of_time)


def _make_engine(network: Network, batches: Batches, settings: Settings) -> Engine:
    optimizer: Any = settings.optimizer
    apart = _UNDECAYED if optimizer is None else None
    scheduled = not isinstance(optimizer, keras.optimizers.Optimizer)
    if optimizer is None:
        optimizer = keras.optimizers.AdamW(
            settings.learning_rate,
            weight_decay=settings.weight_decay,
            global_clipnorm=settings.clip_norm,
        )
        optimizer.exclude_from_weight_decay(var_names=list(_UNDECAYED))
    elif isinstance(optimizer, str):
        optimizer = keras.optimizers.get(optimizer)
        optimizer.learning_rate = settings.learning_rate
    else:  # the user's stays as it is, and can be used again
        if optimizer.gradient_accumulation_steps or (
            optimizer.use_ema and not optimizer.ema_overwrite_frequency
        ):
            raise ParameterError(
                "An optimizer that accumulates gradients, or keeps averages without "
                "ema_overwrite_frequency, cannot be used here. Leave that option out."
            )
        optimizer = type(optimizer).from_config(optimizer.get_config())
    # where there is but one length, the length model knows it from the start
    length_weight = 0.0 if batches.of_one_length else settings.length_weight
    steps = network.specification.forecast_steps
    return Engine(
        network,
        optimizer,
        length_weight=length_weight,
        scheduled=scheduled,
        corruption=settings.corruption,
        kept=kept_share(batches.lengths, steps) if steps else 1.0,
        seed=settings.seed,
        apart=apart,
    )


def _finish(
    engine: Engine, standing: TrainingProgress, *, interrupted: bool = False, complete: bool = True
) -> FitResult:
    """Leave the network with the validated weights."""
    if standing.best is not None:
        num_trainable = len(standing.state.trainable)
        engine.write_back(
            standing.state._replace(
                trainable=standing.best[:num_trainable],
                non_trainable=standing.best[num_trainable:],
            )
        )
    phase = None if standing.best is None else "validated"
    return FitResult(
        phase,
        _history(standing),
        standing.best_epoch,
        interrupted,
        complete,
        len(engine.shapes),
        initial_loss=standing.initial_loss,
    )


def _history(standing: TrainingProgress) -> dict[str, list[Any]]:
    history = dict(standing.history)
    if all(loss is None for loss in history["val_loss"]):
        del history["val_loss"]
    return history


def _report_divergence(standing: TrainingProgress, settings: Settings) -> None:
    advice = (
        f"The loss became NaN or infinite in epoch {standing.epoch}. Try a smaller learning_rate "
        f"(it was {settings.learning_rate:g}), and look for extreme values in the data."
    )
    if standing.best is None:
        raise DivergedError(f"{advice} Nothing was learned before that.")
    warnings.warn(f"{advice} {_kept(standing)}", stacklevel=4)


def _report_no_refit(end: StopReason, standing: TrainingProgress) -> None:
    why = {
        StopReason.TIME: "The time was up in the refit on all sequences",
        StopReason.INTERRUPTED: "The refit on all sequences was interrupted",
        StopReason.STOPPED: "A callback stopped the refit on all sequences",
        StopReason.DIVERGED: "The loss became NaN or infinite in the refit on all sequences",
    }[end]
    warnings.warn(f"{why}. {_kept(standing)}", stacklevel=4)


def _kept(standing: TrainingProgress) -> str:
    if standing.best_epoch == 0:
        return "Kept is the linear start: no epoch was better."
    return f"Kept are the weights of epoch {standing.best_epoch}."
