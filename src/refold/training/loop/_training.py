"""`Training`: the epochs of the validated phase and of the refit, and the weights that are kept."""

import contextlib
import math
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any, NamedTuple, Self

import keras
import numpy as np
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from refold._support.output import warn
from refold._support.progress_bars import progress_bar
from refold.arguments import Corruption
from refold.errors import DivergedError, ParameterError
from refold.network.keras.build import Network
from refold.sequences import Batches, BatchPlan
from refold.training._processes import Processes
from refold.training._shards import Shard, SplitData
from refold.training.loop._checkpoint import SavedTraining, TrainingProgress
from refold.training.loop._compiled_steps import (
    AdamW,
    Engine,
    EpochMetrics,
    LossNormalizers,
    Schedule,
    StepMetrics,
    TrainState,
)
from refold.training.loop._stopping import Clock, Interrupt

# Weight of the length model's loss, in nats per sequence.
_LENGTH_WEIGHT = 0.05
# Options of the default optimizer, and names of weights that are excluded from its decay.
_WEIGHT_DECAY, _CLIP_NORM, _UNDECAYED = 1e-4, 1.0, ("bias", "change")

_BATCH_HOOKS = ("on_batch_begin", "on_batch_end", "on_train_batch_begin", "on_train_batch_end")


class Settings(NamedTuple):
    """Training settings."""

    max_epochs: int
    batch_size: int  # sequences of average length in a batch
    steps_an_epoch: int  # approximate; times max_epochs, the length of the schedule
    learning_rate: float  # peak of the schedule
    seed: int  # of the order of the data
    patience: int  # epochs without a better validation loss before training stops
    optimizer: Any = None  # a name, a Keras optimizer with its own rate, or AdamW
    time_budget: float | None = None  # seconds of the whole training
    time_warp: float = 0.0  # standard deviation of the time warps in steps
    corruption: Corruption = Corruption()  # in training and in validation
    refit: bool = False  # whether a refit on all sequences follows the validated phase
    verbose: int = 0  # 1 for a progress bar on standard error


class StopReason(Enum):
    """Reason why a phase ended."""

    DONE = "done"
    TIME = "time"
    INTERRUPTED = "interrupted"
    STOPPED = "stopped"
    DIVERGED = "diverged"


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
    # without validation, those of the last epoch. With `settings.refit`, the phase "refit" trains
    # on all sequences afterwards, from the same initialization, for as many steps as the best epoch
    # of the first phase took. If time, Ctrl-C, a callback or a loss that is not finite ends the
    # refit, the validated weights are kept.
    #
    # Within the context, while there is a `phase`, the caller initializes the network if
    # `is_fresh`, and then calls `run` with the data of the phase. Then there is a `result`.

    def __init__(
        self,
        network: Network,
        batches: Batches,
        settings: Settings,
        *,
        saved: SavedTraining | None = None,  # to continue from and to write to
        callbacks: Sequence[Any] = (),
        processes: Processes | None = None,
    ) -> None:
        self._network, self._batches, self._settings = network, batches, settings
        self._saved, self._processes = saved, processes or Processes()
        resume, alone = saved and saved.progress, self._processes.count == 1
        before = 0.0 if resume is None else resume.seconds
        self._clock = Clock(settings.time_budget, before, timed=alone)
        self._last_written = self._clock.seconds
        self._bar = Progress(verbose=settings.verbose)
        # several processes have to stop together
        self._interrupt = Interrupt() if alone else None
        self._engine = _make_engine(network, batches, settings, self._processes)
        self._hooks = Hooks(callbacks, self._engine)
        self._untrained = self._engine.read_state()
        num_steps = settings.max_epochs * settings.steps_an_epoch
        self._progress = resume or TrainingProgress(
            self._untrained, settings.learning_rate, num_steps
        )
        # metrics of the epoch so far, and the number of steps before the state
        self._metrics = EpochMetrics(StepMetrics.zero(), settings.learning_rate, finite=True)
        self._num_steps = 0
        self.is_fresh = resume is None  # else the phase continues from a checkpoint
        self.phase: str | None = self._progress.phase  # None after the last one
        self.result: FitResult
        self._stack, self._is_running, self._out_of_time = contextlib.ExitStack(), False, False

    def __enter__(self) -> Self:
        self._stack.enter_context(self._bar)
        return self

    def __exit__(self, *error: Any) -> None:
        self._stack.__exit__(*error)

    # The phases

    def run(
        self,
        split: SplitData,
        *,
        keep_initial: bool = False,  # whether the initial weights are kept if no epoch is better
    ) -> None:
        """Train to the end of the phase, or raise a DivergedError if no weights can be kept."""
        progress = self._progress
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
            # until the first epoch ends, most of the time is compilation
            self._bar.begin("epoch", self._settings.max_epochs, "compiling")
            self._is_running = True
        reason = self._epochs(split, keep_initial=keep_initial)
        if reason is StopReason.INTERRUPTED:
            self._write_checkpoint()
        end = self._end_validated if self.phase == "validated" else self._end_refit
        end(reason)

    def _end_validated(self, reason: StopReason) -> None:
        progress, settings = self._progress, self._settings
        interrupted, diverged = reason is StopReason.INTERRUPTED, reason is StopReason.DIVERGED
        self._out_of_time = reason is StopReason.TIME
        if diverged:
            advice = (
                f"The loss became NaN or infinite in epoch {progress.epoch}. Try a smaller "
                f"learning_rate (it was {settings.learning_rate:g}), and look for extreme values "
                "in the data."
            )
            if progress.best is None:
                raise DivergedError(f"{advice} Nothing was learned before that.")
            warn(f"{advice} {_kept(progress)}")
        refit = settings.refit and not interrupted and not diverged
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
        self._bar.begin("refit on all: initialize")

    def _end_refit(self, reason: StopReason) -> None:
        self._finish(interrupted=reason is StopReason.INTERRUPTED)
        if reason is not StopReason.DONE:
            _report_no_refit(reason, self._progress)
            return
        validated = [np.asarray(variable.value) for variable in self._network.variables]
        self._engine.write_back(self._progress.state)
        self.result = replace(self.result, phase="refit", validated=validated)

    def _finish(self, *, interrupted: bool, complete: bool = True) -> None:
        """Put the validated weights into the network, and set the result."""
        progress = self._progress
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

    # The epochs of a phase

    def _epochs(self, split: SplitData, *, keep_initial: bool) -> StopReason:
        """Train epochs, continued from the progress, and return why they ended."""
        progress, refit = self._progress, self.phase == "refit"
        self._num_steps = self._engine.num_steps(progress.state)
        loss = self._validate(split.validation) if keep_initial and split.validation else math.inf
        if math.isfinite(loss):
            progress.keep(loss, 0, self._num_steps)
            progress.initial_loss = loss
        # before any step, so that an unwritable path fails early
        self._write_checkpoint()
        epochs = self._settings.max_epochs
        if refit:
            # the refit is counted in steps; the last epoch may be incomplete
            num_batches = max(1, self._batches.num_batches(np.arange(split.num_sequences)))
            steps = progress.refit_steps * split.shards.epochs_in_a_pass
            epochs = max(1, -(-steps // num_batches))
            self._bar.begin("refit on all: epoch", epochs)
        phase = progress.phase
        self._apply_hooks(lambda state: self._hooks.begin(state, phase=phase, epochs=epochs))
        reason = self._reason_to_stop()
        while reason is None:
            reason = self._epoch(split)
            if reason is None or (reason is StopReason.TIME and not refit):
                # the validated phase measures an epoch that the time cut short
                reason = self._end_epoch(split) or reason
            reason = reason or self._must_stop() or self._reason_to_stop()
        self._hook("on_train_end")
        # an interrupt has restored the progress at the end of the last finished epoch
        progress, unmeasured = self._progress, not refit and split.validation is None
        done = reason is StopReason.DONE and progress.best is not None
        if self._hooks.present and unmeasured and done:
            # a callback may have replaced the last weights
            progress.keep(progress.best_loss, progress.best_epoch, progress.best_steps)
        return reason

    def _epoch(self, split: SplitData) -> StopReason | None:
        """Train an epoch, and return why it was cut short, if it was."""
        finished, progress = replace(self._progress), self._progress
        progress.state = progress.state.at_start_of_epoch()
        self._hook("on_epoch_begin", progress.epoch - 1)
        first_step, norms = self._num_steps, self._norms(split)
        seed, epoch = self._settings.seed, progress.epoch
        runs = (
            (shard, run)
            for index, shard in enumerate(split.shards.epoch(epoch))
            for run in self._batches.epoch(shard.rows, seed=seed, epoch=epoch, shard=index)
        )
        for shard, run in runs:
            batch = 0
            while batch < run.num_batches:
                if self._num_steps == self._last_step:
                    return None
                if self._num_steps > first_step and (stopped := self._must_stop()):
                    # then a checkpoint is of the last finished epoch
                    if stopped is StopReason.INTERRUPTED:
                        self._progress = finished
                    return stopped
                batch = self._run_chunk(shard, run, batch, norms)
                if not math.isfinite(self._metrics.totals.error):
                    return StopReason.DIVERGED
        return None

    def _run_chunk(self, shard: Shard, run: BatchPlan, start: int, norms: LossNormalizers) -> int:
        """Train on some batches of a run from ``start`` on; return the first one after them."""
        progress, every_step = self._progress, self._hooks.every_step
        most = 1 if every_step else self._clock.chunk(run.bucket)
        stop = min(run.num_batches, start + most, start + self._last_step - self._num_steps)
        if every_step:
            self._hook("on_train_batch_begin", self._num_steps)
        began = time.perf_counter()
        progress.state, self._metrics = self._engine.train(
            progress.state,
            shard.data,
            run.with_rows(shard.places(self._processes.own_columns(run.rows))),
            start,
            stop,
            norms=norms,
            schedule=Schedule(np.float32(progress.peak), np.int32(progress.num_steps)),
        )
        self._clock.took(time.perf_counter() - began, run.bucket, stop - start)
        if every_step:
            logs = {"loss": self._engine.loss(self._metrics.totals)}
            self._hook("on_train_batch_end", self._num_steps, logs)
        self._num_steps += stop - start
        return stop

    @property
    def _last_step(self) -> int:
        """The number of steps at which the phase ends, if it is known."""
        progress = self._progress
        return progress.refit_steps if progress.phase == "refit" else sys.maxsize

    def _norms(self, split: SplitData) -> LossNormalizers:
        # A batch is divided by the expected number of its targets, not by its own, so that steps of
        # long and of short sequences have equal weight.
        observed, size = split.num_observed / max(1, split.num_sequences), self._settings.batch_size
        return LossNormalizers(max(1.0, observed * size), float(size))

    def _end_epoch(self, split: SplitData) -> StopReason | None:
        """Measure an epoch and keep its weights if they are the best; return if it diverged."""
        progress, rate = self._progress, self._metrics.rate
        loss = self._engine.loss(self._metrics.totals)
        val_loss = None if split.validation is None else self._validate(split.validation)
        measured = loss if val_loss is None else val_loss
        # without validation, no loss has checked the weights of the last step yet
        finite = val_loss is not None or self._metrics.finite
        if not (math.isfinite(loss) and math.isfinite(measured) and finite):
            return StopReason.DIVERGED
        if self.phase == "validated" and (val_loss is None or val_loss < progress.best_loss):
            progress.keep(measured, progress.epoch, self._num_steps)
        progress.record(loss, val_loss, rate, self._clock.seconds)
        self._bar.epoch(progress.epoch, loss, val_loss)
        progress.epoch += 1
        logs = {"loss": loss, "learning_rate": rate}
        if val_loss is not None:
            logs["val_loss"] = val_loss
        self._hook("on_epoch_end", progress.epoch - 2, logs)
        self._checkpoint_if_due()
        return None

    def _validate(self, shard: Shard) -> float:
        totals, state = StepMetrics.zero(), self._processes.on_host(self._progress.state)
        for run in self._batches.epoch(shard.rows):
            began = time.perf_counter()
            run = run.with_rows(shard.places(run.rows))
            totals = totals.plus(self._engine.evaluate(state, shard.data, run))
            self._clock.took(time.perf_counter() - began, (run.bucket, "validation"))
        return self._engine.loss(totals)

    # What ends a phase

    def _reason_to_stop(self) -> StopReason | None:
        """Return why there is no further epoch: the phase is done, or a callback stopped it."""
        progress, settings = self._progress, self._settings
        if progress.phase == "refit":
            done = self._num_steps >= progress.refit_steps
        else:
            waited = len(progress.history["epoch"]) - progress.best_epoch
            done = (
                progress.epoch > settings.max_epochs
                or self._hooks.stop
                or waited >= settings.patience
            )
        if done:
            return StopReason.DONE
        return StopReason.STOPPED if self._hooks.stop else None

    def _must_stop(self) -> StopReason | None:
        if self._interrupt is not None and self._interrupt.asked:
            return StopReason.INTERRUPTED
        if self._processes.count > 1 and self._settings.time_budget is None:
            return None
        stopped, self._progress.num_steps = self._processes.agree(self._planned_time())
        return stopped

    def _planned_time(self) -> tuple[StopReason | None, int]:
        """Return whether to stop, and the number of steps that the time allows."""
        progress = self._progress
        if progress.phase == "refit":
            left = progress.refit_steps > self._num_steps
            is_up, planned = left and self._clock.is_up(), progress.num_steps
        else:
            refit = self._settings.refit
            planned = self._clock.plan(self._num_steps, progress.num_steps, refit=refit)
            is_up = self._clock.is_up(progress.best_steps if refit else None)
        return StopReason.TIME if is_up else None, planned

    # Checkpoints and callbacks

    def _write_checkpoint(self) -> None:
        """Write a snapshot of the current progress, if checkpoints are on."""
        if self._saved is not None:
            self._saved.write(replace(self._progress, seconds=self._clock.seconds))
            self._last_written = self._clock.seconds

    def _checkpoint_if_due(self) -> None:
        """Write a checkpoint after an epoch, if enough time or epochs have passed."""
        if self._saved is None or (checkpoint := self._saved.checkpoint) is None:
            return
        seconds, every = self._clock.seconds - self._last_written, checkpoint.epochs
        if seconds >= checkpoint.seconds or (every and (self._progress.epoch - 1) % every == 0):
            self._write_checkpoint()

    def _hook(self, name: str, *args: Any) -> None:
        self._apply_hooks(lambda state: self._hooks.call(name, state, *args))

    def _apply_hooks(self, call: Callable[[TrainState], TrainState]) -> None:
        """Call the callbacks, if any; a changed learning rate scales the schedule."""
        if not self._hooks.present:
            return
        progress = self._progress
        before = self._engine.rate(progress.state)
        progress.state = call(progress.state)
        after = self._engine.rate(progress.state)
        if after == before:
            return
        if before > 0:
            progress.peak *= after / before
        else:  # a rate of 0 cannot be scaled: the next rate is the one that was set
            schedule = Schedule(np.float32(1.0), np.int32(progress.num_steps))
            progress.peak = after / float(schedule.rate(self._num_steps))


class Progress:
    """Progress bar of the initialization and the epochs; `verbose=0` shows nothing."""

    def __init__(self, *, verbose: int) -> None:
        self._bar = progress_bar(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[losses]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            disable=not verbose,
        )
        self._part, self._total = "initialize", 0
        self._task = self._bar.add_task("initialize", total=None, losses="")

    def begin(self, part: str, total: int = 0, losses: str = "") -> None:
        """Show the next part of the training, with its number of epochs if it has any."""
        self._part, self._total = part, total
        self._bar.remove_task(self._task)
        self._task = self._bar.add_task(part, total=total or None, losses=losses)

    def epoch(self, epoch: int, loss: float, val_loss: float | None) -> None:
        """Show the losses of an epoch of a phase, counted from 1."""
        losses = f"loss {loss:.4g}"
        if val_loss is not None:
            losses += f"  validation {val_loss:.4g}"
        count = f"{self._part} {epoch}/{self._total}"
        self._bar.update(self._task, description=count, completed=epoch, losses=losses)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()


class Hooks:
    """Ordinary Keras callbacks around epochs, and around steps if one has batch hooks."""

    def __init__(self, callbacks: Sequence[Any], engine: Engine) -> None:
        self._engine = engine
        self._model: Any = engine.autoencoder
        self._list: Any = None
        self.present = bool(callbacks)
        self.every_step = False  # whether a chunk is a single step, because of batch hooks
        if not callbacks:
            return
        self._model.optimizer = engine.optimizer
        self._list = keras.callbacks.CallbackList(list(callbacks))
        steppers = sorted({type(c).__name__ for c in self._list.callbacks if _asks_for_steps(c)})
        self.every_step = bool(steppers)
        if steppers:
            warn(
                f"{', '.join(steppers)} asks to be called at every step, so each step is a "
                "separate compiled call. Training is faster without batch hooks."
            )

    @property
    def stop(self) -> bool:
        """Whether a callback has asked to stop."""
        return self._list is not None and bool(self._model.stop_training)

    def begin(self, state: TrainState, *, phase: str, epochs: int) -> TrainState:
        """Begin a phase, a training of its own for callbacks, and return the changed state."""
        self._engine.write_back(state)
        self._model.stop_training = False
        self._list.set_params({"epochs": epochs, "phase": phase, "verbose": 0})
        # for each phase: some callbacks open files here and close them at the end of training
        self._list.set_model(self._model)
        return self.call("on_train_begin", state)

    def call(self, name: str, state: TrainState, *args: Any) -> TrainState:
        """Call one hook, as `on_epoch_end`, of all callbacks, and return the changed state."""
        # callbacks read and change the Keras variables
        self._engine.write_back(state)
        getattr(self._list, name)(*args)
        return self._engine.read_state(state.totals)


def _asks_for_steps(callback: Any) -> bool:
    if "epoch" in (getattr(callback, "save_freq", None), getattr(callback, "update_freq", None)):
        return False  # Keras's own callbacks, whose batch hooks do nothing unless configured
    if getattr(callback, "log_every_epoch", False):
        return False  # the same for MLflow's callback
    base = keras.callbacks.Callback
    return any(
        getattr(type(callback), name) is not getattr(base, name) or name in vars(callback)
        for name in _BATCH_HOOKS
    )


def _make_engine(
    network: Network, batches: Batches, settings: Settings, processes: Processes
) -> Engine:
    optimizer: Any = settings.optimizer
    # only the default optimizer is known to update each weight alone
    apart = _UNDECAYED if optimizer is None else None
    scheduled = not isinstance(optimizer, keras.optimizers.Optimizer)
    if optimizer is None:
        options: Any = {"weight_decay": _WEIGHT_DECAY, "global_clipnorm": _CLIP_NORM}
        optimizer = AdamW(settings.learning_rate, **options)
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
    length_weight = 0.0 if known else _LENGTH_WEIGHT
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
