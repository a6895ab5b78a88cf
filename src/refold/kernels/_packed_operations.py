"""The module that computes on packed rows: the compiled library, or NumPy without it."""

import functools
import logging
import os
from typing import Any

from refold.kernels import _packed_library, _packed_numpy
from refold.kernels._library import variant, why_not


@functools.cache
def operations() -> Any:
    """Return the module that computes: the compiled library, or NumPy."""
    if variant() is not None:
        return _packed_library
    # no warning for a user who turned the kernel off
    level = logging.INFO if os.environ.get("REFOLD_KERNEL") == "none" else logging.WARNING
    message = "Encoding and decoding run on NumPy, which is slower than the compiled kernel: %s"
    logging.getLogger("refold").log(level, message, why_not())
    return _packed_numpy
