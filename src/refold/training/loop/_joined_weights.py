"""Trainable weights joined to a few long vectors for the optimizer."""

import itertools
from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import keras
import numpy as np


class Weights:
    """Trainable weights, joined to long vectors for an optimizer that updates each weight alone."""

    # XLA compiles several operations for each variable that an optimizer updates. With two vectors
    # in place of some thirty variables, a training step compiles in half the time.

    def __init__(self, variables: Sequence[Any], apart: Sequence[str] | None = None) -> None:
        # to build the optimizer on; joined ones only have shapes and names
        self.variables = list(variables)
        self._groups: list[list[int]] = []
        self._shapes = [tuple(variable.shape) for variable in variables]
        if apart is None or len({variable.dtype for variable in variables}) != 1:
            return
        # a vector of its own for these names, so that an optimizer can exclude it from weight decay
        named = [any(part in variable.name for part in apart) for variable in variables]
        groups = {
            "weights": [i for i, is_apart in enumerate(named) if not is_apart],
            "_".join(apart): [i for i, is_apart in enumerate(named) if is_apart],
        }
        groups = {name: members for name, members in groups.items() if members}
        self._groups = list(groups.values())
        self.variables = [
            keras.Variable(
                np.zeros(sum(self._sizes(members)), variables[0].dtype),
                name=name,
                dtype=variables[0].dtype,
            )
            for name, members in groups.items()
        ]

    def join(self, arrays: Sequence[Any], numpy: Any = jnp) -> list[Any]:
        """Join one array for each weight to the vectors, with `jax.numpy` or NumPy."""
        if not self._groups:
            return list(arrays)
        return [numpy.concatenate([arrays[i].reshape(-1) for i in group]) for group in self._groups]

    def of(self, variables: Sequence[Any]) -> list[Any]:
        """Return the joined values of Keras variables, on the device."""
        if not self._groups:
            return [variable.value for variable in variables]
        values = [np.asarray(variable.value) for variable in variables]
        return [jnp.asarray(vector, vector.dtype) for vector in self.join(values, np)]

    def split_on_host(self, joined: Sequence[Any]) -> list[Any]:
        """Undo `join` outside of compiled code, without compiling slices."""
        if not self._groups:  # the arrays can stay on the device
            return list(joined)
        return self.split([np.asarray(vector) for vector in joined])

    def split(self, joined: Sequence[Any]) -> list[Any]:
        """Undo ``join``; NumPy arrays give views."""
        if not self._groups:
            return list(joined)
        arrays: list[Any] = [None] * len(self._shapes)
        for group, vector in zip(self._groups, joined, strict=True):
            ends = list(itertools.accumulate(self._sizes(group)))
            for i, start, end in zip(group, [0, *ends], ends, strict=False):
                arrays[i] = vector[start:end].reshape(self._shapes[i])
        return arrays

    def _sizes(self, members: Sequence[int]) -> list[int]:
        return [int(np.prod(self._shapes[i])) for i in members]
