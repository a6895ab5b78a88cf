"""The compiled LSTM kernel: `fused` has it as a JAX function, `packed` on packed rows."""

from refold.kernels import packed as packed
from refold.kernels._library import log_slow as log_slow
from refold.kernels._library import variant as variant
from refold.kernels._library import why_not as why_not
from refold.kernels.packed import DILATIONS as DILATIONS
from refold.kernels.packed import STEEPNESS as STEEPNESS
from refold.kernels.packed import RandomConvolutions as RandomConvolutions
from refold.kernels.packed import random_convolutions as random_convolutions
