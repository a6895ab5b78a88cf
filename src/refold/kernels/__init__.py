"""The compiled LSTM kernel as a JAX function, and the NumPy reference that it is tested against."""

from refold.kernels import reference as reference
from refold.kernels._backends import BACKENDS as BACKENDS
from refold.kernels._backends import Backend as Backend
from refold.kernels._fused_lstm import ACTIVATIONS as ACTIVATIONS
from refold.kernels._fused_lstm import lstm as lstm
from refold.kernels._library import variant as variant
from refold.kernels._library import why_not as why_not
