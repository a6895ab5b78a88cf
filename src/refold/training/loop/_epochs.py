"""`Epochs`: the epochs of a phase in compiled chunks, with callbacks between them."""

import math
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from enum import Enum
from typing import Any, NamedTuple

import keras
import numpy as np

from refold._support.output import warn
from refold.arguments import Corruption
from refold.sequences import Batches, BatchPlan
from refold.training._processes import Processes
from refold.training._progress import Progress
from refold.training.data._loaders import Shard, SplitData
from refold.training.loop._compiled_steps import Engine
from refold.training.loop._state import (
    Checkpoints,
    EpochMetrics,
    LossNormalizers,
    Schedule,
    StepMetrics,
    TrainingProgress,
    TrainState,
)
from refold.training.loop._stopping import Clock, Interrupt, out_of_patience

_BATCH_HOOKS = ("on_batch_begin", "on_batch_end", "on_train_batch_begin", "on_train_batch_end")


class Settings(NamedTuple):
    """Training settings."""

    max_epochs: int
    batch_size: int  # sequences of average length in a batch
    steps_an_epoch: int  # approximate; times max_epochs, the length of the schedule
    learning_rate: float  # peak of the schedule
    seed: int  # of the order of the data
    patience: int | None = None  # in epochs; by default `out_of_patience` decides
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


class Epochs:
    """Train the epochs of a phase, continued from the progress, one chunk of steps at a time."""

    def __init__(
        self,
        engine: Engine,
        batches: Batches,
        settings: Settings,
        progress: TrainingProgress,
        clock: Clock,
        bar: Progress,
        interrupt: Interrupt | None,  # None if several processes have to stop together
        *,
        checkpoints: Checkpoints | None,
        callbacks: Sequence[Any],
        processes: Processes,
    ) -> None:
        self.progress = progress
        self._engine, self._batches, self._settings = engine, batches, settings
        self._clock, self._bar, self._interrupt = clock, bar, interrupt
        self._checkpoints, self._processes = checkpoints, processes
        self._hooks = Hooks(callbacks, engine)
        self._last_written = clock.seconds
        # metrics of the state, known without a transfer from the device
        self._metrics = EpochMetrics(StepMetrics.none(), engine.rate(progress.state), finite=True)
        self._num_steps = 0
        # up to this epoch each is a call of its own: several in one call produced NaN
        self._one_by_one = 0

    def run(self, split: SplitData, *, keep_initial: bool) -> StopReason:
        """Train to the end of the phase, and return why it ended."""
        progress, refit = self.progress, self.progress.phase == "refit"
        self._num_steps = self._engine.num_steps(progress.state)
        loss = self._validate(split.held_out) if keep_initial and split.held_out else math.inf
        if math.isfinite(loss):
            progress.keep(loss, 0, self._num_steps)
            progress.initial_loss = loss
        # before any step, so that an unwritable path fails early
        self.write_checkpoint()
        epochs = self._settings.max_epochs
        if refit:
            # the refit is counted in steps; the last epoch may be incomplete
            num_batches = max(1, self._batches.num_batches(np.arange(split.num_sequences)))
            steps = progress.refit_steps * split.shards.epochs_in_a_pass
            epochs = max(1, -(-steps // num_batches))
            self._bar.refit(epochs)
        phase = progress.phase
        self._apply_hooks(lambda state: self._hooks.begin(state, phase=phase, epochs=epochs))
        reason = self._reason_to_stop()
        while reason is None:
            if not self._several_epochs(split):
                reason = self._epoch(split)
                if reason is None or (reason is StopReason.TIME and not refit):
                    # the validated phase measures an epoch that the time cut short
                    reason = self._end_epoch(split) or reason
            reason = reason or self._must_stop() or self._reason_to_stop()
        self._hook("on_train_end")
        # an interrupt has restored the progress at the end of the last finished epoch
        progress, unmeasured = self.progress, not refit and split.held_out is None
        done = reason is StopReason.DONE and progress.best is not None
        if self._hooks.present and unmeasured and done:
            # a callback may have replaced the last weights
            progress.keep(progress.best_loss, progress.best_epoch, progress.best_steps)
        return reason

    def write_checkpoint(self) -> None:
        """Write a snapshot of the current progress, if checkpoints are on."""
        if self._checkpoints is None:
            return
        progress = replace(self.progress, seconds=self._clock.seconds)
        self._checkpoints.write(*progress.saved())
        self._last_written = self._clock.seconds

    def _reason_to_stop(self) -> StopReason | None:
        """Return why there is no further epoch: the phase is done, or a callback stopped it."""
        progress, settings = self.progress, self._settings
        if progress.phase == "refit":
            done = self._num_steps >= progress.refit_steps
        else:
            losses, best = progress.history["val_loss"], progress.best_epoch
            max_epochs, patience = settings.max_epochs, settings.patience
            done = (
                progress.epoch > max_epochs
                or self._hooks.stop
                or out_of_patience(losses, best, max_epochs=max_epochs, patience=patience)
            )
        if done:
            return StopReason.DONE
        return StopReason.STOPPED if self._hooks.stop else None

    def _epoch(self, split: SplitData) -> StopReason | None:
        """Train an epoch, and return why it was cut short, if it was."""
        finished, progress = replace(self.progress), self.progress
        progress.state = progress.state.with_totals(StepMetrics.zero())
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
                        self.progress = finished
                    return stopped
                batch = self._run_chunk(shard, run, batch, norms)
                if not math.isfinite(self._metrics.totals.error):
                    return StopReason.DIVERGED
        return None

    @property
    def _last_step(self) -> int:
        """The number of steps at which the phase ends, if it is known."""
        progress = self.progress
        return progress.refit_steps if progress.phase == "refit" else sys.maxsize

    def _norms(self, split: SplitData) -> LossNormalizers:
        observed, size = split.num_observed / max(1, split.num_sequences), self._settings.batch_size
        return LossNormalizers(max(1.0, observed * size), float(size))

    def _run_chunk(self, shard: Shard, run: BatchPlan, start: int, norms: LossNormalizers) -> int:
        """Train on some batches of a run from ``start`` on; return the first one after them."""
        progress, every_step = self.progress, self._hooks.every_step
        most = 1 if every_step else self._clock.chunk(run.bucket)
        stop = min(run.num_batches, start + most, start + self._last_step - self._num_steps)
        if every_step:
            self._hook("on_train_batch_begin", self._num_steps)
        progress.state, (self._metrics,) = self._train(shard, run, start, stop, norms)
        if every_step:
            logs = {"loss": self._engine.loss(self._metrics.totals)}
            self._hook("on_train_batch_end", self._num_steps, logs)
        self._num_steps += stop - start
        return stop

    def _several_epochs(self, split: SplitData) -> bool:
        """Train several short epochs in one call, if nothing has to happen between them."""
        progress = self.progress
        if self._hooks.present or split.held_out is not None or not split.shards.same_each_epoch:
            return False
        if progress.epoch <= self._one_by_one:
            return False
        (shard,) = split.shards.epoch(progress.epoch)
        num_batches = self._batches.num_batches(shard.rows)
        count = min(
            self._batches.epochs_in_a_run(shard.rows),
            self._clock.chunk(self._batches.buckets[0]) // max(1, num_batches),
            self._epochs_left(num_batches),
        )
        if count < 2:
            return False
        run = self._batches.epochs(
            shard.rows, seed=self._settings.seed, first=progress.epoch, count=count
        )
        began = self._clock.seconds
        progress.state = progress.state.with_totals(StepMetrics.zero())
        state, metrics = self._train(shard, run, 0, num_batches, self._norms(split), count)
        # The call is discarded if a loss is not finite, and its epochs are trained one by one, so
        # that those before it count.
        if not all(one.finite and math.isfinite(one.totals.error) for one in metrics):
            self._one_by_one = progress.epoch + count
            return False
        progress.state = state
        self._num_steps += count * num_batches
        each = (self._clock.seconds - began) / count
        for i, self._metrics in enumerate(metrics):
            self._record(self._engine.loss(self._metrics.totals), None, began + (i + 1) * each)
        if progress.phase == "validated":
            progress.keep(progress.history["loss"][-1], progress.epoch - 1, self._num_steps)
        self._checkpoint_if_due()
        return True

    def _epochs_left(self, num_batches: int) -> int:
        """Return the number of whole epochs to the end of the phase or the next checkpoint."""
        done = self.progress.epoch - 1
        left = min(
            self._settings.max_epochs - done, (self._last_step - self._num_steps) // num_batches
        )
        if self._checkpoints and (every := self._checkpoints.epochs):
            left = min(left, every - done % every)
        return left

    def _train(
        self,
        shard: Shard,
        run: BatchPlan,
        start: int,
        stop: int,
        norms: LossNormalizers,
        num_epochs: int = 1,
    ) -> tuple[TrainState, list[EpochMetrics]]:
        """Call the engine and record its time."""
        progress = self.progress
        began = time.perf_counter()
        state, on_device = self._engine.train(
            progress.state,
            shard.data,
            run.with_rows(shard.places(self._processes.own_columns(run.rows))),
            start,
            stop,
            norms=norms,
            schedule=Schedule(np.float32(progress.peak), np.int32(progress.num_steps)),
            num_epochs=num_epochs,
        )
        metrics = EpochMetrics.each(on_device, num_epochs)
        self._clock.took(time.perf_counter() - began, run.bucket, (stop - start) * num_epochs)
        return state, metrics

    def _end_epoch(self, split: SplitData) -> StopReason | None:
        """Measure an epoch and keep its weights if they are the best; return if it diverged."""
        progress, refit = self.progress, self.progress.phase == "refit"
        loss = self._engine.loss(self._metrics.totals)
        val_loss = None if split.held_out is None else self._validate(split.held_out)
        measured = loss if val_loss is None else val_loss
        # without validation, no loss has checked the weights of the last step yet
        finite = val_loss is not None or self._metrics.finite
        if not (math.isfinite(loss) and math.isfinite(measured) and finite):
            return StopReason.DIVERGED
        if not refit and (val_loss is None or val_loss < progress.best_loss):
            progress.keep(measured, progress.epoch, self._num_steps)
        epoch, rate = progress.epoch, self._metrics.rate
        self._record(loss, val_loss, self._clock.seconds)
        logs = {"loss": loss, "learning_rate": rate}
        if val_loss is not None:
            logs["val_loss"] = val_loss
        self._hook("on_epoch_end", epoch - 1, logs)
        self._checkpoint_if_due()
        return None

    def _record(self, loss: float, val_loss: float | None, seconds: float) -> None:
        """Add a finished epoch to the history."""
        progress = self.progress
        progress.record(loss, val_loss, self._metrics.rate, seconds)
        self._bar.epoch(progress.epoch, loss, val_loss)
        progress.epoch += 1

    def _validate(self, shard: Shard) -> float:
        totals = StepMetrics.none()
        rows = shard.rows
        if self._engine.evaluates_in_parts:
            rows = rows[self._processes.index :: self._processes.count]
        for run in self._batches.epoch(rows):
            began = time.perf_counter()
            run = run.with_rows(shard.places(run.rows))
            totals = totals.plus(self._engine.evaluate(self.progress.state, shard.data, run))
            self._clock.took(time.perf_counter() - began, (run.bucket, "validation"))
        if self._engine.evaluates_in_parts:
            parts = self._processes.gather(np.array(totals))
            totals = StepMetrics(*np.sum(parts, axis=0).tolist())
        return self._engine.loss(totals)

    def _must_stop(self) -> StopReason | None:
        if self._interrupt is not None and self._interrupt.asked:
            return StopReason.INTERRUPTED
        if self._processes.count > 1 and self._settings.time_budget is None:
            return None
        stopped, self.progress.num_steps = self._processes.agree(self._planned_time())
        return stopped

    def _planned_time(self) -> tuple[StopReason | None, int]:
        """Return whether to stop, and the number of steps that the time allows."""
        progress = self.progress
        if progress.phase == "refit":
            left = progress.refit_steps > self._num_steps
            is_up, planned = left and self._clock.is_up(), progress.num_steps
        else:
            refit = self._settings.refit
            planned = self._clock.plan(self._num_steps, progress.num_steps, refit=refit)
            is_up = self._clock.is_up(progress.best_steps if refit else None)
        return StopReason.TIME if is_up else None, planned

    def _checkpoint_if_due(self) -> None:
        """Write a checkpoint after an epoch, if enough time or epochs have passed."""
        if self._checkpoints is None:
            return
        every = self._checkpoints.epochs
        seconds = self._clock.seconds - self._last_written
        if seconds >= self._checkpoints.seconds or (
            every and (self.progress.epoch - 1) % every == 0
        ):
            self.write_checkpoint()

    def _hook(self, name: str, *args: Any) -> None:
        self._apply_hooks(lambda state: self._hooks.call(name, state, *args))

    def _apply_hooks(self, call: Callable[[TrainState], TrainState]) -> None:
        """Call the callbacks, if any; a changed learning rate scales the schedule."""
        if not self._hooks.present:
            return
        progress = self.progress
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
