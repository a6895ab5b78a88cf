"""The processes that train one network together, and what they exchange."""

import functools
import pickle
from collections.abc import Callable
from typing import Any, Self

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from refold.errors import RefoldError

_AXIS = "process"


class Processes:
    """The processes of this training, which all run the same program on their parts of the data."""

    # all processes must call each method in the same order

    def __init__(self, index: int = 0, count: int = 1) -> None:
        self.index, self.count = index, count
        self._placed: Any = None

    @classmethod
    def connected(cls) -> Self:
        """Return the processes that JAX has connected."""
        return cls(jax.process_index(), jax.process_count())

    @functools.cached_property
    def _mesh(self) -> Mesh:
        """One device of each process."""
        first = {device.process_index: device for device in reversed(jax.devices())}
        return Mesh(np.array([first[i] for i in range(self.count)]), (_AXIS,))

    def gather(self, value: Any) -> list[Any]:
        """Return the values of all processes, in the order of their numbers."""
        if self.count == 1:
            return [value]
        content = np.frombuffer(pickle.dumps(value), np.uint8)
        sizes = np.asarray(multihost_utils.process_allgather(np.array([len(content)], np.int32)))
        room = 1 << int(sizes.max() - 1).bit_length()  # few shapes, because each is compiled
        padded = np.zeros(room, np.uint8)
        padded[: len(content)] = content
        rows = np.asarray(multihost_utils.process_allgather(padded))
        sizes = sizes.ravel()
        return [pickle.loads(row[:size].tobytes()) for row, size in zip(rows, sizes, strict=True)]  # noqa: S301

    def agree(self, value: Any) -> Any:
        """Return the value of the first process."""
        return value if self.count == 1 else self.gather(value if self.index == 0 else None)[0]

    def first(self, function: Callable[[], Any]) -> Any:
        """Return what a function returns in the first process, or raise its error in all."""
        result: Any = None
        if self.index == 0:
            try:
                result = function()
            except RefoldError as error:
                result = error
        result = self.agree(result)
        if isinstance(result, RefoldError):
            raise result
        return result

    def spread(self, array: Any, axis: int = 0) -> Any:
        """Return the array of all processes, of which this process holds a part along an axis."""
        names = [None] * axis + [_AXIS]
        sharding = NamedSharding(self._mesh, PartitionSpec(*names))
        return jax.make_array_from_process_local_data(sharding, np.asarray(array))

    def own_columns(self, rows: np.ndarray) -> np.ndarray:
        """Return the columns that belong to this process."""
        return np.array_split(rows, self.count, axis=1)[self.index]

    def placed(self, state: Any, data: Any, rows: np.ndarray) -> tuple[Any, Any, Any]:
        """Return a state, data and rows of this process as arguments for a function of `across`."""
        # the data are kept for the next call
        if self._placed is None or self._placed[0] is not data:
            parts = (self.spread(np.asarray(array)[None]) for array in data)
            self._placed = data, type(data)(*parts)
        return jax.tree.map(_common, state), self._placed[1], self.spread(rows, axis=1)

    def on_host(self, state: Any) -> Any:
        """Return arrays that are the same in all processes as NumPy arrays."""
        return state if self.count == 1 else jax.tree.map(np.asarray, state)

    def across(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Let all processes run a function of a state, data, rows, and others that are the same."""

        def run(state: Any, data: Any, rows: Any, *others: Any, num_steps: int) -> Any:
            # each process gets its data, which `spread` gave an additional first axis, and its
            # columns of the rows
            def own(state: Any, data: Any, rows: Any, *others: Any) -> Any:
                data = jax.tree.map(lambda array: array[0], data)
                return function(state, data, rows, *others, num_steps=num_steps)

            same = PartitionSpec()
            specs = (same, PartitionSpec(_AXIS), PartitionSpec(None, _AXIS), *[same] * len(others))
            # Not `jax.jit` on sharded arrays alone: it cannot divide the kernel, a custom call, so
            # each device gathers and computes the whole batch. On two devices, it gathered the
            # batch three times and computed all 64 sequences on each, and a gradient took 84 ms
            # instead of 42 ms.
            mapped = jax.shard_map(
                own, mesh=self._mesh, in_specs=specs, out_specs=same, check_vma=False
            )
            return mapped(state, data, rows, *others)

        return run


def _common(array: Any) -> Any:
    """Return an array in a form that all processes can pass to a common program."""
    is_common = isinstance(array, jax.Array) and not array.is_fully_addressable
    return array if is_common else np.asarray(array)


def total(tree: Any) -> Any:
    """Sum arrays over the processes with one message; traced within `Processes.across`."""
    leaves, structure = jax.tree.flatten(tree)
    joined = jax.lax.psum(jnp.concatenate([jnp.ravel(leaf) for leaf in leaves]), _AXIS)
    sizes = np.cumsum([leaf.size for leaf in leaves])[:-1]
    parts = [
        part.reshape(leaf.shape)
        for part, leaf in zip(jnp.split(joined, sizes), leaves, strict=True)
    ]
    return jax.tree.unflatten(structure, parts)


def for_whole_batch(function: Callable[..., Any], count: int) -> Callable[..., Any]:
    """Let a function of trees (batch, ...) draw random numbers for the batch of all processes."""

    # the part of this process gets the draws that it would get in one process with the whole batch
    @functools.wraps(function)
    def wrapped(tree: Any, *args: Any, **kwargs: Any) -> Any:
        size = len(jax.tree.leaves(tree)[0])
        first = jax.lax.axis_index(_AXIS) * size

        def widen(array: Any) -> Any:
            whole = jnp.zeros((count * size, *array.shape[1:]), array.dtype)
            return jax.lax.dynamic_update_slice_in_dim(whole, array, first, 0)

        drawn = function(jax.tree.map(widen, tree), *args, **kwargs)
        return jax.tree.map(lambda x: jax.lax.dynamic_slice_in_dim(x, first, size), drawn)

    return wrapped
