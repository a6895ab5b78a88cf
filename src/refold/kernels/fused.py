"""`lstm` runs the compiled LSTM as a JAX function that has a gradient."""

import functools
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np
from jax.custom_derivatives import SymbolicZero
from jax.typing import ArrayLike

from refold.errors import ParameterError
from refold.kernels._library import lstm_array_lengths, require_library, variant, why_not

ACTIVATIONS = ("tanh", "sigmoid", "relu", "linear")
"""Names of the activation functions that the kernel supports."""

# Names under which JAX knows the C functions. FFI is the foreign function interface of JAX.
_FORWARD_FFI_TARGET, _BACKWARD_FFI_TARGET = "refold_lstm_forward", "refold_lstm_backward"


class _LstmOptions(NamedTuple):
    """Arguments of `lstm` that are not arrays."""

    activation: str
    recurrent_activation: str
    go_backwards: bool
    return_sequences: bool

    def to_ffi_attributes(self) -> dict[str, Any]:
        """Return the attributes that both C functions have, with activations as numbers."""
        return {
            "activation": np.int32(ACTIVATIONS.index(self.activation)),
            "recurrent_activation": np.int32(ACTIVATIONS.index(self.recurrent_activation)),
            "go_backwards": self.go_backwards,
        }


def lstm(
    x: ArrayLike,
    kernel: ArrayLike,
    recurrent_kernel: ArrayLike,
    bias: ArrayLike,
    h: ArrayLike,
    c: ArrayLike,
    mask: ArrayLike | None = None,
    *,
    activation: str = "tanh",
    recurrent_activation: str = "sigmoid",
    go_backwards: bool = False,
    return_sequences: bool = True,
) -> tuple[Any, Any, Any]:
    """Run an LSTM [1]_ over a batch of sequences on the CPU, with the compiled kernel.

    The function is differentiable once, in reverse mode. JAX refuses other derivatives: use
    ``LSTM(engine="scan")`` for them.

    Parameters
    ----------
    x : array of shape (B, T, F), float32
        Input.
    kernel, recurrent_kernel, bias : arrays of shape (F, 4 H), (H, 4 H) and (4 H,), float32
        Weights. The gates are in Keras's order: input, forget, cell, output.
    h, c : array of shape (B, H), float32
        Initial output and cell state.
    mask : array of shape (B, T), bool, optional
        True at real steps. A masked step leaves output and state unchanged and costs nothing.
    activation, recurrent_activation : {"tanh", "sigmoid", "relu", "linear"}
        Activation of the cell and the output, and activation of the gates.
    go_backwards, return_sequences : bool
        Whether to read the last step first, and whether to return the outputs of all steps.

    Returns
    -------
    outputs : array of shape (B, T, H) or None
        Outputs in the order of computation; None without ``return_sequences``.
    h, c : array of shape (B, H)
        Last output and cell state.

    References
    ----------
    .. [1] S. Hochreiter and J. Schmidhuber, "Long Short-Term Memory", Neural Computation 9(8),
       1997.

    Examples
    --------
    >>> import numpy as np
    >>> from refold import kernels
    >>> from refold.kernels import fused
    >>> x, h = np.zeros((2, 5, 3), "float32"), np.zeros((2, 4), "float32")
    >>> kernel, recurrent = np.zeros((3, 16), "float32"), np.zeros((4, 16), "float32")
    >>> if kernels.variant():
    ...     y, h, c = fused.lstm(x, kernel, recurrent, np.zeros(16, "float32"), h, h)
    ...     assert y.shape == (2, 5, 4)
    """
    _register_kernel_with_jax()
    options = _LstmOptions(
        activation, recurrent_activation, bool(go_backwards), bool(return_sequences)
    )
    for name in ("activation", "recurrent_activation"):
        if (value := getattr(options, name)) not in ACTIVATIONS:
            raise ParameterError(
                f"{name} is {value!r}; the LSTM kernel supports {', '.join(ACTIVATIONS)}."
            )
    # for the C function, an empty mask says that there is no mask
    mask_array = jnp.zeros((0, 0), bool) if mask is None else mask
    arrays = [jnp.asarray(array) for array in (x, kernel, recurrent_kernel, bias, h, c, mask_array)]
    x, _, _, _, h, *_ = arrays
    if x.ndim != 3 or h.ndim != 2:
        raise ParameterError(
            f"x has shape {x.shape} and h has shape {h.shape}; expected (B, T, F) and (B, H)."
        )
    (batch, steps, features), units = x.shape, h.shape[1]
    shapes = {
        "x": x.shape,
        "kernel": (features, 4 * units),
        "recurrent_kernel": (units, 4 * units),
        "bias": (4 * units,),
        "h": (batch, units),
        "c": (batch, units),
        "mask": (0, 0) if mask is None else (batch, steps),
    }
    for (name, shape), array in zip(shapes.items(), arrays, strict=True):
        dtype = jnp.dtype(bool if name == "mask" else jnp.float32)
        if (array.shape, array.dtype) != (shape, dtype):
            raise ParameterError(
                f"{name} is {array.dtype} of shape {array.shape}; expected {dtype} of {shape}, for "
                f"x of {x.shape} and h of {h.shape}."
            )
    return _differentiable_lstm(*arrays, options)


@functools.cache
def _register_kernel_with_jax() -> None:
    """Register the kernel with JAX, once."""
    if variant() is None:
        raise ParameterError(f"There is no LSTM kernel: {why_not()}.")
    library = require_library()
    for name, symbol in (
        (_FORWARD_FFI_TARGET, "RefoldLstmForward"),
        (_BACKWARD_FFI_TARGET, "RefoldLstmBackward"),
    ):
        jax.ffi.register_ffi_target(name, jax.ffi.pycapsule(library[symbol]), platform="cpu")


# `_run_without_gradient`, `_forward` and `_backward` follow the protocol of `jax.custom_vjp`.
# Cotangents are the gradients of the results. Residuals are what JAX stores from the forward pass
# for the backward pass. JAX wraps each array that it passes to `_forward` in an object. The
# attribute ``perturbed`` of this object says whether the gradient of the array is needed.


def _run_without_gradient(*arrays_and_options: Any) -> tuple[Any, Any, Any]:
    """Return outputs, h and c, and store nothing for a gradient; the options come last."""
    *arrays, options = arrays_and_options
    outputs, last_h, last_c, *_ = _call_forward(arrays, options, keep_residuals=False)
    return (outputs if options.return_sequences else None), last_h, last_c


def _forward(*arrays_and_options: Any) -> tuple[Any, Any]:
    """Return the results of the LSTM, and the residuals."""
    *wrapped_arrays, options = arrays_and_options
    arrays = [wrapped.value for wrapped in wrapped_arrays]
    outputs, last_h, last_c, gates, cells = _call_forward(arrays, options, keep_residuals=True)
    results = (outputs if options.return_sequences else None), last_h, last_c
    x, kernel, recurrent, _, h, c, mask = arrays
    # in the order in which the gradient reads them
    saved = x, kernel, recurrent, h, c, mask, outputs, gates, cells
    # Whether the gradient of x is needed is one of the residuals. JAX allows nested tuples of
    # arrays and None there, but no bool. So an empty tuple stands for True, and None for False.
    return results, (saved, () if wrapped_arrays[0].perturbed else None)


def _backward(
    options: _LstmOptions, residuals: tuple[tuple, tuple | None], cotangents: tuple
) -> tuple:
    """Return the gradients of the arguments from those of the results."""
    saved, needs_d_x_flag = residuals
    x, kernel, recurrent, h, c, _, _, gates, _ = saved
    d_outputs, d_h, d_c = cotangents
    # for the C function, an empty array is a gradient of zeros
    if d_outputs is None or isinstance(d_outputs, SymbolicZero):
        d_outputs = jnp.zeros((0, 0, 0), jnp.float32)
    d_h, d_c = (
        jnp.zeros_like(state) if isinstance(d_state, SymbolicZero) else d_state
        for d_state, state in ((d_h, h), (d_c, c))
    )
    needs_d_x = needs_d_x_flag is not None
    # the C function does not compute a gradient that is an empty array
    x_shape = x.shape if needs_d_x else (0, 0, 0)
    bias_shape = recurrent.shape[1:]
    shapes = x_shape, kernel.shape, recurrent.shape, bias_shape, h.shape, c.shape, gates.shape
    call = jax.ffi.ffi_call(
        _BACKWARD_FFI_TARGET,
        [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes],
        vmap_method="sequential",
        # to save memory, the C function overwrites argument 7, the gates, with result 6, the
        # gradients of the gates before their activation
        input_output_aliases={7: 6},
    )
    d_x, *d_others, _ = call(*saved, d_outputs, d_h, d_c, **options.to_ffi_attributes())
    return (d_x if needs_d_x else None), *d_others, None  # a mask has no gradient


# argument 7, after seven arrays, is the options
_differentiable_lstm = cast(Any, jax.custom_vjp(_run_without_gradient, nondiff_argnums=(7,)))
_differentiable_lstm.defvjp(_forward, _backward, symbolic_zeros=True)


def _call_forward(arrays: list[Any], options: _LstmOptions, *, keep_residuals: bool) -> Any:
    """Return outputs, h, c, and with ``keep_residuals`` the gates and cells of all steps."""
    x, _, _, _, h, *_ = arrays
    (batch, steps, _), units = x.shape, h.shape[1]
    # Only the gradient needs gates, cells and the outputs of all steps. Without a gradient, these
    # arrays have no rows.
    num_rows = batch * steps if keep_residuals else 0
    num_output_steps = steps if options.return_sequences or keep_residuals else 0
    # a number of floats for the gates of a step, and another number for its cells
    trace_shapes = [(num_rows, num_floats) for num_floats in lstm_array_lengths(units)[:2]]
    shapes = (batch, num_output_steps, units), h.shape, h.shape, *trace_shapes
    call = jax.ffi.ffi_call(
        _FORWARD_FFI_TARGET,
        [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes],
        vmap_method="sequential",
    )
    return call(*arrays, return_sequences=options.return_sequences, **options.to_ffi_attributes())
