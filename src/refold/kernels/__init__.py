"""The compiled LSTM kernel, as a JAX function and on packed rows."""

from typing import TYPE_CHECKING

from refold._support.optional_imports import lazy_names as _lazy_names
from refold.kernels import packed as packed
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

# need JAX, which takes long to import and is not needed for packed rows
__getattr__, __dir__ = _lazy_names(
    __name__,
    {"_backends": ("BACKENDS", "Backend"), "_fused_lstm": ("ACTIVATIONS", "lstm")},
    purpose="The kernel for JAX",
)
