"""The LSTM kernel: a compiled C++ library that computes all steps in one call.

`fused` runs it from JAX, on padded batches. `packed` runs it, or NumPy if there is no kernel, on
packed rows: the steps of all sequences one after another, without padding.
"""

from refold.kernels import packed as packed
from refold.kernels._library import log_slow_fallback as log_slow_fallback
from refold.kernels._library import variant as variant
from refold.kernels._library import why_not as why_not
from refold.kernels.packed import DILATIONS as DILATIONS
from refold.kernels.packed import POSITIVITY_STEEPNESS as POSITIVITY_STEEPNESS
from refold.kernels.packed import RandomConvolutions as RandomConvolutions
from refold.kernels.packed import draw_convolutions as draw_convolutions
