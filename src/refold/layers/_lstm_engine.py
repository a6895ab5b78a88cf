"""Engine of the LSTM layers in this process: the fused kernel, or Keras's loop and the reason."""

import functools
import logging
import os
from typing import TYPE_CHECKING, Any, NamedTuple

import keras

from refold.errors import ParameterError

if TYPE_CHECKING:
    from refold.kernels import Backend

ENGINES = ("auto", "fused", "scan")


class Runtime(NamedTuple):
    """Backend, device and kernel that LSTM layers run on.

    Attributes
    ----------
    backend : str
        Keras's backend.
    device : str or None
        JAX's default device, such as "cpu:0"; None on other backends.
    kernel : str or None
        Variant of the fused kernel, such as "avx2"; None if it cannot run.
    why_not : str or None
        Reason why it cannot run, in one line; None if it can.
    """

    backend: str
    device: str | None
    kernel: str | None
    why_not: str | None


def runtime() -> Runtime:
    """Return the backend, device and kernel that LSTM layers run on in this process.

    Returns
    -------
    Runtime

    Examples
    --------
    >>> here = runtime()
    >>> here.backend
    'jax'
    >>> (here.kernel is None) == (here.why_not is not None)
    True
    """
    backend = keras.backend.backend()
    reason = why_not_here(log=False)
    kernel = backend_here().variant() if reason is None else None
    return Runtime(backend, _device() if backend == "jax" else None, kernel, reason)


def check_engine(engine: Any) -> None:
    """Raise `ParameterError` if ``engine`` is not one of the three."""
    if engine not in ENGINES:
        raise ParameterError(f"engine must be auto, fused or scan. Got {engine!r}.")


def why_not_here(*, log: bool) -> str | None:
    """Return why no layer of this process can run fused, or None; ``log`` logs it once."""
    if keras.backend.backend() != "jax":
        return f"Keras runs on {keras.backend.backend()}, and the kernel is for JAX"
    # Not at the top, because other backends do not need JAX.
    from refold.kernels import BACKENDS

    if _platform() not in BACKENDS:
        devices = " and ".join(backend.devices for backend in BACKENDS.values())
        return f"JAX runs on {_device()}, and the kernel is for {devices}"
    reason = backend_here().why_not()
    if reason is not None and log:
        _log_once(reason)
    return reason


def backend_here() -> "Backend":
    """Return the kernel backend for JAX's default device; call it only if there is one."""
    from refold.kernels import BACKENDS

    return BACKENDS[_platform()]


def _platform() -> str:
    """Return the type of JAX's default device, such as "cpu"."""
    return _device().partition(":")[0]


def _device() -> str:
    return keras.distribution.list_devices()[0]


@functools.cache
def _log_once(reason: str) -> None:
    # no warning for a user who turned the kernel off
    chosen = os.environ.get("REFOLD_KERNEL") == "none"
    logging.getLogger("refold").log(
        logging.INFO if chosen else logging.WARNING,
        "LSTM layers run on Keras's loop, which is slower than the fused kernel: %s",
        reason,
    )
