"""`Training`: train a network for epochs in one or two phases, with early stopping.

Early stopping ends a phase if the validation loss has not improved for some epochs, and keeps the
weights of the best epoch. `Training` uses a `TrainingEngine` for the compiled updates and a
`TrainingProgress`, which checkpoints save. The other classes here are a `Clock` for the time and
the time budget, an `InterruptHandler` for Ctrl-C, a `ProgressBar`, and `CallbackHooks` for Keras.
"""

import contextlib
import math
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from types import FrameType
from typing import Any, NamedTuple, Self

import keras
import numpy as np
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from refold._support.messages import warn
from refold._support.progress_bars import progress_bar
from refold.arguments import Corruption
from refold.errors import DivergedError, ParameterError
from refold.network.keras.build import Network
from refold.sequences import BatchRun, BucketedBatches
from refold.training._processes import Processes
from refold.training._shards import LoadedShard, PhaseData
from refold.training.loop._checkpoint import HISTORY_COLUMNS, ResumableTraining, TrainingProgress
from refold.training.loop._compiled_steps import (
    AdamW,
    EpochMetrics,
    LossNormalizers,
    MetricSums,
    Schedule,
    TrainingEngine,
    TrainState,
)

# Weight of the loss of predicted lengths, which is in nats per sequence. A larger weight would
# cost reconstruction.
_LENGTH_LOSS_WEIGHT = 0.05
# Weight decay of the default optimizer.
_WEIGHT_DECAY = 1e-4
# Cap on the norm of all gradients together in the default optimizer.
_MAX_GRADIENT_NORM = 1.0
# Weights with one of these words in their names have no weight decay. `change` is what training
# adds to the initial weights of a linear path (the linear maps beside the LSTMs).
_UNDECAYED_NAME_PARTS = ("bias", "change")
# Methods of a Keras callback that are called at every update.
_BATCH_HOOKS = ("on_batch_begin", "on_batch_end", "on_train_batch_begin", "on_train_batch_end")

# A chunk is a number of updates (training steps) that run in one compiled call. Between chunks,
# Python can react to Ctrl-C and to the end of the time budget. A chunk does not go beyond the end
# of an epoch: several short epochs in one chunk made a fit only a few percent faster, if at all.

# Target for the seconds that a chunk takes.
_TARGET_CHUNK_SECONDS = 1.0
# Updates in a chunk whose length must not depend on time: more than a chunk can have.
_MAX_CHUNK_UPDATES = 1 << 20
# Share of the time budget that must have passed before the number of updates is planned, because
# the first updates may not have the usual speed.
_MIN_TIME_SHARE_BEFORE_PLAN = 0.05
# Number of updates that must have been timed before the number of updates is planned.
_MIN_UPDATES_BEFORE_PLAN = 20
# Factor on the time of a refit, whose updates may be slower than those before.
_REFIT_SLOWDOWN_FACTOR = 1.1


class Settings(NamedTuple):
    """Settings of a training."""

    max_epochs: int
    batch_size: int  # number of sequences of average length in a batch
    updates_per_epoch: int  # approximate; this times max_epochs is the length of the schedule
    learning_rate: float  # peak of the schedule
    seed: int  # of the order of the data
    patience: int  # epochs without a better validation loss before training stops
    optimizer: Any = None  # a name, or a Keras optimizer with its own rate; by default AdamW
    time_budget: float | None = None  # seconds for both phases together
    warp_std: float = 0.0  # standard deviation of the time warps, in steps of a sequence
    corruption: Corruption = Corruption()  # in training and in validation
    refit: bool = False  # whether a refit on all sequences follows the validated phase
    verbose: int = 0  # 1 for a progress bar on standard error


class StopReason(Enum):
    """Reason why a phase ended. A warning about the refit begins with its value."""

    DONE = "The refit on all sequences is done"  # or the validated phase has no epoch to come
    TIME = "The time budget ran out in the refit on all sequences"
    INTERRUPTED = "The refit on all sequences was interrupted"  # by Ctrl-C
    STOPPED = "A callback stopped the refit on all sequences"
    DIVERGED = "The loss became NaN or infinite in the refit on all sequences"


@dataclass(frozen=True)
class FitResult:
    """Result of a training, without the weights, which the network has."""

    # phase that trained the weights of the network: "validated" or "refit"; None if none were kept
    phase: str | None
    history: dict[str, list[Any]]  # by `HISTORY_COLUMNS`; "val_loss" only with validation
    best_epoch: int  # of the validated phase, counted from 1; 0 for the initial weights
    interrupted: bool = False  # by Ctrl-C
    complete: bool = True  # whether the validated phase was finished
    num_shapes: int = 0  # padded shapes of batches; training was compiled for each
    # weights of the validated phase, in the order of `network.variables`; None if the network has
    # them itself, because no refit followed
    validated_weights: list[Any] | None = None
    out_of_time: bool = False  # whether the time budget ended the validated phase
    initial_loss: float | None = None  # validation loss of the initial weights, if measured


class Training:
    """Train the weights of an autoencoder and its length model in place, phase by phase."""

    # The phase "validated" ends with the weights of the epoch with the lowest validation loss or,
    # without validation, with the weights of the last epoch. With `settings.refit`, the phase
    # "refit" follows. It trains on all sequences, again from initial weights, for as many updates
    # as the first phase needed for its best epoch. If the time budget, Ctrl-C, a callback or a loss
    # that is not finite ends the refit early, the validated weights are kept.
    #
    # To train, enter the context. As long as `phase` is not None, initialize the network if
    # `needs_initialization` is True, and call `run_phase` with the data of the phase. Then there is
    # a `result`.

    def __init__(
        self,
        network: Network,
        batches: BucketedBatches,
        settings: Settings,
        *,
        # what to continue from, and the checkpoint to write
        saved_training: ResumableTraining | None = None,
        callbacks: Sequence[Any] = (),
        processes: Processes | None = None,
    ) -> None:
        self._network, self._batches, self._settings = network, batches, settings
        self._saved_training, self._processes = saved_training, processes or Processes()
        saved_progress = saved_training and saved_training.progress
        is_single = self._processes.process_count == 1
        seconds = 0.0 if saved_progress is None else saved_progress.seconds
        self._clock = Clock(settings.time_budget, seconds, adapts_chunks=is_single)
        self._last_checkpoint_seconds = self._clock.seconds
        self._progress_bar = ProgressBar(verbose=settings.verbose)
        # several processes have to stop together, so none of them stops on Ctrl-C of its own
        self._interrupt_handler = InterruptHandler() if is_single else None
        self._engine = _make_engine(network, batches, settings, self._processes)
        self._callback_hooks = CallbackHooks(callbacks, self._engine)
        self._untrained_state = self._engine.read_state_from_keras()
        num_updates = settings.max_epochs * settings.updates_per_epoch
        self._progress = saved_progress or TrainingProgress(
            self._untrained_state, settings.learning_rate, num_updates
        )
        # metrics of the current epoch, summed over its updates so far
        self._epoch_metrics = EpochMetrics(MetricSums(), settings.learning_rate, is_finite=True)
        self._num_phase_updates = 0  # updates of the current phase so far
        self.needs_initialization = saved_progress is None  # else the phase is resumed
        self.phase: str | None = self._progress.phase  # None after the last one
        self.result: FitResult
        # closes the progress bar and the handler of Ctrl-C
        self._exit_stack = contextlib.ExitStack()
        self._has_started, self._out_of_time = False, False

    def __enter__(self) -> Self:
        self._exit_stack.enter_context(self._progress_bar.display)
        return self

    def __exit__(self, *error: Any) -> None:
        self._exit_stack.__exit__(*error)

    # The phases

    def run_phase(
        self,
        phase_data: PhaseData,
        *,
        keep_initial: bool = False,  # whether to keep the initial weights if no epoch is better
    ) -> None:
        """Train to the end of the phase, or raise a DivergedError if no weights can be kept."""
        progress = self._progress
        if self.needs_initialization:
            progress.state = self._engine.read_state_from_keras()
        if not self._has_started:
            self._clock.end_preparation()
            if self.needs_initialization:
                progress.preparation_seconds = self._clock.preparation_seconds
            # a resumed training was prepared in an earlier run, whose time the checkpoint holds
            self._clock.preparation_seconds = progress.preparation_seconds
            # before this line, Ctrl-C ends the program at once, because there is nothing to save
            if self._interrupt_handler is not None:
                self._exit_stack.enter_context(self._interrupt_handler)
            # until the first epoch ends, most of the time is compilation
            self._progress_bar.begin_stage("epoch", self._settings.max_epochs, "compiling")
            self._has_started = True
        stop_reason = self._train_epochs(phase_data, keep_initial=keep_initial)
        if stop_reason is StopReason.INTERRUPTED:
            self._write_checkpoint()
        if self.phase == "validated":
            self._end_validated_phase(stop_reason)
            return
        # The refit has ended. Set the result, and use the weights of a finished refit.
        self._set_result(interrupted=stop_reason is StopReason.INTERRUPTED)
        if stop_reason is not StopReason.DONE:
            warn(f"{stop_reason.value}. {_describe_kept_weights(self._progress)}")
            return
        # the network has the validated weights now
        validated_weights = [np.asarray(variable.value) for variable in self._network.variables]
        self._engine.write_back(self._progress.state)
        self.result = replace(self.result, phase="refit", validated_weights=validated_weights)

    def _end_validated_phase(self, stop_reason: StopReason) -> None:
        """End the validated phase: prepare the refit, or set the result if none follows."""
        progress, settings = self._progress, self._settings
        interrupted = stop_reason is StopReason.INTERRUPTED
        self._out_of_time = stop_reason is StopReason.TIME
        if stop_reason is StopReason.DIVERGED:
            advice = (
                f"The loss became NaN or infinite in epoch {progress.epoch}. Try a smaller "
                f"learning_rate (it was {settings.learning_rate:g}), and look for extreme values "
                "in the data."
            )
            if progress.best_weights is None:
                raise DivergedError(f"{advice} Nothing was learned before that.")
            warn(f"{advice} {_describe_kept_weights(progress)}")
        refit = settings.refit and stop_reason not in (StopReason.INTERRUPTED, StopReason.DIVERGED)
        # there is no refit if there is no time left even for its initialization
        if refit and self._out_of_time and self._clock.is_time_up(num_refit_updates=0):
            refit = False
            warn(f"{stop_reason.value}. {_describe_kept_weights(progress)}")
        if not refit:
            self._set_result(interrupted=interrupted, complete=not interrupted)
            return
        self.phase, self.needs_initialization = "refit", True
        progress.phase, progress.refit_num_updates = "refit", progress.best_num_updates
        progress.peak_learning_rate, progress.epoch = settings.learning_rate, 1
        self._engine.write_back(self._untrained_state)  # also resets the optimizer
        self._progress_bar.begin_stage("refit on all: initialize")

    def _set_result(self, *, interrupted: bool, complete: bool = True) -> None:
        """Give the network the validated weights, and set the result."""
        progress = self._progress
        if (best := progress.best_weights) is not None:
            # the trainable weights come first in `best`
            state, count = progress.state, len(progress.state.trainable)
            self._engine.write_back(
                TrainState(best[:count], best[count:], state.optimizer, state.totals)
            )
        history = dict(progress.history)
        if all(loss is None for loss in history["val_loss"]):
            del history["val_loss"]
        self.phase = None
        self.result = FitResult(
            phase=None if progress.best_weights is None else "validated",
            history=history,
            best_epoch=progress.best_epoch,
            interrupted=interrupted,
            complete=complete,
            num_shapes=len(self._engine.batch_shapes),
            out_of_time=self._out_of_time,
            initial_loss=progress.initial_loss,
        )

    # The epochs of a phase

    def _train_epochs(self, phase_data: PhaseData, *, keep_initial: bool) -> StopReason:
        """Train the epochs of a phase that are still to do, and return why they ended."""
        progress, refit = self._progress, self.phase == "refit"
        self._num_phase_updates = self._engine.num_updates(progress.state)
        if keep_initial and phase_data.validation:
            loss = self._validate(phase_data.validation)
            if math.isfinite(loss):
                progress.keep_weights(loss, epoch=0, num_updates=self._num_phase_updates)
                progress.initial_loss = loss
        # before any update, so that an unwritable path fails early
        self._write_checkpoint()
        num_epochs = self._settings.max_epochs
        if refit:
            # The length of the refit is a number of updates, so its last epoch may be incomplete. A
            # pass over all sequences has `num_batches` updates, and may be several epochs. The
            # division rounds up.
            num_batches = max(1, self._batches.count_batches(np.arange(phase_data.num_sequences)))
            epochs_per_pass = phase_data.loader.fit_data.epochs_per_pass
            num_epochs = max(1, -(-progress.refit_num_updates * epochs_per_pass // num_batches))
            self._progress_bar.begin_stage("refit on all: epoch", num_epochs)
        phase = progress.phase
        self._apply_hooks(lambda state: self._callback_hooks.begin_phase(state, phase, num_epochs))
        reason = self._reason_to_end_phase()
        while reason is None:
            reason = self._train_epoch(phase_data)
            if reason is None or (reason is StopReason.TIME and not refit):
                # the validated phase also measures an epoch that was cut short by the time budget
                reason = self._end_epoch(phase_data) or reason
            reason = reason or self._reason_to_interrupt() or self._reason_to_end_phase()
        self._call_hook("on_train_end")
        # an interrupted epoch has replaced `self._progress` by the progress before that epoch
        progress, keeps_last = self._progress, not refit and phase_data.validation is None
        is_done = reason is StopReason.DONE and progress.best_weights is not None
        if self._callback_hooks.has_callbacks and keeps_last and is_done:
            # without validation, the last weights are kept, and a callback may have changed them
            progress.best_weights = [*progress.state.trainable, *progress.state.non_trainable]
        return reason

    def _train_epoch(self, phase_data: PhaseData) -> StopReason | None:
        """Train an epoch, and return why it was cut short; None if it is complete."""
        progress_before, progress = replace(self._progress), self._progress
        progress.state = progress.state.with_zero_totals()
        self._call_hook("on_epoch_begin", progress.epoch - 1)  # Keras counts epochs from 0
        first_update, settings, epoch = self._num_phase_updates, self._settings, progress.epoch
        # the numbers of values and sequences in an average batch
        num_observed = phase_data.num_observed / max(1, phase_data.num_sequences)
        num_observed = max(1.0, num_observed * settings.batch_size)
        normalizers = LossNormalizers(num_observed, float(settings.batch_size))
        batch_runs = (
            (shard, batch_run)
            for index, shard in enumerate(phase_data.loader.load_shards(epoch))
            for batch_run in self._batches.iter_batch_runs(
                shard.sequence_indices, seed=settings.seed, epoch=epoch, shard_index=index
            )
        )
        for shard, batch_run in batch_runs:
            batch_index = 0
            while batch_index < batch_run.num_batches:
                if self._num_phase_updates == self._final_num_updates:
                    return None
                # an epoch has at least one update before it ends, so that there is a loss
                has_loss = self._num_phase_updates > first_update
                if has_loss and (reason := self._reason_to_interrupt()):
                    # a checkpoint after Ctrl-C is that of the last complete epoch
                    if reason is StopReason.INTERRUPTED:
                        self._progress = progress_before
                    return reason
                batch_index = self._train_chunk(shard, batch_run, batch_index, normalizers)
                if not math.isfinite(self._epoch_metrics.totals.error):
                    return StopReason.DIVERGED
        return None

    def _train_chunk(
        self, shard: LoadedShard, full_run: BatchRun, first_batch: int, normalizers: LossNormalizers
    ) -> int:
        """Train on batches of a run in one compiled call; return the index of the next batch."""
        progress, has_batch_hooks = self._progress, self._callback_hooks.has_batch_hooks
        max_updates = 1 if has_batch_hooks else self._clock.num_chunk_updates(full_run.bucket)
        max_updates = min(max_updates, self._final_num_updates - self._num_phase_updates)
        end_batch = min(full_run.num_batches, first_batch + max_updates)
        if has_batch_hooks:
            self._call_hook("on_train_batch_begin", self._num_phase_updates)
        start_time = time.perf_counter()
        # (num_batches, sequences of a batch that this process trains on)
        count, index = self._processes.process_count, self._processes.process_index
        indices = np.array_split(full_run.indices, count, axis=1)[index]
        progress.state, self._epoch_metrics = self._engine.train_batches(
            progress.state,
            shard.data,
            full_run._replace(indices=shard.find_in_shard(indices)),
            first_batch,
            end_batch,
            normalizers=normalizers,
            schedule=Schedule(
                np.float32(progress.peak_learning_rate), np.int32(progress.num_scheduled_updates)
            ),
        )
        seconds = time.perf_counter() - start_time
        self._clock.record_chunk(seconds, full_run.bucket, end_batch - first_batch)
        if has_batch_hooks:
            logs = {"loss": self._engine.compute_epoch_loss(self._epoch_metrics.totals)}
            self._call_hook("on_train_batch_end", self._num_phase_updates, logs)
        self._num_phase_updates += end_batch - first_batch
        return end_batch

    @property
    def _final_num_updates(self) -> int:
        """The number of updates after which the phase ends; the largest integer if unknown."""
        progress = self._progress
        return progress.refit_num_updates if progress.phase == "refit" else sys.maxsize

    def _end_epoch(self, phase_data: PhaseData) -> StopReason | None:
        """Validate an epoch, and keep its weights if they are the best; return DIVERGED or None."""
        progress, learning_rate = self._progress, self._epoch_metrics.learning_rate
        loss = self._engine.compute_epoch_loss(self._epoch_metrics.totals)
        val_loss = None if phase_data.validation is None else self._validate(phase_data.validation)
        final_loss = loss if val_loss is None else val_loss
        # `loss` was measured before the last update, which may have made the weights infinite. The
        # validation loss would show this; without validation, `is_finite` is about the weights.
        is_finite = val_loss is not None or self._epoch_metrics.is_finite
        if not (math.isfinite(loss) and math.isfinite(final_loss) and is_finite):
            return StopReason.DIVERGED
        if self.phase == "validated" and (val_loss is None or val_loss < progress.best_loss):
            progress.keep_weights(final_loss, progress.epoch, self._num_phase_updates)
        seconds, epoch = self._clock.seconds, progress.epoch
        row = (epoch, progress.phase, loss, val_loss, learning_rate, seconds)
        for name, value in zip(HISTORY_COLUMNS, row, strict=True):
            progress.history[name].append(value)
        self._progress_bar.show_epoch(epoch, loss, val_loss)
        logs = {"loss": loss, "learning_rate": learning_rate}
        if val_loss is not None:
            logs["val_loss"] = val_loss
        # a training that is resumed after this epoch continues with the next epoch
        progress.epoch += 1
        self._call_hook("on_epoch_end", epoch - 1, logs)  # Keras counts epochs from 0
        # write a checkpoint if enough time or epochs have passed
        if self._saved_training is None or (checkpoint := self._saved_training.checkpoint) is None:
            return None
        seconds = self._clock.seconds - self._last_checkpoint_seconds
        if seconds >= checkpoint.seconds or (checkpoint.epochs and epoch % checkpoint.epochs == 0):
            self._write_checkpoint()
        return None

    def _validate(self, validation_data: LoadedShard) -> float:
        """Return the loss of the current weights on validation data."""
        totals, state = MetricSums(), self._processes.to_host(self._progress.state)
        for batch_run in self._batches.iter_batch_runs(validation_data.sequence_indices):
            start_time = time.perf_counter()
            batch_run = batch_run._replace(indices=validation_data.find_in_shard(batch_run.indices))
            totals = totals.plus(self._engine.evaluate(state, validation_data.data, batch_run))
            seconds = time.perf_counter() - start_time
            # validation is compiled apart from training, so its shapes are recorded apart
            self._clock.record_chunk(seconds, (batch_run.bucket, "validation"))
        return self._engine.compute_epoch_loss(totals)

    # What ends a phase

    def _reason_to_end_phase(self) -> StopReason | None:
        """Return why there is no further epoch: the phase is done, or a callback stopped it."""
        progress, settings = self._progress, self._settings
        if progress.phase == "refit":
            is_done = self._num_phase_updates >= progress.refit_num_updates
        else:
            epochs_since_best = len(progress.history["epoch"]) - progress.best_epoch
            is_done = (
                progress.epoch > settings.max_epochs
                or self._callback_hooks.wants_stop
                or epochs_since_best >= settings.patience
            )
        if is_done:
            return StopReason.DONE
        return StopReason.STOPPED if self._callback_hooks.wants_stop else None

    def _reason_to_interrupt(self) -> StopReason | None:
        """Return Ctrl-C or the end of the time budget as a reason to stop; None for neither."""
        # As a side effect, this sets the length of the schedule to the number of updates that the
        # time budget allows.
        if self._interrupt_handler is not None and self._interrupt_handler.is_interrupted:
            return StopReason.INTERRUPTED
        if self._processes.process_count > 1 and self._settings.time_budget is None:
            return None  # there is no decision to broadcast to the other processes
        progress, clock, num_done = self._progress, self._clock, self._num_phase_updates
        num_updates = progress.num_scheduled_updates
        if progress.phase == "refit":  # a refit that has done its last update is not stopped
            is_time_up = progress.refit_num_updates > num_done and clock.is_time_up()
        else:
            refit = self._settings.refit
            num_updates = clock.plan_num_updates(num_done, num_updates, refit=refit)
            is_time_up = clock.is_time_up(progress.best_num_updates if refit else None)
        is_time_up, progress.num_scheduled_updates = self._processes.broadcast_from_first(
            (is_time_up, num_updates)
        )
        return StopReason.TIME if is_time_up else None

    # Checkpoints and callbacks

    def _write_checkpoint(self) -> None:
        if self._saved_training is not None:
            self._saved_training.write(replace(self._progress, seconds=self._clock.seconds))
            self._last_checkpoint_seconds = self._clock.seconds

    def _call_hook(self, hook_name: str, *args: Any) -> None:
        self._apply_hooks(lambda state: self._callback_hooks.call_hook(hook_name, state, *args))

    def _apply_hooks(self, call_hooks: Callable[[TrainState], TrainState]) -> None:
        """Let callbacks change the state; if they change the learning rate, scale the schedule."""
        if not self._callback_hooks.has_callbacks:
            return
        progress = self._progress
        old_rate = float(self._engine.latest_learning_rate(progress.state))
        progress.state = call_hooks(progress.state)
        new_rate = float(self._engine.latest_learning_rate(progress.state))
        if new_rate == old_rate:
            return
        if old_rate > 0:
            progress.peak_learning_rate *= new_rate / old_rate
        else:  # no factor scales 0: let the schedule continue at the rate that was set
            schedule = Schedule(np.float32(1.0), np.int32(progress.num_scheduled_updates))
            share_of_peak = float(schedule.learning_rate(self._num_phase_updates))
            progress.peak_learning_rate = new_rate / share_of_peak


class Clock:
    """Measure the time of a training; choose the lengths of chunks and plan for a time budget."""

    def __init__(
        self,
        time_budget: float | None,  # in seconds
        earlier_seconds: float = 0.0,  # that earlier runs of a resumed training took
        *,
        adapts_chunks: bool = True,  # whether to choose the lengths of chunks by speed
    ) -> None:
        now = time.perf_counter()
        self._time_budget, self._adapts_chunks = time_budget, adapts_chunks
        self._has_planned_updates = False
        self._start_time = now - earlier_seconds
        # Start of the current stage: the preparation or the updates. Compilation does not count,
        # so each compilation moves this start to a later time, by the seconds that it took.
        self._stage_start_time = now
        self.preparation_seconds = 0.0  # before the first update; a refit needs them again
        self._num_timed_updates = 0
        self._chunk_updates_by_shape: dict[Any, int] = {}  # of the next chunk

    @property
    def seconds(self) -> float:
        """Seconds since the start, including earlier runs of a resumed training."""
        return time.perf_counter() - self._start_time

    def end_preparation(self) -> None:
        """Measure the preparation, which ends now."""
        now = time.perf_counter()
        self.preparation_seconds = now - self._stage_start_time
        self._stage_start_time = now

    def num_chunk_updates(self, batch_shape: Any) -> int:
        """Return the number of updates for a chunk of batches of this shape; 1 if not timed yet."""
        # processes that train together must run equal chunks, whose lengths do not depend on speed
        if not self._adapts_chunks:
            return _MAX_CHUNK_UPDATES
        return self._chunk_updates_by_shape.get(batch_shape, 1)

    def record_chunk(self, seconds: float, batch_shape: Any, num_updates: int = 0) -> None:
        """Record the time of a chunk; the first chunk of each shape includes compilation."""
        # validation has no updates, but is compiled as well
        if batch_shape not in self._chunk_updates_by_shape:
            self._chunk_updates_by_shape[batch_shape] = 1
            self._stage_start_time += seconds  # leave compilation out of the seconds per update
            return
        self._num_timed_updates += num_updates
        if num_updates:
            speed = num_updates / max(seconds, 1e-6)  # updates per second
            self._chunk_updates_by_shape[batch_shape] = max(1, int(_TARGET_CHUNK_SECONDS * speed))

    def plan_num_updates(self, num_done: int, max_total_updates: int, *, refit: bool) -> int:
        """Return how many updates the budget allows in total, of which `num_done` are done."""
        # The number is planned once, as soon as the speed is known. Until then,
        # `max_total_updates` is returned. Afterwards as well: the caller then passes the planned
        # number as `max_total_updates`.
        if self._time_budget is None or self._has_planned_updates:
            return max_total_updates
        is_early = self.seconds < _MIN_TIME_SHARE_BEFORE_PLAN * self._time_budget
        if is_early or self._num_timed_updates < _MIN_UPDATES_BEFORE_PLAN:
            return max_total_updates
        self._has_planned_updates = True
        seconds = self._time_budget - self.seconds
        if refit:
            # The refit has a preparation, and repeats all updates: those that are done (also
            # before a resume), and those to come. Each further update is repeated once.
            done_seconds = num_done * self._seconds_per_update
            seconds -= self.preparation_seconds + _REFIT_SLOWDOWN_FACTOR * done_seconds
            seconds /= 1 + _REFIT_SLOWDOWN_FACTOR
        planned = num_done + int(seconds / self._seconds_per_update)
        return max(num_done + 1, min(max_total_updates, planned))

    def is_time_up(self, num_refit_updates: int | None = None) -> bool:
        """Return whether the budget is used up, or would be after a refit of so many updates."""
        if self._time_budget is None:
            return False
        refit_seconds = 0.0
        if num_refit_updates is not None:
            update_seconds = _REFIT_SLOWDOWN_FACTOR * self._seconds_per_update * num_refit_updates
            refit_seconds = self.preparation_seconds + update_seconds
        return self.seconds + refit_seconds >= self._time_budget

    @property
    def _seconds_per_update(self) -> float:
        """Mean time of an update, with all overhead but compilation."""
        return (time.perf_counter() - self._stage_start_time) / max(1, self._num_timed_updates)


class InterruptHandler:
    """Within the context, remember Ctrl-C instead of raising; a second Ctrl-C raises."""

    def __init__(self) -> None:
        self.is_interrupted = False  # whether Ctrl-C was pressed
        self._previous_sigint_handler: Any = None

    def __enter__(self) -> "InterruptHandler":
        # only the main thread can handle signals; in other threads nothing changes
        if threading.current_thread() is threading.main_thread():
            self._previous_sigint_handler = signal.signal(signal.SIGINT, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        if self._previous_sigint_handler is not None:
            signal.signal(signal.SIGINT, self._previous_sigint_handler)

    def _handle(self, signal_number: int, frame: FrameType | None) -> None:  # noqa: ARG002
        """Handle SIGINT, and other signals whose handlers call this one."""
        # A process that was started to ignore Ctrl-C keeps ignoring it, such as `refold fit ... &`
        # in a script or under nohup. Handlers of other signals pass on their own number, and these
        # signals are not ignored.
        if signal_number == signal.SIGINT and self._previous_sigint_handler == signal.SIG_IGN:
            return
        if self.is_interrupted:
            raise KeyboardInterrupt
        self.is_interrupted = True


class ProgressBar:
    """Progress bar of the initialization and of the epochs; `verbose=0` shows nothing."""

    def __init__(self, *, verbose: int) -> None:
        # a context, within which the bar is shown
        self.display: Any = progress_bar(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[losses]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            disable=not verbose,
        )
        self._stage_name, self._num_epochs = "initialize", 0
        self._task = self.display.add_task("initialize", total=None, losses="")

    def begin_stage(self, stage_name: str, num_epochs: int = 0, losses_text: str = "") -> None:
        """Show the next stage of the training, with its number of epochs if it has any."""
        self._stage_name, self._num_epochs = stage_name, num_epochs
        self.display.remove_task(self._task)
        self._task = self.display.add_task(stage_name, total=num_epochs or None, losses=losses_text)

    def show_epoch(self, epoch: int, loss: float, val_loss: float | None) -> None:
        """Show the losses of an epoch, which is counted from 1."""
        losses = f"loss {loss:.4g}"
        if val_loss is not None:
            losses += f"  validation {val_loss:.4g}"
        count = f"{self._stage_name} {epoch}/{self._num_epochs}"
        self.display.update(self._task, description=count, completed=epoch, losses=losses)


class CallbackHooks:
    """Call the hooks of Keras callbacks, on Keras models that have the current weights."""

    def __init__(self, callbacks: Sequence[Any], engine: TrainingEngine) -> None:
        self._engine = engine
        self._model: Any = engine.autoencoder
        self._callbacks: Any = None
        self.has_callbacks = bool(callbacks)
        self.has_batch_hooks = False  # then each chunk is a single update
        if not callbacks:
            return
        self._model.optimizer = engine.optimizer
        self._callbacks = keras.callbacks.CallbackList(list(callbacks))
        names = {type(c).__name__ for c in self._callbacks.callbacks if _has_batch_hooks(c)}
        self.has_batch_hooks = bool(names)
        if names:
            warn(
                f"{', '.join(sorted(names))} asks to be called at every step, so each step is a "
                "separate compiled call. Training is faster without batch hooks."
            )

    @property
    def wants_stop(self) -> bool:
        """Whether a callback has asked to stop."""
        return self._callbacks is not None and bool(self._model.stop_training)

    def begin_phase(self, state: TrainState, phase: str, num_epochs: int) -> TrainState:
        """Begin a phase, which is a training of its own for callbacks; return the changed state."""
        self._engine.write_back(state)
        self._model.stop_training = False
        self._callbacks.set_params({"epochs": num_epochs, "phase": phase, "verbose": 0})
        # for each phase: some callbacks open files here and close them at the end of training
        self._callbacks.set_model(self._model)
        return self.call_hook("on_train_begin", state)

    def call_hook(self, hook_name: str, state: TrainState, *args: Any) -> TrainState:
        """Call one hook, such as `on_epoch_end`, of all callbacks; return the changed state."""
        # callbacks read and change the Keras variables
        self._engine.write_back(state)
        getattr(self._callbacks, hook_name)(*args)
        return self._engine.read_state_from_keras(state.totals)


def _has_batch_hooks(callback: Any) -> bool:
    """Return whether a callback does something at every update."""
    # Some callbacks of Keras have batch hooks that do nothing if they are set to act in each epoch.
    # The callback of MLflow has the attribute `log_every_epoch` for the same purpose.
    frequencies = getattr(callback, "save_freq", None), getattr(callback, "update_freq", None)
    if "epoch" in frequencies or getattr(callback, "log_every_epoch", False):
        return False
    base = keras.callbacks.Callback
    return any(
        getattr(type(callback), name) is not getattr(base, name) or name in vars(callback)
        for name in _BATCH_HOOKS
    )


def _make_engine(
    network: Network, batches: BucketedBatches, settings: Settings, processes: Processes
) -> TrainingEngine:
    """Return the engine that trains the network, with the optimizer of the settings."""
    optimizer: Any = settings.optimizer
    # The engine joins the weights to two vectors: the weights without decay, and all others. Only
    # the default optimizer is known to update each number of a vector by itself. With another
    # optimizer, None joins nothing.
    undecayed_name_parts = _UNDECAYED_NAME_PARTS if optimizer is None else None
    # an optimizer object of the user keeps its own learning rate; a name gets the schedule
    sets_learning_rate = not isinstance(optimizer, keras.optimizers.Optimizer)
    if optimizer is None:
        options: Any = {"weight_decay": _WEIGHT_DECAY, "global_clipnorm": _MAX_GRADIENT_NORM}
        optimizer = AdamW(settings.learning_rate, **options)
        optimizer.exclude_from_weight_decay(var_names=list(_UNDECAYED_NAME_PARTS))
    elif isinstance(optimizer, str):
        optimizer = keras.optimizers.get(optimizer)
        optimizer.learning_rate = settings.learning_rate
    else:  # train with a copy, so that the optimizer of the user is unchanged and can be reused
        if optimizer.gradient_accumulation_steps or (
            optimizer.use_ema and not optimizer.ema_overwrite_frequency
        ):
            raise ParameterError(
                "An optimizer that accumulates gradients, or averages weights without "
                "ema_overwrite_frequency, cannot be used here. Leave that option out."
            )
        optimizer = type(optimizer).from_config(optimizer.get_config())
    # The length model needs no training if all sequences have one length, because the model is
    # initialized to this length. It needs none either if a dimension of the code holds the length.
    needs_no_length_loss = batches.has_one_length or network.specification.length_dim > 0
    length_weight = 0.0 if needs_no_length_loss else _LENGTH_LOSS_WEIGHT
    return TrainingEngine(
        network,
        optimizer,
        length_weight=length_weight,
        sets_learning_rate=sets_learning_rate,
        input_corruption=settings.corruption,
        seed=settings.seed,
        undecayed_name_parts=undecayed_name_parts,
        processes=processes,
    )


def _describe_kept_weights(progress: TrainingProgress) -> str:
    if progress.best_epoch == 0:
        return "The initial weights were kept: no epoch was better."
    return f"The weights of epoch {progress.best_epoch} were kept."
