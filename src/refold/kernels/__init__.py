"""The compiled LSTM kernel, and what runs without it.

`fused` calls the kernel from JAX on padded batches. `packed` calls the kernel, or NumPy if there is
no kernel, on rows without padding.
"""

from refold.kernels import packed as packed
from refold.kernels._library import log_slow_fallback as log_slow_fallback
from refold.kernels._library import variant as variant
from refold.kernels._library import why_not as why_not
from refold.kernels.packed import DILATIONS as DILATIONS
from refold.kernels.packed import SIGMOID_STEEPNESS as SIGMOID_STEEPNESS
from refold.kernels.packed import RandomConvolutions as RandomConvolutions
from refold.kernels.packed import random_convolutions as random_convolutions
