"""The processes that train one network together, and how they exchange arrays and values.

Each process trains on a share of the sequences of a batch. `Processes.map_batch` lets all of them
run a compiled function, each on its share. Inside that function, `sum_over_processes` adds up
arrays, and `wrap_global_batch_draws` gives each sequence the random numbers of a single process.
"""

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

# Name of the axis over processes in JAX.
_PROCESS_AXIS = "process"


class Processes:
    """The processes of a training, which run the same program on different parts of the data."""

    # Most methods wait for messages of all processes, so all processes must call them in the same
    # order.

    def __init__(self, process_index: int = 0, process_count: int = 1) -> None:
        # index of this process, counted from 0, and number of processes
        self.process_index, self.process_count = process_index, process_count
        # the data of the latest call of `as_global_inputs`, and the global arrays made from it
        self._cached_global_data: Any = None

    @classmethod
    def from_jax_runtime(cls) -> Self:
        """Return the processes that JAX has connected."""
        return cls(jax.process_index(), jax.process_count())

    @functools.cached_property
    def _mesh(self) -> Mesh:
        """The first device of each process, in the order of the processes."""
        # the dict keeps the last device of each process: in reverse order, this is the first one
        devices = {device.process_index: device for device in reversed(jax.devices())}
        return Mesh(np.array([devices[i] for i in range(self.process_count)]), (_PROCESS_AXIS,))

    def gather(self, value: Any) -> list[Any]:
        """Return the values of all processes, in the order of their indices."""
        if self.process_count == 1:
            return [value]
        content = np.frombuffer(pickle.dumps(value), np.uint8)
        sizes = np.asarray(multihost_utils.process_allgather(np.array([len(content)], np.int32)))
        # a power of two, because JAX compiles a program for each shape
        num_bytes = 1 << int(sizes.max() - 1).bit_length()
        padded = np.zeros(num_bytes, np.uint8)
        padded[: len(content)] = content
        rows = np.asarray(multihost_utils.process_allgather(padded))
        sizes = sizes.ravel()
        return [pickle.loads(row[:size].tobytes()) for row, size in zip(rows, sizes, strict=True)]  # noqa: S301

    def broadcast_from_first(self, value: Any) -> Any:
        """Return the value of the first process in all processes."""
        if self.process_count == 1:
            return value
        return self.gather(value if self.process_index == 0 else None)[0]

    def call_in_first(self, function: Callable[[], Any]) -> Any:
        """Call a function in the first process, and return its result or raise its error in all."""
        result: Any = None
        if self.process_index == 0:
            try:
                result = function()
            except RefoldError as error:
                result = error
        result = self.broadcast_from_first(result)
        if isinstance(result, RefoldError):
            raise result
        return result

    def as_global_array(self, array: Any, axis: int = 0) -> Any:
        """Join the arrays of all processes along an axis to one JAX array, without moving them."""
        sharding = NamedSharding(self._mesh, PartitionSpec(*[None] * axis, _PROCESS_AXIS))
        return jax.make_array_from_process_local_data(sharding, np.asarray(array))

    def as_global_inputs(self, state: Any, data: Any, positions: Any) -> tuple[Any, Any, Any]:
        """Return global arrays for a function of `map_batch`, from the arrays of this process."""
        # The state is the same in all processes. Data and positions belong to this process. Many
        # consecutive calls have the same data, so its global arrays are kept for the next call.
        if self._cached_global_data is None or self._cached_global_data[0] is not data:
            arrays = (self.as_global_array(np.asarray(array)[None]) for array in data)
            self._cached_global_data = data, type(data)(*arrays)
        positions = self.as_global_array(positions, axis=1)

        def to_replicable_array(array: Any) -> Any:
            # JAX takes a NumPy array as equal in all processes, but not an array on one device
            is_global = isinstance(array, jax.Array) and not array.is_fully_addressable
            return array if is_global else np.asarray(array)

        return jax.tree.map(to_replicable_array, state), self._cached_global_data[1], positions

    def to_host(self, state: Any) -> Any:
        """Return a state as NumPy arrays; a single process keeps its JAX arrays."""
        return state if self.process_count == 1 else jax.tree.map(np.asarray, state)

    def map_batch(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function that runs in all processes, each on its columns of `positions`."""
        # `positions` has the shape (num_batches, batch_size), so a column is a place in each batch

        # the state and `args` are the same in all processes
        def run_in_all_processes(
            train_state: Any, data_shards: Any, batch_positions: Any, *args: Any, padded_length: int
        ) -> Any:
            def run_on_local_shard(state: Any, data: Any, positions: Any, *args: Any) -> Any:
                # without the first axis, which `as_global_inputs` added
                data = jax.tree.map(lambda array: array[0], data)
                return function(state, data, positions, *args, padded_length=padded_length)

            # an argument is the same in all processes, or divided along its first or second axis
            same, by_row = PartitionSpec(), PartitionSpec(_PROCESS_AXIS)
            by_column = PartitionSpec(None, _PROCESS_AXIS)
            specs = same, by_row, by_column, *[same] * len(args)
            # `jax.jit` on sharded arrays would not be enough. It cannot divide the LSTM kernel, a
            # custom call, so each device would gather and compute the complete batch. On two
            # devices, it gathered the batch three times and computed all 64 sequences on each, and
            # a gradient took 84 ms instead of 42 ms.
            mapped = jax.shard_map(
                run_on_local_shard, mesh=self._mesh, in_specs=specs, out_specs=same, check_vma=False
            )
            return mapped(train_state, data_shards, batch_positions, *args)

        return run_in_all_processes


def sum_over_processes(arrays: Any) -> Any:
    """Sum each array of a tree over the processes; traced within `Processes.map_batch`."""
    # the arrays are joined, because a single message is faster than a message for each array
    leaves, structure = jax.tree.flatten(arrays)
    joined = jax.lax.psum(jnp.concatenate([jnp.ravel(leaf) for leaf in leaves]), _PROCESS_AXIS)
    ends = np.cumsum([leaf.size for leaf in leaves])[:-1]
    pairs = zip(jnp.split(joined, ends), leaves, strict=True)
    sums = [vector.reshape(leaf.shape) for vector, leaf in pairs]
    return jax.tree.unflatten(structure, sums)


def wrap_global_batch_draws(function: Callable[..., Any], num_processes: int) -> Callable[..., Any]:
    """Let a function of trees (batch, ...) draw random numbers for the batch of all processes."""

    # The function runs on arrays of the size of the global batch. Each sequence of this process is
    # at its row of the global batch, and the rows of other processes are zeros. So each sequence
    # gets the same random numbers as in a single process.
    @functools.wraps(function)
    def run_padded_to_global_batch(local_arrays: Any, *args: Any, **kwargs: Any) -> Any:
        batch_size = len(jax.tree.leaves(local_arrays)[0])
        first_row = jax.lax.axis_index(_PROCESS_AXIS) * batch_size

        def place_in_global_batch(array: Any) -> Any:
            zeros = jnp.zeros((num_processes * batch_size, *array.shape[1:]), array.dtype)
            return jax.lax.dynamic_update_slice_in_dim(zeros, array, first_row, 0)

        results = function(jax.tree.map(place_in_global_batch, local_arrays), *args, **kwargs)
        return jax.tree.map(
            lambda array: jax.lax.dynamic_slice_in_dim(array, first_row, batch_size), results
        )

    return run_padded_to_global_batch
