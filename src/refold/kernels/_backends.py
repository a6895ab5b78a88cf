"""Table of kernel backends, one for each type of JAX device.

To add one, write a module whose ``lstm`` takes and returns what `refold.kernels.lstm` does.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from refold.kernels._fused_lstm import ACTIVATIONS, lstm
from refold.kernels._library import variant, why_not


class Backend(NamedTuple):
    """A fused LSTM for one type of device."""

    devices: str  # plural name, for messages
    # like `refold.kernels.lstm`, for float32, differentiable once in reverse mode
    lstm: Callable[..., tuple[Any, Any, Any]]
    activations: tuple[str, ...]  # names of the Keras activations that it supports
    variant: Callable[[], str | None]  # name of the variant of this machine; None if there is none
    why_not: Callable[[], str | None]  # why there is none, in one line; None if there is one


BACKENDS = {"cpu": Backend("CPUs", lstm, ACTIVATIONS, variant, why_not)}
