"""Jobs, which are calls that an implementation prepares and a worker times."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

__all__ = ["Job", "nothing"]

# "outputs", and except for the forward pass alone the gradients with respect to "x", "kernel",
# "recurrent_kernel" and "bias", in Keras's layout.
Results = dict[str, np.ndarray]


def nothing() -> None:
    """Do nothing."""


class Job(NamedTuple):
    """A call to time.

    ``call`` returns when its result is ready.  ``results`` makes one more call and returns the
    arrays.  ``before`` is called once before a series of calls.  A call does its work ``num``
    times.
    """

    call: Callable[[], object]
    results: Callable[[], Results] = dict
    before: Callable[[], None] = nothing
    num: int = 1
