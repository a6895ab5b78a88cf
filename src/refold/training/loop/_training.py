"""`Training`: train a network for epochs in one or two phases, with early stopping.

Early stopping ends a phase if the validation loss has not improved for some epochs, and keeps the
weights of the best epoch. `Training` uses an `Engine` for the compiled updates, a `Clock` for the
time, a `TrainingProgress`, which checkpoints save, and `CallbackHooks` for Keras callbacks.
"""

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

from refold._support.messages import warn
from refold._support.progress_bars import progress_bar
from refold.arguments import Corruption
from refold.errors import DivergedError, ParameterError
from refold.network.keras.build import Network
from refold.sequences import Batches, BatchRun
from refold.training._processes import Processes
from refold.training._shards import PhaseData, Shard
from refold.training.loop._checkpoint import SavedTraining, TrainingProgress
from refold.training.loop._compiled_steps import (
    AdamW,
    Engine,
    EpochMetrics,
    LossNormalizers,
    MetricSums,
    Schedule,
    TrainState,
)
from refold.training.loop._time_budget_and_interrupt import Clock, InterruptHandler

# Weight of the loss of predicted lengths, which is in nats per sequence. A larger weight would
# cost reconstruction.
_LENGTH_WEIGHT = 0.05
# Weight decay of the default optimizer.
_WEIGHT_DECAY = 1e-4
# Cap on the norm of all gradients together in the default optimizer.
_CLIP_NORM = 1.0
# Weights with one of these words in their names have no weight decay. `change` is what training
# adds to a linear path.
_UNDECAYED_NAMES = ("bias", "change")
# Methods of a Keras callback that are called at every update.
_BATCH_HOOKS = ("on_batch_begin", "on_batch_end", "on_train_batch_begin", "on_train_batch_end")


class Settings(NamedTuple):
    """Settings of a training."""

    max_epochs: int
    batch_size: int  # number of sequences of average length in a batch
    updates_per_epoch: int  # approximate; times max_epochs, the length of the schedule
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
    """Reason why a phase ended."""

    DONE = "done"
    TIME = "time"
    INTERRUPTED = "interrupted"
    STOPPED = "stopped"
    DIVERGED = "diverged"


@dataclass(frozen=True)
class FitResult:
    """Result of a training, without the weights, which the network has."""

    # phase that trained the weights of the network: "validated" or "refit"; None if none were kept
    phase: str | None
    history: dict[str, list[Any]]  # of `TrainingProgress`; "val_loss" only with validation
    epoch: int  # best epoch of the validated phase, counted from 1; 0 for the initial weights
    interrupted: bool = False  # by Ctrl-C
    complete: bool = True  # whether the validated phase was finished
    num_shapes: int = 0  # padded shapes of batches; training was compiled for each
    # weights of the validated phase, in the order of `network.variables`; None if the network has
    # them itself, because no refit followed
    validated_weights: list[Any] | None = None
    out_of_time: bool = False  # whether the time budget ended the validated phase
    initial_loss: float | None = None  # validation loss of the initial weights, if worth keeping


class Training:
    """Train the weights of an autoencoder and its length model in place, phase by phase."""

    # The phase "validated" ends with the weights of the epoch with the lowest validation loss or,
    # without validation, with the weights of the last epoch. With `settings.refit`, the phase
    # "refit" follows. It trains on all sequences, again from initial weights, for as many updates
    # as the first phase needed for its best epoch. If the time budget, Ctrl-C, a callback or a loss
    # that is not finite ends the refit early, the validated weights are kept.
    #
    # To use it, enter the context. As long as `phase` is not None, initialize the network if
    # `is_fresh`, and call `run` with the data of the phase. After that, there is a `result`.

    def __init__(
        self,
        network: Network,
        batches: Batches,
        settings: Settings,
        *,
        saved_training: SavedTraining | None = None,  # with a checkpoint to continue or to write
        callbacks: Sequence[Any] = (),
        processes: Processes | None = None,
    ) -> None:
        self._network, self._batches, self._settings = network, batches, settings
        self._saved_training, self._processes = saved_training, processes or Processes()
        resumed, is_single = saved_training and saved_training.progress, self._processes.count == 1
        seconds = 0.0 if resumed is None else resumed.seconds
        self._clock = Clock(settings.time_budget, seconds, adapts_chunks=is_single)
        self._last_checkpoint_seconds = self._clock.seconds
        self._bar = ProgressBar(verbose=settings.verbose)
        # several processes have to stop together, so none of them stops on Ctrl-C of its own
        self._interrupt = InterruptHandler() if is_single else None
        self._engine = _make_engine(network, batches, settings, self._processes)
        self._hooks = CallbackHooks(callbacks, self._engine)
        self._untrained = self._engine.read_state()
        num_updates = settings.max_epochs * settings.updates_per_epoch
        self._progress = resumed or TrainingProgress(
            self._untrained, settings.learning_rate, num_updates
        )
        # of the epoch so far
        self._metrics = EpochMetrics(MetricSums.zero(), settings.learning_rate, finite=True)
        self._num_updates = 0  # that led to the state of the progress
        self.is_fresh = resumed is None  # else the phase continues from a checkpoint
        self.phase: str | None = self._progress.phase  # None after the last one
        self.result: FitResult
        # closes the progress bar and the handler of Ctrl-C
        self._contexts = contextlib.ExitStack()
        self._is_running, self._out_of_time = False, False

    def __enter__(self) -> Self:
        self._contexts.enter_context(self._bar)
        return self

    def __exit__(self, *error: Any) -> None:
        self._contexts.__exit__(*error)

    # The phases

    def run(
        self,
        phase_data: PhaseData,
        *,
        keep_initial: bool = False,  # whether to keep the initial weights if no epoch is better
    ) -> None:
        """Train to the end of the phase, or raise a DivergedError if no weights can be kept."""
        progress = self._progress
        if self.is_fresh:
            progress.state = self._engine.read_state()
        if not self._is_running:
            self._clock.end_preparation()
            if self.is_fresh:
                progress.preparation = self._clock.preparation
            self._clock.preparation = progress.preparation
            # before this line, Ctrl-C ends the program at once, because there is nothing to save
            if self._interrupt is not None:
                self._contexts.enter_context(self._interrupt)
            # until the first epoch ends, most of the time is compilation
            self._bar.begin("epoch", self._settings.max_epochs, "compiling")
            self._is_running = True
        stop_reason = self._train_epochs(phase_data, keep_initial=keep_initial)
        if stop_reason is StopReason.INTERRUPTED:
            self._write_checkpoint()
        end = self._end_validated if self.phase == "validated" else self._end_refit
        end(stop_reason)

    def _end_validated(self, stop_reason: StopReason) -> None:
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
            if progress.best is None:
                raise DivergedError(f"{advice} Nothing was learned before that.")
            warn(f"{advice} {_describe_kept_weights(progress)}")
        refit = settings.refit and stop_reason not in (StopReason.INTERRUPTED, StopReason.DIVERGED)
        # with no time left even for the initialization of the refit, there is none
        if refit and self._out_of_time and self._clock.is_time_up(num_refit_updates=0):
            refit = False
            _warn_of_no_refit(stop_reason, progress)
        if not refit:
            self._finish(interrupted=interrupted, complete=not interrupted)
            return
        self.phase, self.is_fresh = "refit", True
        progress.phase, progress.refit_steps = "refit", progress.best_steps
        progress.peak, progress.epoch = settings.learning_rate, 1
        self._engine.write_back(self._untrained)  # also resets the optimizer
        self._bar.begin("refit on all: initialize")

    def _end_refit(self, stop_reason: StopReason) -> None:
        """End the refit: set the result, and give the network the weights of a finished refit."""
        self._finish(interrupted=stop_reason is StopReason.INTERRUPTED)
        if stop_reason is not StopReason.DONE:
            _warn_of_no_refit(stop_reason, self._progress)
            return
        # the network has the validated weights now
        validated_weights = [np.asarray(variable.value) for variable in self._network.variables]
        self._engine.write_back(self._progress.state)
        self.result = replace(self.result, phase="refit", validated_weights=validated_weights)

    def _finish(self, *, interrupted: bool, complete: bool = True) -> None:
        """Give the network the validated weights, and set the result."""
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

    def _train_epochs(self, phase_data: PhaseData, *, keep_initial: bool) -> StopReason:
        """Train the epochs of a phase that are still to do, and return why they ended."""
        progress, refit = self._progress, self.phase == "refit"
        self._num_updates = self._engine.num_updates(progress.state)
        if keep_initial and phase_data.validation:
            loss = self._validate(phase_data.validation)
            if math.isfinite(loss):
                progress.keep_weights(loss, 0, self._num_updates)
                progress.initial_loss = loss
        # before any update, so that an unwritable path fails early
        self._write_checkpoint()
        num_epochs = self._settings.max_epochs
        if refit:
            # the length of the refit is a number of updates, so its last epoch may be incomplete
            num_batches = max(1, self._batches.num_batches(np.arange(phase_data.num_sequences)))
            total_batches = progress.refit_steps * phase_data.loader.epochs_per_pass
            num_epochs = max(1, -(-total_batches // num_batches))
            self._bar.begin("refit on all: epoch", num_epochs)
        phase = progress.phase
        self._apply_hooks(lambda state: self._hooks.begin(state, phase, num_epochs))
        reason = self._check_end_of_phase()
        while reason is None:
            reason = self._train_epoch(phase_data)
            if reason is None or (reason is StopReason.TIME and not refit):
                # the validated phase also measures an epoch that was cut short by the time budget
                reason = self._end_epoch(phase_data) or reason
            reason = reason or self._check_interrupt_and_time() or self._check_end_of_phase()
        self._call_hook("on_train_end")
        # read the progress again: an interrupted epoch has restored that of the epoch before
        progress, is_unmeasured = self._progress, not refit and phase_data.validation is None
        is_done = reason is StopReason.DONE and progress.best is not None
        if self._hooks.present and is_unmeasured and is_done:
            # without validation, the last weights are kept, and a callback may have changed them
            progress.keep_weights(progress.best_loss, progress.best_epoch, progress.best_steps)
        return reason

    def _train_epoch(self, phase_data: PhaseData) -> StopReason | None:
        """Train an epoch, and return why it was cut short; None if it is complete."""
        before, progress = replace(self._progress), self._progress
        progress.state = progress.state.with_zero_totals()
        self._call_hook("on_epoch_begin", progress.epoch - 1)
        first_update, normalizers = self._num_updates, self._normalizers(phase_data)
        seed, epoch = self._settings.seed, progress.epoch
        plans = (
            (shard, batch_run)
            for index, shard in enumerate(phase_data.loader.load_epoch(epoch))
            for batch_run in self._batches.iter_runs(
                shard.indices, seed=seed, epoch=epoch, shard_index=index
            )
        )
        for shard, batch_run in plans:
            batch = 0
            while batch < batch_run.num_batches:
                if self._num_updates == self._final_num_updates:
                    return None
                # an epoch has at least one update before it ends, so that there is a loss
                has_loss = self._num_updates > first_update
                if has_loss and (reason := self._check_interrupt_and_time()):
                    # a checkpoint after Ctrl-C is that of the last complete epoch
                    if reason is StopReason.INTERRUPTED:
                        self._progress = before
                    return reason
                batch = self._train_chunk(shard, batch_run, batch, normalizers)
                if not math.isfinite(self._metrics.totals.error):
                    return StopReason.DIVERGED
        return None

    def _train_chunk(
        self, shard: Shard, batch_run: BatchRun, first_batch: int, normalizers: LossNormalizers
    ) -> int:
        """Train on some batches in one compiled call; return the index of the next batch."""
        progress, every_update = self._progress, self._hooks.every_update
        max_updates = 1 if every_update else self._clock.chunk_updates(batch_run.bucket)
        updates_to_end = self._final_num_updates - self._num_updates
        stop = min(batch_run.num_batches, first_batch + min(max_updates, updates_to_end))
        if every_update:
            self._call_hook("on_train_batch_begin", self._num_updates)
        started = time.perf_counter()
        indices = self._processes.process_columns(batch_run.indices)
        progress.state, self._metrics = self._engine.train(
            progress.state,
            shard.data,
            batch_run._replace(indices=shard.find_positions(indices)),
            first_batch,
            stop,
            normalizers=normalizers,
            schedule=Schedule(np.float32(progress.peak), np.int32(progress.num_steps)),
        )
        seconds = time.perf_counter() - started
        self._clock.record_chunk(seconds, batch_run.bucket, stop - first_batch)
        if every_update:
            logs = {"loss": self._engine.loss(self._metrics.totals)}
            self._call_hook("on_train_batch_end", self._num_updates, logs)
        self._num_updates += stop - first_batch
        return stop

    @property
    def _final_num_updates(self) -> int:
        """The number of updates after which the phase ends; the largest integer if unknown."""
        progress = self._progress
        return progress.refit_steps if progress.phase == "refit" else sys.maxsize

    def _normalizers(self, phase_data: PhaseData) -> LossNormalizers:
        """Return the numbers of values and sequences in an average batch."""
        observed = phase_data.num_observed / max(1, phase_data.num_sequences)
        batch_size = self._settings.batch_size
        return LossNormalizers(max(1.0, observed * batch_size), float(batch_size))

    def _end_epoch(self, phase_data: PhaseData) -> StopReason | None:
        """Validate an epoch, and keep its weights if they are the best; return if it diverged."""
        progress, learning_rate = self._progress, self._metrics.learning_rate
        loss = self._engine.loss(self._metrics.totals)
        val_loss = None if phase_data.validation is None else self._validate(phase_data.validation)
        measured = loss if val_loss is None else val_loss
        # the loss was measured before the last update, which may have made the weights infinite
        finite = val_loss is not None or self._metrics.finite
        if not (math.isfinite(loss) and math.isfinite(measured) and finite):
            return StopReason.DIVERGED
        if self.phase == "validated" and (val_loss is None or val_loss < progress.best_loss):
            progress.keep_weights(measured, progress.epoch, self._num_updates)
        progress.record_epoch(loss, val_loss, learning_rate, self._clock.seconds)
        self._bar.show_epoch(progress.epoch, loss, val_loss)
        logs = {"loss": loss, "learning_rate": learning_rate}
        if val_loss is not None:
            logs["val_loss"] = val_loss
        # a checkpoint after this epoch continues with the next one; Keras counts epochs from 0
        progress.epoch += 1
        self._call_hook("on_epoch_end", progress.epoch - 2, logs)
        self._checkpoint_if_due()
        return None

    def _validate(self, shard: Shard) -> float:
        """Return the loss of the current weights on validation data."""
        totals, state = MetricSums.zero(), self._processes.to_host(self._progress.state)
        for batch_run in self._batches.iter_runs(shard.indices):
            started = time.perf_counter()
            batch_run = batch_run._replace(indices=shard.find_positions(batch_run.indices))
            totals = totals.plus(self._engine.evaluate(state, shard.data, batch_run))
            seconds = time.perf_counter() - started
            self._clock.record_chunk(seconds, (batch_run.bucket, "validation"))
        return self._engine.loss(totals)

    # What ends a phase

    def _check_end_of_phase(self) -> StopReason | None:
        """Return why there is no further epoch: the phase is done, or a callback stopped it."""
        progress, settings = self._progress, self._settings
        if progress.phase == "refit":
            is_done = self._num_updates >= progress.refit_steps
        else:
            epochs_since_best = len(progress.history["epoch"]) - progress.best_epoch
            is_done = (
                progress.epoch > settings.max_epochs
                or self._hooks.stop
                or epochs_since_best >= settings.patience
            )
        if is_done:
            return StopReason.DONE
        return StopReason.STOPPED if self._hooks.stop else None

    def _check_interrupt_and_time(self) -> StopReason | None:
        """Return Ctrl-C or the end of the time budget as a reason to stop; None for neither."""
        # as a side effect, the length of the schedule is set to what the time budget allows
        if self._interrupt is not None and self._interrupt.is_requested:
            return StopReason.INTERRUPTED
        if self._processes.count > 1 and self._settings.time_budget is None:
            return None  # without a message to all processes
        reason, self._progress.num_steps = self._processes.broadcast_from_first(
            self._check_time_budget()
        )
        return reason

    def _check_time_budget(self) -> tuple[StopReason | None, int]:
        """Return whether the time is up, and the updates of the schedule that the time allows."""
        progress = self._progress
        if progress.phase == "refit":
            is_unfinished = progress.refit_steps > self._num_updates
            is_up, num_updates = is_unfinished and self._clock.is_time_up(), progress.num_steps
        else:
            num_done, refit = self._num_updates, self._settings.refit
            num_updates = self._clock.plan_num_updates(num_done, progress.num_steps, refit=refit)
            is_up = self._clock.is_time_up(progress.best_steps if refit else None)
        return StopReason.TIME if is_up else None, num_updates

    # Checkpoints and callbacks

    def _write_checkpoint(self) -> None:
        if self._saved_training is not None:
            self._saved_training.write(replace(self._progress, seconds=self._clock.seconds))
            self._last_checkpoint_seconds = self._clock.seconds

    def _checkpoint_if_due(self) -> None:
        """Write a checkpoint after an epoch, if enough time or epochs have passed."""
        if self._saved_training is None or (checkpoint := self._saved_training.checkpoint) is None:
            return
        seconds = self._clock.seconds - self._last_checkpoint_seconds
        is_due = checkpoint.epochs and (self._progress.epoch - 1) % checkpoint.epochs == 0
        if seconds >= checkpoint.seconds or is_due:
            self._write_checkpoint()

    def _call_hook(self, hook_name: str, *args: Any) -> None:
        self._apply_hooks(lambda state: self._hooks.call(hook_name, state, *args))

    def _apply_hooks(self, call_hooks: Callable[[TrainState], TrainState]) -> None:
        """Let callbacks change the state; if they change the learning rate, scale the schedule."""
        if not self._hooks.present:
            return
        progress = self._progress
        before = self._engine.learning_rate(progress.state)
        progress.state = call_hooks(progress.state)
        after = self._engine.learning_rate(progress.state)
        if after == before:
            return
        if before > 0:
            progress.peak *= after / before
        else:  # no factor scales 0: let the schedule continue at the rate that was set
            schedule = Schedule(np.float32(1.0), np.int32(progress.num_steps))
            progress.peak = after / float(schedule.learning_rate(self._num_updates))


class ProgressBar:
    """Progress bar of the initialization and of the epochs; `verbose=0` shows nothing."""

    def __init__(self, *, verbose: int) -> None:
        self._bar = progress_bar(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[losses]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            disable=not verbose,
        )
        self._stage, self._num_epochs = "initialize", 0
        self._task = self._bar.add_task("initialize", total=None, losses="")

    def begin(self, stage: str, num_epochs: int = 0, losses_text: str = "") -> None:
        """Show the next stage of the training, with its number of epochs if it has any."""
        self._stage, self._num_epochs = stage, num_epochs
        self._bar.remove_task(self._task)
        self._task = self._bar.add_task(stage, total=num_epochs or None, losses=losses_text)

    def show_epoch(self, epoch: int, loss: float, val_loss: float | None) -> None:
        """Show the losses of an epoch, which is counted from 1."""
        losses = f"loss {loss:.4g}"
        if val_loss is not None:
            losses += f"  validation {val_loss:.4g}"
        count = f"{self._stage} {epoch}/{self._num_epochs}"
        self._bar.update(self._task, description=count, completed=epoch, losses=losses)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()


class CallbackHooks:
    """Call the hooks of Keras callbacks, on Keras models that have the current weights."""

    def __init__(self, callbacks: Sequence[Any], engine: Engine) -> None:
        self._engine = engine
        self._model: Any = engine.autoencoder
        self._callbacks: Any = None
        self.present = bool(callbacks)
        # whether there are batch hooks, so that each chunk is a single update
        self.every_update = False
        if not callbacks:
            return
        self._model.optimizer = engine.optimizer
        self._callbacks = keras.callbacks.CallbackList(list(callbacks))
        names = {type(c).__name__ for c in self._callbacks.callbacks if _has_batch_hooks(c)}
        self.every_update = bool(names)
        if names:
            warn(
                f"{', '.join(sorted(names))} asks to be called at every step, so each step is a "
                "separate compiled call. Training is faster without batch hooks."
            )

    @property
    def stop(self) -> bool:
        """Whether a callback has asked to stop."""
        return self._callbacks is not None and bool(self._model.stop_training)

    def begin(self, state: TrainState, phase: str, num_epochs: int) -> TrainState:
        """Begin a phase, which is a training of its own for callbacks; return the changed state."""
        self._engine.write_back(state)
        self._model.stop_training = False
        self._callbacks.set_params({"epochs": num_epochs, "phase": phase, "verbose": 0})
        # for each phase: some callbacks open files here and close them at the end of training
        self._callbacks.set_model(self._model)
        return self.call("on_train_begin", state)

    def call(self, hook_name: str, state: TrainState, *args: Any) -> TrainState:
        """Call one hook, such as `on_epoch_end`, of all callbacks; return the changed state."""
        # callbacks read and change the Keras variables
        self._engine.write_back(state)
        getattr(self._callbacks, hook_name)(*args)
        return self._engine.read_state(state.totals)


def _has_batch_hooks(callback: Any) -> bool:
    """Return whether a callback does something at every update."""
    # callbacks of Keras have batch hooks that do nothing if they are set to act once per epoch
    if "epoch" in (getattr(callback, "save_freq", None), getattr(callback, "update_freq", None)):
        return False
    if getattr(callback, "log_every_epoch", False):
        return False  # the same for the callback of MLflow
    base = keras.callbacks.Callback
    return any(
        getattr(type(callback), name) is not getattr(base, name) or name in vars(callback)
        for name in _BATCH_HOOKS
    )


def _make_engine(
    network: Network, batches: Batches, settings: Settings, processes: Processes
) -> Engine:
    """Return the engine that trains the network, with the optimizer of the settings."""
    optimizer: Any = settings.optimizer
    # Only the default optimizer is known to treat a vector of weights as separate numbers.
    separate_names = _UNDECAYED_NAMES if optimizer is None else None
    sets_learning_rate = not isinstance(optimizer, keras.optimizers.Optimizer)
    if optimizer is None:
        options: Any = {"weight_decay": _WEIGHT_DECAY, "global_clipnorm": _CLIP_NORM}
        optimizer = AdamW(settings.learning_rate, **options)
        optimizer.exclude_from_weight_decay(var_names=list(_UNDECAYED_NAMES))
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
    # The length model needs no training if all sequences have one length, which it is initialized
    # to, or if a dimension of the code holds the length.
    needs_no_length_loss = batches.has_one_length or network.specification.length_dim > 0
    length_weight = 0.0 if needs_no_length_loss else _LENGTH_WEIGHT
    return Engine(
        network,
        optimizer,
        length_weight=length_weight,
        sets_learning_rate=sets_learning_rate,
        corruption=settings.corruption,
        seed=settings.seed,
        separate_names=separate_names,
        processes=processes,
    )


def _warn_of_no_refit(stop_reason: StopReason, progress: TrainingProgress) -> None:
    cause = {
        StopReason.TIME: "The time budget ran out in the refit on all sequences",
        StopReason.INTERRUPTED: "The refit on all sequences was interrupted",
        StopReason.STOPPED: "A callback stopped the refit on all sequences",
        StopReason.DIVERGED: "The loss became NaN or infinite in the refit on all sequences",
    }[stop_reason]
    warn(f"{cause}. {_describe_kept_weights(progress)}")


def _describe_kept_weights(progress: TrainingProgress) -> str:
    if progress.best_epoch == 0:
        return "The initial weights were kept: no epoch was better."
    return f"The weights of epoch {progress.best_epoch} were kept."
