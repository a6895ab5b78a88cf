"""The LSTM layer that every model of Refold uses."""

import keras

__all__ = ["LSTM"]


@keras.saving.register_keras_serializable(package="refold")
class LSTM(keras.layers.LSTM):
    """Long short-term memory layer, a drop-in for ``keras.layers.LSTM``.

    Same arguments, weights and numbers as Keras's own layer [1]_.

    References
    ----------
    .. [1] S. Hochreiter and J. Schmidhuber, "Long Short-Term Memory", Neural Computation 9(8),
       1997.

    Examples
    --------
    >>> import numpy as np
    >>> LSTM(4)(np.zeros((2, 5, 3), "float32")).shape
    (2, 4)
    """
