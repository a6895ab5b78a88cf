"""Keras's AdamW, whose states NumPy creates."""

from typing import Any

import keras
import numpy as np


class AdamW(keras.optimizers.AdamW):
    """``keras.optimizers.AdamW`` that compiles no program for the zeros that it begins with."""

    def add_variable(self, shape: Any, *args: Any, **kwargs: Any) -> Any:
        """Create a variable of zeros."""

        def zeros(shape: Any, dtype: Any) -> Any:
            return keras.ops.convert_to_tensor(np.zeros(shape, dtype), dtype=dtype)

        return super().add_variable(shape, *args, **(kwargs | {"initializer": zeros}))
