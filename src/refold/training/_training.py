"""`Training`: the validated phase, the refit on all sequences, and what is kept if one fails."""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any, Self

import keras
import numpy as np

from refold._support.output import warn
from refold.errors import DivergedError, ParameterError
from refold.network.keras.build import Network
from refold.sequences import Batches
from refold.training._processes import Processes
from refold.training._progress import Progress
from refold.training._settings import Settings
from refold.training.data._loaders import SplitData
from refold.training.loop._adamw import AdamW
from refold.training.loop._clock import Clock
from refold.training.loop._compiled_steps import Engine
from refold.training.loop._epochs import Epochs, StopReason
from refold.training.loop._interrupt import Interrupt
from refold.training.loop._snapshot import Checkpoints, Snapshot, TrainingProgress

# Weights with these names are excluded from the default optimizer's weight decay.
_UNDECAYED = ("bias", "change")


@dataclass(frozen=True)
class FitResult:
    """Result of a training; the network holds the weights."""

    phase: str | None  # that trained the weights, "validated" or "refit"; None without an epoch
    history: dict[str, list[Any]]  # of `TrainingProgress`; "val_loss" only with validation
    epoch: int  # of the validated weights
    interrupted: bool = False  # by Ctrl-C
    complete: bool = True  # whether the validated phase was finished
    num_shapes: int = 0  # padded shapes of batches, for each of which a step was compiled
    # validated weights, in the order of `network.variables`, if it holds those of a refit
    validated: list[Any] | None = None
    out_of_time: bool = False  # whether the time budget ended the validated phase
    initial_loss: float | None = None  # validation loss of the initial weights, if worth keeping


class Training:
    """Train an autoencoder and its length model in place, phase by phase."""

    # The phase "validated" ends with the weights of the epoch with the lowest validation loss or,
    # without validation, those of the last epoch. With `refit`, the phase "refit" trains on all
    # sequences afterwards, from the same initialization, for as many steps as the best epoch of the
    # first phase took. If time, Ctrl-C, a callback or a loss that is not finite ends the refit, the
    # validated weights are kept.
    #
    # Within the context, while there is a `phase`, the caller initializes the network if
    # `is_fresh`, and then calls `run` with the data of the phase. Then there is a `result`.

    def __init__(
        self,
        network: Network,
        batches: Batches,
        settings: Settings,
        *,
        refit: bool = False,
        checkpoints: Checkpoints | None = None,
        callbacks: Sequence[Any] = (),
        resume: Snapshot | None = None,
        processes: Processes | None = None,
    ) -> None:
        processes = processes or Processes()
        progress = None if resume is None else resume.standing()
        before = 0.0 if progress is None else progress.seconds
        self._clock = Clock(settings.time_budget, before, timed=processes.count == 1)
        self._bar = Progress(settings.max_epochs, verbose=settings.verbose)
        self._interrupt = Interrupt() if processes.count == 1 else None
        self._engine = _make_engine(network, batches, settings, processes)
        self._network, self._settings, self._refit = network, settings, refit
        self._untrained = self._engine.read_state()
        self.is_fresh = progress is None  # else the phase continues from a snapshot
        if progress is None:
            num_steps = settings.max_epochs * settings.steps_an_epoch
            progress = TrainingProgress(self._untrained, settings.learning_rate, num_steps)
        self.phase: str | None = progress.phase  # None after the last one
        self.result: FitResult
        self._stack, self._is_running, self._out_of_time = contextlib.ExitStack(), False, False
        self._epochs = Epochs(
            self._engine,
            batches,
            settings,
            progress,
            self._clock,
            self._bar,
            self._interrupt,
            refit=refit,
            checkpoints=checkpoints,
            callbacks=callbacks,
            processes=processes,
        )

    @property
    def progress(self) -> TrainingProgress:
        """Current state of the training."""
        return self._epochs.progress

    def __enter__(self) -> Self:
        self._stack.enter_context(self._bar)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stack.__exit__(kind, error, traceback)

    def run(
        self,
        split: SplitData,
        *,
        keep_initial: bool = False,  # whether the initial weights are kept if no epoch is better
    ) -> None:
        """Train to the end of the phase, or raise a DivergedError if no weights can be kept."""
        progress = self.progress
        if self.is_fresh:
            progress.state = self._engine.read_state()
        if not self._is_running:
            self._clock.prepared()
            if self.is_fresh:
                progress.preparation = self._clock.preparation
            self._clock.preparation = progress.preparation
            # before this line Ctrl-C ends the program at once: there is nothing to keep
            if self._interrupt is not None:
                self._stack.enter_context(self._interrupt)
            self._bar.train()
            self._is_running = True
        end = self._end_validated if self.phase == "validated" else self._end_refit
        end(self._epochs.run(split, keep_initial=keep_initial))

    def _end_validated(self, reason: StopReason) -> None:
        progress, settings = self.progress, self._settings
        interrupted = reason is StopReason.INTERRUPTED
        self._out_of_time = reason is StopReason.TIME
        if reason is StopReason.DIVERGED:
            _report_divergence(progress, settings)
        if interrupted:
            self._epochs.write_checkpoint()
        refit = self._refit and not interrupted and reason is not StopReason.DIVERGED
        if refit and self._out_of_time and self._clock.is_up(0):  # no time to initialize it
            refit = False
            _report_no_refit(reason, progress)
        if not refit:
            self._finish(interrupted=interrupted, complete=not interrupted)
            return
        self.phase, self.is_fresh = "refit", True
        progress.phase, progress.refit_steps = "refit", progress.best_steps
        progress.peak = settings.learning_rate
        progress.epoch = 1
        self._engine.write_back(self._untrained)
        self._bar.initialize_again()

    def _end_refit(self, reason: StopReason) -> None:
        interrupted = reason is StopReason.INTERRUPTED
        if interrupted:
            self._epochs.write_checkpoint()
        self._finish(interrupted=interrupted)
        if reason is not StopReason.DONE:
            _report_no_refit(reason, self.progress)
            return
        validated = [np.asarray(variable.value) for variable in self._network.variables]
        self._engine.write_back(self.progress.state)
        self.result = replace(self.result, phase="refit", validated=validated)

    def _finish(self, *, interrupted: bool, complete: bool = True) -> None:
        """Put the validated weights into the network, and set the result."""
        progress = self.progress
        if progress.best is not None:
            self._engine.write_back(progress.state.with_weights(progress.best))
        history = dict(progress.history)
        if all(loss is None for loss in history["val_loss"]):
            del history["val_loss"]
        self.phase = None
        self.result = FitResult(
            None if progress.best is None else "validated",
            history,
            progress.best_epoch,
            interrupted,
            complete,
            len(self._engine.shapes),
            out_of_time=self._out_of_time,
            initial_loss=progress.initial_loss,
        )


def _make_engine(
    network: Network, batches: Batches, settings: Settings, processes: Processes
) -> Engine:
    optimizer: Any = settings.optimizer
    # only the default optimizer is known to update each weight alone
    apart = _UNDECAYED if optimizer is None else None
    scheduled = not isinstance(optimizer, keras.optimizers.Optimizer)
    if optimizer is None:
        decay, most = settings.weight_decay, settings.clip_norm
        optimizer = AdamW(settings.learning_rate, weight_decay=decay, global_clipnorm=most)
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
    known = batches.of_one_length or network.specification.length_dim > 0
    length_weight = 0.0 if known else settings.length_weight
    return Engine(
        network,
        optimizer,
        length_weight=length_weight,
        scheduled=scheduled,
        corruption=settings.corruption,
        seed=settings.seed,
        apart=apart,
        processes=processes,
    )


def _report_divergence(progress: TrainingProgress, settings: Settings) -> None:
    advice = (
        f"The loss became NaN or infinite in epoch {progress.epoch}. Try a smaller learning_rate "
        f"(it was {settings.learning_rate:g}), and look for extreme values in the data."
    )
    if progress.best is None:
        raise DivergedError(f"{advice} Nothing was learned before that.")
    warn(f"{advice} {_kept(progress)}")


def _report_no_refit(reason: StopReason, progress: TrainingProgress) -> None:
    why = {
        StopReason.TIME: "The time budget ran out in the refit on all sequences",
        StopReason.INTERRUPTED: "The refit on all sequences was interrupted",
        StopReason.STOPPED: "A callback stopped the refit on all sequences",
        StopReason.DIVERGED: "The loss became NaN or infinite in the refit on all sequences",
    }[reason]
    warn(f"{why}. {_kept(progress)}")


def _kept(progress: TrainingProgress) -> str:
    if progress.best_epoch == 0:
        return "The initial weights were kept: no epoch was better."
    return f"The weights of epoch {progress.best_epoch} were kept."
