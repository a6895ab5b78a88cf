"""The fused LSTM as a JAX function, and the table of backends, one for each type of JAX device.

To add a backend, write a module whose ``lstm`` takes and returns what this `lstm` does.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple, NoReturn, cast

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.custom_derivatives import SymbolicZero
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir
from jax.typing import ArrayLike

from refold.errors import ParameterError
from refold.kernels._library import layout, load, variant, why_not

ACTIVATIONS = ("tanh", "sigmoid", "relu", "linear")
"""Names of the activation functions that the kernel supports."""

_FORWARD, _BACKWARD = "refold_lstm_forward", "refold_lstm_backward"


class Backend(NamedTuple):
    """A fused LSTM for one type of device."""

    devices: str  # plural name, for messages
    # like `lstm`, for float32, differentiable once in reverse mode
    lstm: Callable[..., tuple[Any, Any, Any]]
    activations: tuple[str, ...]  # names of the Keras activations that it supports
    variant: Callable[[], str | None]  # name of the variant of this machine; None if there is none
    why_not: Callable[[], str | None]  # why there is none, in one line; None if there is one


class _Options(NamedTuple):
    activation: str
    recurrent_activation: str
    go_backwards: bool
    return_sequences: bool

    def attributes(self) -> dict[str, Any]:
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

    It is differentiable once, in reverse mode.

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
        Outputs in the order of computation.
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
    _register()
    options = _Options(activation, recurrent_activation, bool(go_backwards), bool(return_sequences))
    for name in ("activation", "recurrent_activation"):
        if (value := getattr(options, name)) not in ACTIVATIONS:
            raise ParameterError(
                f"{name} is {value!r}; the LSTM kernel supports {', '.join(ACTIVATIONS)}."
            )
    arrays = [jnp.asarray(a) for a in (x, kernel, recurrent_kernel, bias, h, c)]
    mask = None if mask is None else jnp.asarray(mask)
    _check(arrays, mask)
    return _lstm(*reverse_only(*arrays), jnp.zeros((0, 0), bool) if mask is None else mask, options)


def _check(arrays: list[Any], mask: Any) -> None:
    x, kernel, recurrent, bias, h, c = arrays
    if x.ndim != 3 or h.ndim != 2:
        raise ParameterError(
            f"x has shape {x.shape} and h has shape {h.shape}; expected (B, T, F) and (B, H)."
        )
    (batch, steps, features), units = x.shape, h.shape[1]
    expected = {
        "x": (x, x.shape),
        "kernel": (kernel, (features, 4 * units)),
        "recurrent_kernel": (recurrent, (units, 4 * units)),
        "bias": (bias, (4 * units,)),
        "h": (h, (batch, units)),
        "c": (c, (batch, units)),
    }
    if mask is not None:
        expected["mask"] = (mask, (batch, steps))
    for name, (array, shape) in expected.items():
        dtype = jnp.dtype(bool if name == "mask" else jnp.float32)
        if (array.shape, array.dtype) != (shape, dtype):
            raise ParameterError(
                f"{name} is {array.dtype} of shape {array.shape}; expected {dtype} of {shape}, for "
                f"x of {x.shape} and h of {h.shape}."
            )


# JAX differentiates the kernel once, in reverse mode. Other derivatives give a clear error.

_HELP = 'Use LSTM(engine="scan"), or refold.layers.convert(model, engine="scan").'


def _refuse_forward_mode(*_: Any, **__: Any) -> NoReturn:
    raise ParameterError(
        f"The fused LSTM has no forward-mode derivative (jvp, jacfwd, linearize). {_HELP}"
    )


# Passes a tangent through. Reverse mode can transpose it, but nothing can compute its value.
_tangent_p = Primitive("refold_reverse_only")
_tangent_p.def_impl(_refuse_forward_mode)
_tangent_p.def_abstract_eval(lambda tangent: tangent)
ad.deflinear2(_tangent_p, lambda cotangent, _: [cotangent])
mlir.register_lowering(_tangent_p, _refuse_forward_mode)


def _batch(tangents: list, axes: list) -> tuple[Any, Any]:
    if not isinstance(tangents[0], Tracer):  # jacfwd
        _refuse_forward_mode()
    return _tangent_p.bind(tangents[0]), axes[0]


batching.primitive_batchers[_tangent_p] = _batch


@jax.custom_jvp
def _identity(x: Any) -> Any:
    return x


@_identity.defjvp
def _identity_jvp(primals: tuple, tangents: tuple) -> tuple[Any, Any]:
    return primals[0], _tangent_p.bind(tangents[0])


def reverse_only(*arrays: Any) -> list[Any]:
    """Return the same arrays, with tangents that raise an error when they are computed."""
    return [_identity(array) for array in arrays]


def refuse_second_derivative(function: Callable) -> Callable:
    """Make ``function(*arrays, options)`` raise an error when it is differentiated."""

    @functools.wraps(function)
    def wrapped(*arguments: Any) -> Any:
        *arrays, options = arguments
        return _bound(function, options)(*arrays)

    return wrapped


@functools.cache
def _bound(function: Callable, options: Any) -> Callable:
    bound = jax.custom_jvp(lambda *arrays: function(*arrays, options))

    @bound.defjvp
    def _(*_: Any) -> NoReturn:
        raise ParameterError(f"The fused LSTM has no second derivative. {_HELP}")

    return bound


@functools.cache
def _register() -> None:
    """Register the kernel with JAX, once."""
    if variant() is None:
        raise ParameterError(f"There is no LSTM kernel: {why_not()}.")
    library = load()
    for name, symbol in ((_FORWARD, "RefoldLstmForward"), (_BACKWARD, "RefoldLstmBackward")):
        jax.ffi.register_ffi_target(name, jax.ffi.pycapsule(library[symbol]), platform="cpu")


class _Residuals(NamedTuple):
    """Arrays that the forward pass keeps for the backward pass, in the order of its call."""

    x: Any
    kernel: Any
    recurrent: Any
    h: Any
    c: Any
    mask: Any
    outputs: Any
    gates: Any
    cells: Any


def _without_residuals(
    x: Any, kernel: Any, recurrent: Any, bias: Any, h: Any, c: Any, mask: Any, options: _Options
) -> tuple[Any, Any, Any]:
    outputs, last_h, last_c, *_ = _call_forward(
        x, kernel, recurrent, bias, h, c, mask, (options, False)
    )
    return (outputs if options.return_sequences else None), last_h, last_c


def _forward(
    x: Any, kernel: Any, recurrent: Any, bias: Any, h: Any, c: Any, mask: Any, options: _Options
) -> tuple[Any, Any]:
    arrays = [argument.value for argument in (x, kernel, recurrent, bias, h, c, mask)]
    outputs, last_h, last_c, gates, cells = _call_forward(*arrays, (options, True))
    results = (outputs if options.return_sequences else None), last_h, last_c
    x_, kernel_, recurrent_, _, h_, c_, mask_ = arrays
    saved = _Residuals(x_, kernel_, recurrent_, h_, c_, mask_, outputs, gates, cells)
    # The flag says whether the gradient of x is needed. It is a tuple or None, because JAX keeps
    # only pytrees of arrays between the passes.
    return results, (saved, () if x.perturbed else None)


def _backward(
    options: _Options, residuals: tuple[_Residuals, tuple | None], cotangents: tuple
) -> tuple:
    saved, perturbed = residuals
    d_outputs, d_h, d_c = cotangents
    if d_outputs is None or isinstance(d_outputs, SymbolicZero):
        d_outputs = jnp.zeros((0, 0, 0), jnp.float32)
    d_h, d_c = (
        jnp.zeros_like(state) if isinstance(d, SymbolicZero) else d
        for d, state in ((d_h, saved.h), (d_c, saved.c))
    )
    wants_x = perturbed is not None
    d_x, *others, _ = _call_backward(*saved, d_outputs, d_h, d_c, (options, wants_x))
    return (d_x if wants_x else None), *others, None


_lstm = cast(Any, jax.custom_vjp(_without_residuals, nondiff_argnums=(7,)))
_lstm.defvjp(_forward, _backward, symbolic_zeros=True)


@refuse_second_derivative
def _call_forward(*arguments: Any) -> Any:
    *arrays, (options, residuals) = arguments
    x, _, _, _, h, *_ = arrays
    (batch, steps, _), units = x.shape, h.shape[1]
    rows = batch * steps if residuals else 0
    call = jax.ffi.ffi_call(
        _FORWARD,
        [
            _floats(batch, steps if options.return_sequences or residuals else 0, units),
            _floats(batch, units),
            _floats(batch, units),
            *(_floats(rows, length) for length in layout(units)[:2]),
        ],
        vmap_method="sequential",
    )
    return call(*arrays, return_sequences=options.return_sequences, **options.attributes())


@refuse_second_derivative
def _call_backward(*arguments: Any) -> Any:
    *arrays, (options, wants_x) = arguments
    x, kernel, recurrent, h, c, _, _, gates, *_ = arrays
    call = jax.ffi.ffi_call(
        _BACKWARD,
        [
            _floats(*(x.shape if wants_x else (0, 0, 0))),
            _floats(*kernel.shape),
            _floats(*recurrent.shape),
            _floats(recurrent.shape[1]),
            _floats(*h.shape),
            _floats(*c.shape),
            _floats(*gates.shape),
        ],
        vmap_method="sequential",
        input_output_aliases={7: 6},  # the gradients of the pre-activations overwrite the gates
    )
    return call(*arrays, **options.attributes())


def _floats(*shape: int) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(shape, jnp.float32)


BACKENDS = {"cpu": Backend("CPUs", lstm, ACTIVATIONS, variant, why_not)}
"""Backends by the name that JAX gives a type of device."""
