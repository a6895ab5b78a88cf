"""Keras callbacks in a compiled loop: the model is up to date when they look, and after."""

import warnings
from collections.abc import Sequence
from typing import Any

import keras

from refold.training.loop._compiled_steps import Engine
from refold.training.loop._train_state import TrainState

__all__ = ["Hooks"]

_BATCH_HOOKS = ("on_batch_begin", "on_batch_end", "on_train_batch_begin", "on_train_batch_end")


class Hooks:
    """Ordinary ``keras.callbacks`` around epochs, and around steps where one asks for them.

    Before a hook the state is written to the Keras variables; after it weights, rate and
    ``stop_training`` are read again.

    Parameters
    ----------
    callbacks : sequence of keras.callbacks.Callback
        Their model is the autoencoder, with the optimizer that trains it.
    engine : Engine

    Attributes
    ----------
    present : bool
        Whether there is any callback.
    every_step : bool
        Whether a callback overrides a batch hook, so that chunks are of one step.
    """

    def __init__(self, callbacks: Sequence[Any], engine: Engine) -> None:
        self._engine = engine
        self._model: Any = engine.autoencoder
        self._list: Any = None
        self.present = bool(callbacks)
        self.every_step = False
        if not callbacks:
            return
        self._model.optimizer = engine.optimizer
        self._list = keras.callbacks.CallbackList(list(callbacks))
        steppers = sorted({type(c).__name__ for c in self._list.callbacks if _asks_for_steps(c)})
        self.every_step = bool(steppers)
        if steppers:
            warnings.warn(
                f"{', '.join(steppers)} asks to be called at every step, so every step is a "
                "compiled call of its own. Training is faster without its batch hooks.",
                stacklevel=6,
            )

    @property
    def stop(self) -> bool:
        """Whether a callback has asked to stop."""
        return self._list is not None and bool(self._model.stop_training)

    def begin(self, state: TrainState, *, phase: str, epochs: int) -> TrainState:
        """Begin a phase, which to a callback is a training of its own; there has to be one.

        Some close at the end of a training what they open when they are given a model.

        Parameters
        ----------
        state : State
        phase : {"validated", "refit"}
        epochs : int
            How many there are to be.

        Returns
        -------
        State
            With whatever the callbacks changed.
        """
        self._engine.write_back(state)
        self._model.stop_training = False
        self._list.set_params({"epochs": epochs, "phase": phase, "verbose": 0})
        self._list.set_model(self._model)
        return self.call("on_train_begin", state)

    def call(self, name: str, state: TrainState, *args: Any) -> TrainState:
        """Call one hook of all callbacks; there has to be one.

        Parameters
        ----------
        name : str
            ``"on_epoch_end"`` and so on.
        state : State
        *args
            What Keras gives this hook.

        Returns
        -------
        State
            With whatever the callbacks changed.
        """
        self._engine.write_back(state)
        getattr(self._list, name)(*args)
        return self._engine.read_state(state.totals)


def _asks_for_steps(callback: Any) -> bool:
    if "epoch" in (getattr(callback, "save_freq", None), getattr(callback, "update_freq", None)):
        return False  # Keras's own ones that do nothing at a step unless they are told to
    if getattr(callback, "log_every_epoch", False):
        return False  # MLflow's, in the same way
    own = keras.callbacks.Callback
    return any(
        getattr(type(callback), name) is not getattr(own, name) or name in vars(callback)
        for name in _BATCH_HOOKS
    )
