"""The time limit for models that Keras's ``fit`` trains."""

import time
from typing import Any

__all__ = ["EPOCHS", "time_budget"]

EPOCHS = 1_000_000  # more than any time limit allows


def time_budget(seconds: float) -> Any:
    """Return a callback that ends training after the first batch past the time limit."""
    import keras

    ends = time.perf_counter() + seconds

    class TimeBudget(keras.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            del batch, logs
            if time.perf_counter() >= ends:
                self.model.stop_training = True

    return TimeBudget()
