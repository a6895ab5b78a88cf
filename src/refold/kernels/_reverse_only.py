"""Clear errors for derivatives that the kernel does not support."""

import functools
from collections.abc import Callable
from typing import Any, NoReturn

import jax
from jax.core import Tracer
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from refold.errors import ParameterError

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
