"""Phases of a training: the validated phase with early stopping, and the refit."""

import math

import numpy as np

from refold.training._progress import Progress
from refold.training.loop._early_stopping import out_of_patience
from refold.training.loop._epochs import Epochs
from refold.training.loop._interrupt import Interrupt
from refold.training.loop._phase_data import SplitData, StopReason

__all__ = ["Loop"]


class Loop(Epochs):
    """Phases of a training, as loops over epochs."""

    def keep_initial(self, split: SplitData) -> None:
        """Keep the initial weights as the best so far, if there is validation data."""
        if split.held_out is not None and math.isfinite(loss := self._validate(split.held_out)):
            self._num_steps = self._engine.num_steps(self.progress.state)
            self.progress.keep(loss, 0, self._num_steps)
            self.progress.initial_loss = loss

    def validated(
        self, split: SplitData, interrupt: Interrupt, bar: Progress, *, refit: bool
    ) -> StopReason:
        """Train until the validation loss no longer falls.

        Parameters
        ----------
        split : SplitData
        interrupt : Interrupt
        bar : Progress
        refit : bool
            Whether a refit follows, which needs part of the time budget.

        Returns
        -------
        StopReason
        """
        progress = self.progress
        self._num_steps = self._engine.num_steps(progress.state)
        self._begin(self._settings.max_epochs)
        reason = StopReason.DONE
        while progress.epoch <= self._settings.max_epochs and not (
            self._hooks.stop or self._out_of_patience
        ):
            if self._several_epochs(split, bar):
                progress.keep(
                    self._engine.loss(self._metrics.totals), progress.epoch - 1, self._num_steps
                )
                if stopped := self._must_stop(interrupt, refit=refit):
                    reason = stopped
                    break
                continue
            stopped = self._epoch(split, interrupt, None, refit=refit)
            if stopped is StopReason.INTERRUPTED and progress.within_epoch:
                reason = stopped
                break
            loss = self._engine.loss(self._metrics.totals)
            val_loss = None if split.held_out is None else self._validate(split.held_out)
            measured = loss if val_loss is None else val_loss
            # without validation, no loss has checked the weights of the last step yet
            finite = val_loss is not None or self._metrics.finite
            if not (math.isfinite(loss) and math.isfinite(measured) and finite):
                reason = StopReason.DIVERGED
                break
            if val_loss is None or val_loss < progress.best_loss:
                progress.keep(measured, progress.epoch, self._num_steps)
            self._end_epoch(loss, val_loss, bar)
            if stopped is not None or interrupt.asked:
                reason = stopped or StopReason.INTERRUPTED
                break
        self._hook("on_train_end")
        unmeasured = split.held_out is None and progress.best is not None
        if self._hooks.present and unmeasured and reason is StopReason.DONE:
            # a callback may have replaced the last weights
            progress.keep(progress.best_loss, progress.best_epoch, progress.best_steps)
        return reason

    def refit(self, split: SplitData, interrupt: Interrupt, bar: Progress) -> StopReason:
        """Train on all sequences for the number of steps that validation chose.

        Parameters
        ----------
        split : SplitData
            All data.
        interrupt : Interrupt
        bar : Progress

        Returns
        -------
        StopReason
        """
        progress = self.progress
        self._num_steps = self._engine.num_steps(progress.state)
        # the refit is counted in steps; the last epoch may be incomplete
        num_batches = max(1, self._batches.num_batches(np.arange(split.num_sequences)))
        epochs = max(1, -(-progress.refit_steps // num_batches))
        bar.refit(epochs)
        self._begin(epochs)
        reason = StopReason.DONE
        while (left := progress.refit_steps - self._num_steps) > 0:
            if self._hooks.stop:
                reason = StopReason.STOPPED
                break
            if self._several_epochs(split, bar):
                if stopped := self._must_stop(interrupt, refit=False):
                    reason = stopped
                    break
                continue
            stopped = self._epoch(split, interrupt, left, refit=False)
            loss = self._engine.loss(self._metrics.totals)
            if not (math.isfinite(loss) and self._metrics.finite):
                reason = StopReason.DIVERGED
                break
            if stopped is not None and progress.within_epoch:
                reason = stopped
                break
            self._end_epoch(loss, None, bar)
            if stopped is not None or interrupt.asked:
                reason = stopped or StopReason.INTERRUPTED
                break
        self._hook("on_train_end")
        return reason

    @property
    def _out_of_patience(self) -> bool:
        progress, settings = self.progress, self._settings
        return out_of_patience(
            progress.history["val_loss"],
            progress.best_epoch,
            max_epochs=settings.max_epochs,
            patience=settings.patience,
        )
