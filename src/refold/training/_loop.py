"""The training loop: epochs of compiled chunks, validation, early stopping, and the refit.

A loop owns where a training stands (`Standing`) and moves it on, one chunk at a time.  Between
chunks it looks at the clock, at Ctrl-C and at the loss, and has a checkpoint written when one is
due.  What the data is, and what a checkpoint file looks like, it does not know.
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from enum import Enum
from typing import Any, NamedTuple

import numpy as np

from refold.sequences import Batches, Run
from refold.training._callbacks import Hooks
from refold.training._data import Data
from refold.training._engine import Engine, Norms, Totals
from refold.training._interrupt import Interrupt
from refold.training._progress import Progress
from refold.training._schedule import Schedule
from refold.training._settings import Settings
from refold.training._snapshot import Snapshot, Standing

__all__ = ["Checkpoints", "End", "Loop", "Part"]

_CHUNK_SECONDS = 1.0
# Share of a time budget, and steps, after which the speed is known well enough to plan by.
_LOOK, _LOOK_STEPS = 0.05, 20
# What a refit may take longer than its steps did before.
_MARGIN = 1.1


class Part(NamedTuple):
    """What one phase trains on.

    Attributes
    ----------
    data : Data
    rows : array of int
        Sequences to train on.
    held_out : array of int
        Sequences to validate on; may be none.
    num_observed : int
        Observed targets among ``rows``.
    """

    data: Data
    rows: np.ndarray
    held_out: np.ndarray
    num_observed: int


class Checkpoints(NamedTuple):
    """When snapshots are taken, and who takes them.

    Attributes
    ----------
    write : callable
        Called with a `Snapshot`.
    seconds : float
        One is due so long after the one before.
    epochs : int, optional
        And at the end of every so many epochs.
    """

    write: Callable[[Snapshot], None]
    seconds: float = 60.0
    epochs: int | None = None


class End(Enum):
    """Why a phase has ended."""

    DONE = "done"
    TIME = "time"
    INTERRUPTED = "interrupted"
    DIVERGED = "diverged"


class Loop:
    """Train a network from where it stands.

    Parameters
    ----------
    engine : Engine
    batches : Batches
        Of all sequences.
    settings : Settings
    standing : Standing
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
        standing: Standing,
        *,
        checkpoints: Checkpoints | None = None,
        callbacks: Sequence[Any] = (),
    ) -> None:
        self.standing = standing
        self._engine = engine
        self._batches = batches
        self._settings = settings
        self._checkpoints = checkpoints
        self._hooks = Hooks(callbacks, engine, {"epochs": settings.max_epochs, "verbose": 0})
        self._chunks: dict[Any, _Chunk] = {}
        self._pace = _Pace()
        self._resumed_at = time.perf_counter() - standing.seconds
        self._last_written = time.perf_counter()
        self._planned = settings.time_budget is None

    @property
    def seconds(self) -> float:
        """Seconds trained so far."""
        return time.perf_counter() - self._resumed_at

    def validated(
        self, part: Part, interrupt: Interrupt, progress: Progress, *, refit: bool
    ) -> End:
        """Train until the validation loss no longer falls.

        Parameters
        ----------
        part : Part
        interrupt : Interrupt
        progress : Progress
        refit : bool
            Whether a refit follows, for which time is to be left.

        Returns
        -------
        End
        """
        standing = self.standing
        self._hook("on_train_begin")
        end = End.DONE
        while standing.epoch <= self._settings.max_epochs and not self._hooks.stop:
            stopped = self._epoch(part, interrupt, None, refit=refit)
            if stopped is End.INTERRUPTED and standing.run + standing.batch:
                end = stopped
                break
            loss = self._engine.loss(standing.state.totals)
            val_loss = self._validate(part) if len(part.held_out) else None
            measured = loss if val_loss is None else val_loss
            # without validation nobody has looked at the weights of the last step yet
            sound = val_loss is not None or self._engine.is_finite(standing.state)
            if not (math.isfinite(loss) and math.isfinite(measured) and sound):
                end = End.DIVERGED
                break
            if val_loss is None or val_loss < standing.best_loss:
                standing.best = [*standing.state.trainable, *standing.state.non_trainable]
                standing.best_loss = measured
                standing.best_epoch = standing.epoch
                standing.best_steps = self._engine.num_steps(standing.state)
            self._end_epoch(loss, val_loss, progress)
            if stopped is not None:
                end = stopped
                break
            if standing.epoch - 1 - standing.best_epoch >= self._settings.patience:
                break
        self._hook("on_train_end")
        return end

    def refit(self, part: Part, interrupt: Interrupt, progress: Progress) -> End:
        """Train on all sequences for the number of steps that validation chose.

        Parameters
        ----------
        part : Part
            Of the whole data.
        interrupt : Interrupt
        progress : Progress

        Returns
        -------
        End
        """
        standing = self.standing
        self._hook("on_train_begin")
        while (done := self._engine.num_steps(standing.state)) < standing.refit_steps:
            stopped = self._epoch(part, interrupt, standing.refit_steps - done, refit=False)
            loss = self._engine.loss(standing.state.totals)
            if not (math.isfinite(loss) and self._engine.is_finite(standing.state)):
                return End.DIVERGED
            if stopped is not None:
                return stopped
            self._end_epoch(loss, None, progress)
        self._hook("on_train_end")
        return End.DONE

    def write_checkpoint(self) -> None:
        """Have a snapshot of this moment written, if snapshots are wanted."""
        if self._checkpoints is None:
            return
        self._checkpoints.write(Snapshot.of(replace(self.standing, seconds=self.seconds)))
        self._last_written = time.perf_counter()

    def _epoch(
        self, part: Part, interrupt: Interrupt, most: int | None, *, refit: bool
    ) -> End | None:
        """Go on to the end of the epoch, or until something stops it."""
        standing = self.standing
        if standing.run == standing.batch == 0:
            standing.state = standing.state._replace(totals=Totals.zero())
            self._hook("on_epoch_begin", standing.epoch - 1)
        norms = Norms(
            max(1.0, part.num_observed / max(1, len(part.rows)) * self._settings.batch_size),
            float(self._settings.batch_size),
        )
        runs = list(self._batches.epoch(part.rows, seed=self._settings.seed, epoch=standing.epoch))
        begun = self._engine.num_steps(standing.state)
        while standing.run < len(runs):
            run = runs[standing.run]
            last = run.num_batches
            if most is not None:
                done = self._engine.num_steps(standing.state) - begun
                last = min(last, standing.batch + most - done)
            if last <= standing.batch:
                break
            self._run_chunk(part, run, last, norms)
            if standing.batch == run.num_batches:
                standing.run, standing.batch = standing.run + 1, 0
            if not math.isfinite(float(standing.state.totals.error)):
                return End.DIVERGED
            if standing.run < len(runs):
                self._checkpoint_if_due()
                if stopped := self._must_stop(interrupt, refit=refit):
                    return stopped
        standing.run = standing.batch = 0
        return self._must_stop(interrupt, refit=refit)

    def _run_chunk(self, part: Part, run: Run, last: int, norms: Norms) -> None:
        standing = self.standing
        chunk = self._chunks.setdefault(run.bucket, _Chunk())
        stop = min(last, standing.batch + (1 if self._hooks.every_step else chunk.num_steps))
        if self._hooks.every_step:
            step = self._engine.num_steps(standing.state)
            self._hook("on_train_batch_begin", step)
        began = time.perf_counter()
        standing.state = self._engine.train(
            standing.state,
            part.data,
            run,
            standing.batch,
            stop,
            norms=norms,
            schedule=Schedule(np.float32(standing.peak), np.int32(standing.num_steps)),
        )
        standing.state.totals.error.block_until_ready()
        chunk.took(time.perf_counter() - began, stop - standing.batch)
        self._pace.took(time.perf_counter() - began, run.bucket, stop - standing.batch)
        standing.batch = stop
        if self._hooks.every_step:
            logs = {"loss": self._engine.loss(standing.state.totals)}
            self._hook("on_train_batch_end", step, logs)

    def _end_epoch(self, loss: float, val_loss: float | None, progress: Progress) -> None:
        standing = self.standing
        row = {
            "epoch": standing.epoch,
            "phase": standing.phase,
            "loss": loss,
            "val_loss": val_loss,
            "learning_rate": self._engine.rate(standing.state),
            "seconds": self.seconds,
        }
        for name, value in row.items():
            standing.history[name].append(value)
        progress.epoch(standing.epoch, loss, val_loss)
        logs = {"loss": loss, "learning_rate": row["learning_rate"]}
        if val_loss is not None:
            logs["val_loss"] = val_loss
        self._hook("on_epoch_end", standing.epoch - 1, logs)
        every = self._checkpoints.epochs if self._checkpoints else None
        standing.epoch += 1
        if every and (standing.epoch - 1) % every == 0:
            self.write_checkpoint()
        else:
            self._checkpoint_if_due()

    def _validate(self, part: Part) -> float:
        totals = Totals.zero()
        for run in self._batches.epoch(part.held_out):
            began = time.perf_counter()
            found = self._engine.evaluate(self.standing.state, part.data, run)
            totals = Totals(*(a + b for a, b in zip(totals, found, strict=True)))
            totals.error.block_until_ready()
            self._pace.took(time.perf_counter() - began, (run.bucket, "validation"))
        return self._engine.loss(totals)

    def _must_stop(self, interrupt: Interrupt, *, refit: bool) -> End | None:
        if interrupt.asked:
            return End.INTERRUPTED
        budget = self._settings.time_budget
        if budget is None:
            return None
        standing = self.standing
        if standing.phase == "refit":
            return End.TIME if self.seconds >= budget else None
        known = self._pace.num_steps >= _LOOK_STEPS
        if known and not self._planned and self.seconds >= _LOOK * budget:
            # what is left of the time, and half of it for a refit of as many steps
            left = (budget - self.seconds) / (1 + _MARGIN * refit)
            steps = self._engine.num_steps(standing.state)
            most = steps + int(left / self._pace.seconds_a_step)
            standing.num_steps = max(steps + 1, min(standing.num_steps, most))
            self._planned = True
        needed = _MARGIN * refit * self._pace.seconds_a_step * standing.best_steps
        return End.TIME if self.seconds + needed >= budget else None

    def _checkpoint_if_due(self) -> None:
        if (
            self._checkpoints is not None
            and time.perf_counter() - self._last_written >= self._checkpoints.seconds
        ):
            self.write_checkpoint()

    def _hook(self, name: str, *args: Any) -> None:
        if not self._hooks.present:
            return
        standing = self.standing
        before = self._engine.rate(standing.state)
        standing.state = self._hooks.call(name, standing.state, *args)
        after = self._engine.rate(standing.state)
        if before > 0 and after != before:
            standing.peak *= after / before


class _Chunk:
    """How many steps to run at once: about a second's worth."""

    def __init__(self) -> None:
        self.num_steps = 1
        self._compiled = False

    def took(self, seconds: float, num_steps: int) -> None:
        if self._compiled:
            self.num_steps = max(1, int(_CHUNK_SECONDS * num_steps / max(seconds, 1e-6)))
        self._compiled = True


class _Pace:
    """Seconds that a step takes, all that goes with it included but for compilation."""

    def __init__(self) -> None:
        self.num_steps = 0
        self._began = time.perf_counter()
        self._compiled: set[Any] = set()

    @property
    def seconds_a_step(self) -> float:
        return (time.perf_counter() - self._began) / max(1, self.num_steps)

    def took(self, seconds: float, shape: Any, num_steps: int = 0) -> None:
        if shape in self._compiled:
            self.num_steps += num_steps
        else:  # the first call of a shape compiles: as if it had not been
            self._compiled.add(shape)
            self._began += seconds
