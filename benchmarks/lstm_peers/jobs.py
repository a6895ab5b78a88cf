"""What a worker is asked to time: one call, made ready by the implementation."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

__all__ = ["Job", "nothing"]

# In Keras's layout: "outputs", and unless it is forward alone "x", "kernel", "recurrent_kernel"
# and "bias", the gradients by these.
Results = dict[str, np.ndarray]


def nothing() -> None:
    """Do nothing."""


class Job(NamedTuple):
    """A call to time.

    ``call`` returns when the result is there; ``results`` makes one more call and returns the
    arrays; ``before`` is called once before a burst of calls; a call does its work ``num`` times.
    """

    call: Callable[[], object]
    results: Callable[[], Results] = dict
    before: Callable[[], None] = nothing
    num: int = 1
