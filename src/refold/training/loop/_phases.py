"""The phases of a training: validation and early stopping, and the refit."""

import math

import numpy as np

from refold.training._progress import Progress
from refold.training.loop._early_stopping import out_of_patience
from refold.training.loop._epochs import Epochs
from refold.training.loop._interrupt import Interrupt
from refold.training.loop._phase_data import SplitData, StopReason

__all__ = ["Loop"]


class Loop(Epochs):
    """The phases of a training, over epochs."""

    def keep_start(self, part: SplitData) -> None:
        """Keep the weights before the first step as the best, if a validation can say so."""
        if part.held_out is not None and math.isfinite(loss := self._validate(part.held_out)):
            self._num_steps = self._engine.num_steps(self.standing.state)
            self.standing.keep(loss, 0, self._num_steps)
            self.standing.initial_loss = loss

    def validated(
        self, part: SplitData, interrupt: Interrupt, progress: Progress, *, refit: bool
    ) -> StopReason:
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
        self._num_steps = self._engine.num_steps(standing.state)
        self._begin(self._settings.max_epochs)
        end = StopReason.DONE
        while standing.epoch <= self._settings.max_epochs and not (
            self._hooks.stop or self._out_of_patience
        ):
            if self._several_epochs(part, progress):
                standing.keep(
                    self._engine.loss(self._seen.totals), standing.epoch - 1, self._num_steps
                )
                if stopped := self._must_stop(interrupt, refit=refit):
                    end = stopped
                    break
                continue
            stopped = self._epoch(part, interrupt, None, refit=refit)
            if stopped is StopReason.INTERRUPTED and standing.within_epoch:
                end = stopped
                break
            loss = self._engine.loss(self._seen.totals)
            val_loss = None if part.held_out is None else self._validate(part.held_out)
            measured = loss if val_loss is None else val_loss
            # without validation nobody has looked at the weights of the last step yet
            sound = val_loss is not None or self._seen.finite
            if not (math.isfinite(loss) and math.isfinite(measured) and sound):
                end = StopReason.DIVERGED
                break
            if val_loss is None or val_loss < standing.best_loss:
                standing.keep(measured, standing.epoch, self._num_steps)
            self._end_epoch(loss, val_loss, progress)
            if stopped is not None or interrupt.asked:
                end = stopped or StopReason.INTERRUPTED
                break
        self._hook("on_train_end")
        unmeasured = part.held_out is None and standing.best is not None
        if self._hooks.present and unmeasured and end is StopReason.DONE:
            # a callback may have put other weights in the place of the last ones
            standing.keep(standing.best_loss, standing.best_epoch, standing.best_steps)
        return end

    def refit(self, part: SplitData, interrupt: Interrupt, progress: Progress) -> StopReason:
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
        self._num_steps = self._engine.num_steps(standing.state)
        # counted in steps; the last epoch may be a part of one
        num_batches = max(1, self._batches.num_batches(np.arange(part.num_sequences)))
        epochs = max(1, -(-standing.refit_steps // num_batches))
        progress.refit(epochs)
        self._begin(epochs)
        end = StopReason.DONE
        while (left := standing.refit_steps - self._num_steps) > 0:
            if self._hooks.stop:
                end = StopReason.STOPPED
                break
            if self._several_epochs(part, progress):
                if stopped := self._must_stop(interrupt, refit=False):
                    end = stopped
                    break
                continue
            stopped = self._epoch(part, interrupt, left, refit=False)
            loss = self._engine.loss(self._seen.totals)
            if not (math.isfinite(loss) and self._seen.finite):
                end = StopReason.DIVERGED
                break
            if stopped is not None and standing.within_epoch:
                end = stopped
                break
            self._end_epoch(loss, None, progress)
            if stopped is not None or interrupt.asked:
                end = stopped or StopReason.INTERRUPTED
                break
        self._hook("on_train_end")
        return end

    @property
    def _out_of_patience(self) -> bool:
        standing, settings = self.standing, self._settings
        return out_of_patience(
            standing.history["val_loss"],
            standing.best_epoch,
            max_epochs=settings.max_epochs,
            patience=settings.patience,
        )
