"""`train`: training with validation, the refit on all sequences, and what is kept if one fails."""

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

# Weights with these names are excluded from the default optimizer's weight decay.
_UNDECAYED = ("bias", "change")


class FitResult(NamedTuple):
    """Result of a training; the network holds the weights.

    Attributes
    ----------
    phase : str or None
        Phase that trained the weights, ``"validated"`` or ``"refit"``; None if no epoch was
        completed.
    history : dict of lists
        One entry per epoch: ``"epoch"`` (from 1 in each phase), ``"phase"``, ``"loss"``,
        ``"val_loss"`` (with validation; None in the refit), ``"learning_rate"``, ``"seconds"``
        (since the start of training).
    epoch : int
        Epoch of the validated weights.
    interrupted : bool
        Whether Ctrl-C ended the training early.
    complete : bool
        Whether the validated phase was finished.
    num_shapes : int
        Number of padded batch shapes, for each of which a training step was compiled.
    validated : list of arrays, optional
        Validated weights, in the order of ``network.variables``, if the network holds those of a
        refit.
    out_of_time : bool
        Whether the time budget ended the validated phase.
    initial_loss : float, optional
        Validation loss of the linear initialization.
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

    The network ends with the weights of the epoch with the lowest validation loss or, without
    validation, those of the last epoch. With ``refit``, it ends with those of a second training on
    all sequences, which is initialized the same way and takes as many steps as the best epoch of
    the first. If time, Ctrl-C, a callback or a non-finite loss ends the refit, the validated
    weights are kept.

    Parameters
    ----------
    network : Network
    parts : callable
        Called with ``"validated"`` or ``"refit"``, returns the `SplitData` of that phase.
    batches : Batches
        Batches of all sequences.
    settings : Settings
    start : callable, optional
        Called with the phase before it begins. Sets the initial weights, and returns whether they
        are worth keeping if no epoch is better.
    refit : bool
    checkpoints : Checkpoints, optional
        Written once before the first step, so that an unwritable path fails early.
    callbacks : sequence of keras.callbacks.Callback
    resume : Snapshot, optional
        Snapshot to resume from.

    Returns
    -------
    FitResult

    Raises
    ------
    DivergedError
        If the loss became NaN or infinite before any weights could be kept.
    """
    progress = None if resume is None else resume.standing()
    clock = Clock(settings.time_budget, progress.seconds if progress else 0.0)
    split = parts("validated")
    engine = _make_engine(network, batches, settings)
    fresh = engine.read_state()
    out_of_time = keep = False
    with contextlib.ExitStack() as stack:
        bar = stack.enter_context(Progress(settings.max_epochs, verbose=settings.verbose))
        if progress is None:
            keep = start is not None and start("validated")
            progress = TrainingProgress(
                engine.read_state(),
                peak=settings.learning_rate,
                num_steps=settings.max_epochs * settings.steps_an_epoch,
            )
        clock.prepared()
        if resume is None:
            progress.preparation = clock.preparation
        clock.preparation = progress.preparation
        loop = Loop(
            engine, batches, settings, progress, clock, checkpoints=checkpoints, callbacks=callbacks
        )
        # before this line Ctrl-C ends the program at once: there is nothing to keep
        interrupt = stack.enter_context(Interrupt())
        bar.train()
        if keep:
            loop.keep_initial(split)
        loop.write_checkpoint()
        if progress.phase == "validated":
            reason = loop.validated(split, interrupt, bar, refit=refit)
            if reason is StopReason.DIVERGED:
                _report_divergence(progress, settings)
            if reason is StopReason.INTERRUPTED:
                loop.write_checkpoint()
                return _finish(engine, progress, interrupted=True, complete=False)
            out_of_time = reason is StopReason.TIME
            if refit and out_of_time and clock.is_up(0):  # no time to initialize it
                refit = False
                _report_no_refit(reason, progress)
            if not refit or reason is StopReason.DIVERGED:
                return _finish(engine, progress)._replace(out_of_time=out_of_time)
            progress.phase, progress.refit_steps = "refit", progress.best_steps
            engine.write_back(fresh)
            if start is not None:
                bar.initialize_again()
                start("refit")
            progress.state, progress.peak = engine.read_state(), settings.learning_rate
            progress.epoch, progress.page, progress.run, progress.batch = 1, 0, 0, 0
            loop.write_checkpoint()
        split = parts("refit")
        reason = loop.refit(split, interrupt, bar)
        if reason is StopReason.DONE:
            outcome = _finish(engine, progress)
            validated = [np.asarray(variable.value) for variable in network.variables]
            engine.write_back(progress.state)
            return outcome._replace(phase="refit", validated=validated, out_of_time=out_of_time)
        if reason is StopReason.INTERRUPTED:
            loop.write_checkpoint()
    _report_no_refit(reason, progress)
    outcome = _finish(engine, progress, interrupted=reason is StopReason.INTERRUPTED)
    return outcome._replace(out_of_time=out_of_time)


def _make_engine(network: Network, batches: Batches, settings: Settings) -> Engine:
    optimizer: Any = settings.optimizer
    # only the default optimizer is known to update each weight alone
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
    else:  # the user's own optimizer stays as it is and can be reused
        if optimizer.gradient_accumulation_steps or (
            optimizer.use_ema and not optimizer.ema_overwrite_frequency
        ):
            raise ParameterError(
                "An optimizer that accumulates gradients, or averages weights without "
                "ema_overwrite_frequency, cannot be used here. Leave that option out."
            )
        optimizer = type(optimizer).from_config(optimizer.get_config())
    # with a single length, the length model knows it from its initialization
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
    engine: Engine, progress: TrainingProgress, *, interrupted: bool = False, complete: bool = True
) -> FitResult:
    """Put the validated weights into the network, and return the result."""
    if progress.best is not None:
        num_trainable = len(progress.state.trainable)
        engine.write_back(
            progress.state._replace(
                trainable=progress.best[:num_trainable],
                non_trainable=progress.best[num_trainable:],
            )
        )
    phase = None if progress.best is None else "validated"
    return FitResult(
        phase,
        _history(progress),
        progress.best_epoch,
        interrupted,
        complete,
        len(engine.shapes),
        initial_loss=progress.initial_loss,
    )


def _history(progress: TrainingProgress) -> dict[str, list[Any]]:
    history = dict(progress.history)
    if all(loss is None for loss in history["val_loss"]):
        del history["val_loss"]
    return history


def _report_divergence(progress: TrainingProgress, settings: Settings) -> None:
    advice = (
        f"The loss became NaN or infinite in epoch {progress.epoch}. Try a smaller learning_rate "
        f"(it was {settings.learning_rate:g}), and look for extreme values in the data."
    )
    if progress.best is None:
        raise DivergedError(f"{advice} Nothing was learned before that.")
    warnings.warn(f"{advice} {_kept(progress)}", stacklevel=4)


def _report_no_refit(reason: StopReason, progress: TrainingProgress) -> None:
    why = {
        StopReason.TIME: "The time budget ran out in the refit on all sequences",
        StopReason.INTERRUPTED: "The refit on all sequences was interrupted",
        StopReason.STOPPED: "A callback stopped the refit on all sequences",
        StopReason.DIVERGED: "The loss became NaN or infinite in the refit on all sequences",
    }[reason]
    warnings.warn(f"{why}. {_kept(progress)}", stacklevel=4)


def _kept(progress: TrainingProgress) -> str:
    if progress.best_epoch == 0:
        return "The linear initialization was kept: no epoch was better."
    return f"The weights of epoch {progress.best_epoch} were kept."
