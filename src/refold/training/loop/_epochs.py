"""Epochs of compiled chunks: what runs, what is looked at between, and what a hook may change.

`Epochs` owns where a training stands (`Standing`) and moves it on, one chunk at a time.  Between
chunks it looks at the clock, at Ctrl-C and at the loss, and has a checkpoint written when one is
due.  What the data is, and what a checkpoint file looks like, it does not know.
"""

import functools
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from refold.sequences import Batches, BatchPlan
from refold.training._progress import Progress
from refold.training._settings import Settings
from refold.training.data._loaders import Shard
from refold.training.loop._callbacks import Hooks
from refold.training.loop._clock import Clock
from refold.training.loop._compiled_steps import Engine
from refold.training.loop._interrupt import Interrupt
from refold.training.loop._phase_data import Checkpoints, SplitData, StopReason
from refold.training.loop._schedule import Schedule
from refold.training.loop._snapshot import Snapshot, TrainingProgress
from refold.training.loop._train_state import EpochMetrics, LossNormalizers, StepMetrics, TrainState

__all__ = ["Epochs"]


class Epochs:
    """Epochs of one training, from where it stands.

    Parameters
    ----------
    engine : Engine
    batches : Batches
        Of all sequences.
    settings : Settings
    standing : Standing
    clock : Clock
        That of the whole training.
    checkpoints : Checkpoints, optional
    callbacks : sequence of keras.callbacks.Callback

    Attributes
    ----------
    standing : Standing
    """

    def __init__(
        self,
        engine: Engine,
        batches: Batches,
        settings: Settings,
        standing: TrainingProgress,
        clock: Clock,
        *,
        checkpoints: Checkpoints | None = None,
        callbacks: Sequence[Any] = (),
    ) -> None:
        self.standing = standing
        self._engine = engine
        self._batches = batches
        self._settings = settings
        self._checkpoints = checkpoints
        self._hooks = Hooks(callbacks, engine)
        self._clock = clock
        self._last_written = clock.seconds
        # of the state, as Python knows it without asking the device
        totals = StepMetrics(*map(float, standing.state.totals))
        self._seen = EpochMetrics(totals, engine.rate(standing.state), finite=True)
        self._num_steps = 0
        # epochs up to this one are trained one by one: taken together they came to no good
        self._one_by_one = 0

    def write_checkpoint(self) -> None:
        """Have a snapshot of this moment written, if snapshots are wanted."""
        if self._checkpoints is None:
            return
        seconds = self._clock.seconds
        self._checkpoints.write(Snapshot.of(replace(self.standing, seconds=seconds)))
        self._last_written = self._clock.seconds

    def _epoch(
        self, part: SplitData, interrupt: Interrupt, most: int | None, *, refit: bool
    ) -> StopReason | None:
        """Go on to the end of the epoch, or until something stops it."""
        standing = self.standing
        if not standing.within_epoch:
            standing.state = standing.state._replace(totals=StepMetrics.zero())
            self._hook("on_epoch_begin", standing.epoch - 1)
        norms = part.norms(self._settings.batch_size)
        until = None if most is None else most + self._num_steps
        while standing.page < part.pages.num_pages:
            page = part.pages.load(standing.epoch, standing.page)
            runs = list(
                self._batches.epoch(
                    page.rows, seed=self._settings.seed, epoch=standing.epoch, page=standing.page
                )
            )
            if self._goes_on_after(runs, part, until):
                part.pages.read_ahead(standing.epoch, standing.page)
            while standing.run < len(runs):
                run = runs[standing.run]
                last = run.num_batches
                if until is not None:
                    last = min(last, standing.batch + until - self._num_steps)
                if last > standing.batch:
                    self._run_chunk(page, run, last, norms)
                    if not math.isfinite(self._seen.totals.error):
                        return StopReason.DIVERGED
                if standing.batch == run.num_batches:
                    standing.run, standing.batch = standing.run + 1, 0
                elif last <= standing.batch:  # the steps that were asked for are done
                    standing.page, standing.run, standing.batch = 0, 0, 0
                    return self._must_stop(interrupt, refit=refit)
                if standing.run == len(runs):
                    break
                self._checkpoint_if_due()
                if stopped := self._must_stop(interrupt, refit=refit):
                    return stopped
            standing.page, standing.run = standing.page + 1, 0
            if standing.page < part.pages.num_pages:
                self._checkpoint_if_due()
                if stopped := self._must_stop(interrupt, refit=refit):
                    return stopped
        standing.page = 0
        return self._must_stop(interrupt, refit=refit)

    def _goes_on_after(self, runs: list[BatchPlan], part: SplitData, until: int | None) -> bool:
        """Say whether another page is needed after these runs, unless training stops early."""
        standing = self.standing
        if until is not None:
            left = sum(run.num_batches for run in runs[standing.run :]) - standing.batch
            return self._num_steps + left < until
        last_page = standing.page + 1 == part.pages.num_pages
        return not last_page or standing.epoch < self._settings.max_epochs

    def _run_chunk(self, page: Shard, run: BatchPlan, last: int, norms: LossNormalizers) -> None:
        standing = self.standing
        most = 1 if self._hooks.every_step else self._clock.chunk(run.bucket)
        stop = min(last, standing.batch + most)
        if self._hooks.every_step:
            step = self._num_steps
            self._hook("on_train_batch_begin", step)
        standing.state, (self._seen,) = self._train(page, run, standing.batch, stop, norms)
        self._num_steps += stop - standing.batch
        standing.batch = stop
        if self._hooks.every_step:
            logs = {"loss": self._engine.loss(self._seen.totals)}
            self._hook("on_train_batch_end", step, logs)

    def _several_epochs(self, part: SplitData, progress: Progress) -> bool:
        """Go on by several short epochs in one chunk, if nothing has to happen between them.

        If a loss is not finite nothing has been done: one by one, the epochs before it count.
        """
        standing = self.standing
        if self._hooks.present or part.held_out is not None or part.pages.num_pages > 1:
            return False
        if standing.within_epoch or standing.epoch <= self._one_by_one:
            return False
        page = part.pages.load(standing.epoch, 0)
        num_batches = self._batches.num_batches(page.rows)
        count = min(
            self._batches.epochs_in_a_run(page.rows),
            self._clock.chunk(self._batches.buckets[0]) // max(1, num_batches),
            self._epochs_to_come(num_batches),
        )
        if count < 2:
            return False
        run = self._batches.epochs(
            page.rows, seed=self._settings.seed, first=standing.epoch, count=count
        )
        began = self._clock.seconds
        standing.state = standing.state._replace(totals=StepMetrics.zero())
        state, seen = self._train(
            page, run, 0, num_batches, part.norms(self._settings.batch_size), count
        )
        if not all(epoch.sound for epoch in seen):
            self._one_by_one = standing.epoch + count
            return False
        standing.state = state
        self._num_steps += count * num_batches
        each = (self._clock.seconds - began) / count
        for i, self._seen in enumerate(seen):
            standing.record(
                self._engine.loss(self._seen.totals), None, self._seen.rate, began + (i + 1) * each
            )
            progress.epoch(standing.epoch, standing.history["loss"][-1], None)
            standing.epoch += 1
        self._checkpoint_after_epoch()
        return True

    def _epochs_to_come(self, num_batches: int) -> int:
        """Count the whole epochs up to the end of the phase, or to where a checkpoint is due."""
        standing = self.standing
        left = self._settings.max_epochs - standing.epoch + 1
        if standing.phase == "refit":
            left = (standing.refit_steps - self._num_steps) // num_batches
        if self._checkpoints and (every := self._checkpoints.epochs):
            left = min(left, every - (standing.epoch - 1) % every)
        return left

    def _train(
        self,
        page: Shard,
        run: BatchPlan,
        start: int,
        stop: int,
        norms: LossNormalizers,
        num_epochs: int = 1,
    ) -> tuple[TrainState, list[EpochMetrics]]:
        """Call the engine, and note what it took."""
        standing = self.standing
        began = time.perf_counter()
        state, numbers = self._engine.train(
            standing.state,
            page.data,
            run._replace(rows=page.places(run.rows)),
            start,
            stop,
            norms=norms,
            schedule=Schedule(np.float32(standing.peak), np.int32(standing.num_steps)),
            num_epochs=num_epochs,
        )
        seen = EpochMetrics.each(numbers, num_epochs)
        self._clock.took(time.perf_counter() - began, run.bucket, (stop - start) * num_epochs)
        return state, seen

    def _end_epoch(self, loss: float, val_loss: float | None, progress: Progress) -> None:
        standing = self.standing
        standing.record(loss, val_loss, self._seen.rate, self._clock.seconds)
        progress.epoch(standing.epoch, loss, val_loss)
        logs = {"loss": loss, "learning_rate": self._seen.rate}
        if val_loss is not None:
            logs["val_loss"] = val_loss
        self._hook("on_epoch_end", standing.epoch - 1, logs)
        standing.epoch += 1
        self._checkpoint_after_epoch()

    def _validate(self, page: Shard) -> float:
        totals = StepMetrics(*[0.0] * len(StepMetrics._fields))
        for run in self._batches.epoch(page.rows):
            began = time.perf_counter()
            run = run._replace(rows=page.places(run.rows))
            totals = totals.plus(self._engine.evaluate(self.standing.state, page.data, run))
            self._clock.took(time.perf_counter() - began, (run.bucket, "validation"))
        return self._engine.loss(totals)

    def _must_stop(self, interrupt: Interrupt, *, refit: bool) -> StopReason | None:
        if interrupt.asked:
            return StopReason.INTERRUPTED
        standing = self.standing
        if standing.phase == "refit":
            left = standing.refit_steps > self._num_steps
            return StopReason.TIME if left and self._clock.is_up() else None
        standing.num_steps = self._clock.plan(self._num_steps, standing.num_steps, refit=refit)
        return (
            StopReason.TIME if self._clock.is_up(standing.best_steps if refit else None) else None
        )

    def _checkpoint_after_epoch(self) -> None:
        every = self._checkpoints.epochs if self._checkpoints else None
        if every and (self.standing.epoch - 1) % every == 0:
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
        """Tell the callbacks that a phase begins, of so many epochs."""
        begin = functools.partial(self._hooks.begin, phase=self.standing.phase, epochs=epochs)
        self._heed(begin)

    def _hook(self, name: str, *args: Any) -> None:
        self._heed(lambda state: self._hooks.call(name, state, *args))

    def _heed(self, call: Callable[[TrainState], TrainState]) -> None:
        """Call the callbacks if there are any; a rate that they change scales the schedule."""
        if not self._hooks.present:
            return
        standing = self.standing
        before = self._engine.rate(standing.state)
        standing.state = call(standing.state)
        after = self._engine.rate(standing.state)
        if after == before:
            return
        if before > 0:
            standing.peak *= after / before
        else:  # from nothing: the next rate is what was set
            schedule = Schedule(np.float32(1.0), np.int32(standing.num_steps))
            standing.peak = after / float(schedule.rate(self._num_steps))
