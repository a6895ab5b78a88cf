"""`Epochs`: epochs of compiled chunks, with checks, hooks and checkpoints between chunks.

`Epochs` owns the `TrainingProgress` and advances it one chunk at a time. Between chunks it checks
the clock, Ctrl-C and the loss, and writes a checkpoint if one is due. It knows neither the kind of
data nor the format of a checkpoint file.
"""

import functools
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from enum import Enum
from typing import Any

import numpy as np

from refold.sequences import Batches, BatchPlan
from refold.training._processes import Processes
from refold.training._progress import Progress
from refold.training._settings import Settings
from refold.training.data._loaders import Shard, SplitData
from refold.training.loop._callbacks import Hooks
from refold.training.loop._clock import Clock
from refold.training.loop._compiled_steps import Engine
from refold.training.loop._interrupt import Interrupt
from refold.training.loop._schedule import Schedule
from refold.training.loop._snapshot import Checkpoints, Snapshot, TrainingProgress
from refold.training.loop._train_state import EpochMetrics, LossNormalizers, StepMetrics, TrainState


class StopReason(Enum):
    """Reason why a phase ended."""

    DONE = "done"
    TIME = "time"
    INTERRUPTED = "interrupted"
    STOPPED = "stopped"
    DIVERGED = "diverged"


class Epochs:
    """Epochs of one training, continued from its progress.

    Parameters
    ----------
    engine : Engine
    batches : Batches
        Batches of all sequences.
    settings : Settings
    progress : TrainingProgress
    clock : Clock
        Clock of the whole training.
    refit : bool
        Whether a refit follows the validated phase, and needs part of the time budget.
    checkpoints : Checkpoints, optional
    callbacks : sequence of keras.callbacks.Callback
    processes : Processes, optional
        Processes that train together.

    Attributes
    ----------
    progress : TrainingProgress
    """

    def __init__(
        self,
        engine: Engine,
        batches: Batches,
        settings: Settings,
        progress: TrainingProgress,
        clock: Clock,
        *,
        refit: bool = False,
        checkpoints: Checkpoints | None = None,
        callbacks: Sequence[Any] = (),
        processes: Processes | None = None,
    ) -> None:
        self.progress = progress
        self._processes = processes or Processes()
        self._engine = engine
        self._batches = batches
        self._settings = settings
        self._checkpoints = checkpoints
        self._hooks = Hooks(callbacks, engine)
        self._clock, self._refit = clock, refit
        self._bar = Progress(settings.max_epochs, verbose=settings.verbose)
        self._interrupt = Interrupt()
        self._last_written = clock.seconds
        # metrics of the state, known without a transfer from the device
        totals = StepMetrics(*map(float, progress.state.totals))
        self._metrics = EpochMetrics(totals, engine.rate(progress.state), finite=True)
        self._num_steps = 0
        # up to this epoch each is a call of its own: several in one call produced NaN
        self._one_by_one = 0

    def write_checkpoint(self) -> None:
        """Write a snapshot of the current progress, if checkpoints are on."""
        if self._checkpoints is None:
            return
        seconds = self._clock.seconds
        self._checkpoints.write(Snapshot.of(replace(self.progress, seconds=seconds)))
        self._last_written = self._clock.seconds

    def _epoch(self, split: SplitData, most: int | None) -> StopReason | None:
        """Train to the end of the epoch or until something stops it."""
        progress = self.progress
        if not progress.within_epoch:
            progress.state = progress.state._replace(totals=StepMetrics.zero())
            self._hook("on_epoch_begin", progress.epoch - 1)
        norms = self._norms(split)
        until = None if most is None else most + self._num_steps
        while progress.shard < split.shards.num_shards:
            shard = split.shards.load(progress.epoch, progress.shard)
            runs = list(
                self._batches.epoch(
                    shard.rows, seed=self._settings.seed, epoch=progress.epoch, shard=progress.shard
                )
            )
            if self._goes_on_after(runs, split, until):
                split.shards.read_ahead(progress.epoch, progress.shard)
            while progress.run < len(runs):
                run = runs[progress.run]
                last = run.num_batches
                if until is not None:
                    last = min(last, progress.batch + until - self._num_steps)
                if last > progress.batch:
                    self._run_chunk(shard, run, last, norms)
                    if not math.isfinite(self._metrics.totals.error):
                        return StopReason.DIVERGED
                if progress.batch == run.num_batches:
                    progress.run, progress.batch = progress.run + 1, 0
                elif last <= progress.batch:  # the requested steps are done
                    progress.shard, progress.run, progress.batch = 0, 0, 0
                    return self._must_stop()
                if progress.run == len(runs):
                    break
                self._checkpoint_if_due()
                if stopped := self._must_stop():
                    return stopped
            progress.shard, progress.run = progress.shard + 1, 0
            if progress.shard < split.shards.num_shards:
                self._checkpoint_if_due()
                if stopped := self._must_stop():
                    return stopped
        progress.shard = 0
        return self._must_stop()

    def _norms(self, split: SplitData) -> LossNormalizers:
        observed, size = split.num_observed / max(1, split.num_sequences), self._settings.batch_size
        return LossNormalizers(max(1.0, observed * size), float(size))

    def _goes_on_after(self, runs: list[BatchPlan], split: SplitData, until: int | None) -> bool:
        """Return whether another shard is needed after these runs, unless training stops early."""
        progress = self.progress
        if until is not None:
            left = sum(run.num_batches for run in runs[progress.run :]) - progress.batch
            return self._num_steps + left < until
        last_shard = progress.shard + 1 == split.shards.num_shards
        return not last_shard or progress.epoch < self._settings.max_epochs

    def _run_chunk(self, shard: Shard, run: BatchPlan, last: int, norms: LossNormalizers) -> None:
        progress = self.progress
        most = 1 if self._hooks.every_step else self._clock.chunk(run.bucket)
        stop = min(last, progress.batch + most)
        if self._hooks.every_step:
            step = self._num_steps
            self._hook("on_train_batch_begin", step)
        progress.state, (self._metrics,) = self._train(shard, run, progress.batch, stop, norms)
        self._num_steps += stop - progress.batch
        progress.batch = stop
        if self._hooks.every_step:
            logs = {"loss": self._engine.loss(self._metrics.totals)}
            self._hook("on_train_batch_end", step, logs)

    def _several_epochs(self, split: SplitData) -> bool:
        """Train several short epochs in one call, if nothing has to happen between them.

        If a loss is not finite, the call is discarded, and the epochs are trained one by one, so
        that those before it count.
        """
        progress = self.progress
        if self._hooks.present or split.held_out is not None or not split.shards.same_each_epoch:
            return False
        if progress.within_epoch or progress.epoch <= self._one_by_one:
            return False
        shard = split.shards.load(progress.epoch, 0)
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
        progress.state = progress.state._replace(totals=StepMetrics.zero())
        state, metrics = self._train(shard, run, 0, num_batches, self._norms(split), count)
        if not all(epoch.sound for epoch in metrics):
            self._one_by_one = progress.epoch + count
            return False
        progress.state = state
        self._num_steps += count * num_batches
        each = (self._clock.seconds - began) / count
        for i, self._metrics in enumerate(metrics):
            progress.record(
                self._engine.loss(self._metrics.totals),
                None,
                self._metrics.rate,
                began + (i + 1) * each,
            )
            self._bar.epoch(progress.epoch, progress.history["loss"][-1], None)
            progress.epoch += 1
        self._checkpoint_after_epoch()
        return True

    def _epochs_left(self, num_batches: int) -> int:
        """Return the number of whole epochs to the end of the phase or the next checkpoint."""
        progress = self.progress
        left = self._settings.max_epochs - progress.epoch + 1
        if progress.phase == "refit":
            left = (progress.refit_steps - self._num_steps) // num_batches
        if self._checkpoints and (every := self._checkpoints.epochs):
            left = min(left, every - (progress.epoch - 1) % every)
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
            run._replace(rows=shard.places(self._processes.own_columns(run.rows))),
            start,
            stop,
            norms=norms,
            schedule=Schedule(np.float32(progress.peak), np.int32(progress.num_steps)),
            num_epochs=num_epochs,
        )
        metrics = EpochMetrics.each(on_device, num_epochs)
        self._clock.took(time.perf_counter() - began, run.bucket, (stop - start) * num_epochs)
        return state, metrics

    def _end_epoch(self, loss: float, val_loss: float | None) -> None:
        progress = self.progress
        progress.record(loss, val_loss, self._metrics.rate, self._clock.seconds)
        self._bar.epoch(progress.epoch, loss, val_loss)
        logs = {"loss": loss, "learning_rate": self._metrics.rate}
        if val_loss is not None:
            logs["val_loss"] = val_loss
        self._hook("on_epoch_end", progress.epoch - 1, logs)
        progress.epoch += 1
        self._checkpoint_after_epoch()

    def _validate(self, shard: Shard) -> float:
        totals = StepMetrics(*[0.0] * len(StepMetrics._fields))
        rows = shard.rows
        if self._engine.evaluates_in_parts:
            rows = rows[self._processes.index :: self._processes.count]
        for run in self._batches.epoch(rows):
            began = time.perf_counter()
            run = run._replace(rows=shard.places(run.rows))
            totals = totals.plus(self._engine.evaluate(self.progress.state, shard.data, run))
            self._clock.took(time.perf_counter() - began, (run.bucket, "validation"))
        if self._engine.evaluates_in_parts:
            totals = StepMetrics(*self._processes.sum([np.array(totals)])[0].tolist())
        return self._engine.loss(totals)

    def _must_stop(self) -> StopReason | None:
        if self._interrupt.asked:
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
            refit = self._refit
            planned = self._clock.plan(self._num_steps, progress.num_steps, refit=refit)
            is_up = self._clock.is_up(progress.best_steps if refit else None)
        return StopReason.TIME if is_up else None, planned

    def _checkpoint_after_epoch(self) -> None:
        every = self._checkpoints.epochs if self._checkpoints else None
        if every and (self.progress.epoch - 1) % every == 0:
            self.write_checkpoint()
        else:
            self._checkpoint_if_due()

    def _checkpoint_if_due(self) -> None:
        if (
            self._checkpoints is not None
            and self._clock.seconds - self._last_written >= self._checkpoints.seconds
        ):
            self.write_checkpoint()

    def _begin(self, epochs: int) -> None:
        """Tell the callbacks that a phase of ``epochs`` epochs begins."""
        begin = functools.partial(self._hooks.begin, phase=self.progress.phase, epochs=epochs)
        self._apply_hooks(begin)

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
