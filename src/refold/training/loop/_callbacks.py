"""Keras callbacks in the compiled loop."""

from collections.abc import Sequence
from typing import Any

import keras

from refold._support.output import warn
from refold.training.loop._compiled_steps import Engine
from refold.training.loop._train_state import TrainState

_BATCH_HOOKS = ("on_batch_begin", "on_batch_end", "on_train_batch_begin", "on_train_batch_end")


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
