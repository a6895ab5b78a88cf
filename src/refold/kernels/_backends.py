"""Table of kernel backends, one for each type of JAX device.

To add a backend, write a module whose ``lstm`` takes and returns what `refold.kernels.lstm` does,
and add an entry to `BACKENDS`.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from refold.kernels._fused_lstm import ACTIVATIONS, lstm
from refold.kernels._library import variant, why_not


class Backend(NamedTuple):
    """A fused LSTM for one type of device.

    Attributes
    ----------
    devices : str
        Plural name of the devices, for messages.
    lstm : callable
        Function with the arguments and results of `refold.kernels.lstm`, for float32,
        differentiable once in reverse mode.
    activations : tuple of str
        Names of the Keras activations that it supports.
    variant : callable
        Returns the name of the variant that runs on this machine, or None if there is none.
    why_not : callable
        Returns the reason why there is none, in one line, or None if there is one.
    """

    devices: str
    lstm: Callable[..., tuple[Any, Any, Any]]
    activations: tuple[str, ...]
    variant: Callable[[], str | None]
    why_not: Callable[[], str | None]


BACKENDS = {"cpu": Backend("CPUs", lstm, ACTIVATIONS, variant, why_not)}
