"""The compiled LSTM kernel: as a JAX function, on packed rows, and the reference in NumPy."""

import importlib
from typing import TYPE_CHECKING

from refold.kernels import packed as packed
from refold.kernels import reference as reference
from refold.kernels._library import variant as variant
from refold.kernels._library import why_not as why_not
from refold.kernels._rocket_kernels import DILATIONS as DILATIONS
from refold.kernels._rocket_kernels import STEEPNESS as STEEPNESS
from refold.kernels._rocket_kernels import RandomConvolutions as RandomConvolutions
from refold.kernels._rocket_kernels import random_convolutions as random_convolutions

if TYPE_CHECKING:
    from refold.kernels._backends import BACKENDS as BACKENDS
    from refold.kernels._backends import Backend as Backend
    from refold.kernels._fused_lstm import ACTIVATIONS as ACTIVATIONS
    from refold.kernels._fused_lstm import lstm as lstm

# Names that need JAX, which takes long to import and is not needed for packed rows.
_NEED_JAX = {
    "ACTIVATIONS": "refold.kernels._fused_lstm",
    "BACKENDS": "refold.kernels._backends",
    "Backend": "refold.kernels._backends",
    "lstm": "refold.kernels._fused_lstm",
}


def __getattr__(name: str) -> object:
    if name not in _NEED_JAX:
        raise AttributeError(f"module 'refold.kernels' has no attribute {name!r}")
    return getattr(importlib.import_module(_NEED_JAX[name]), name)
