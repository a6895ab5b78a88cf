"""The LSTM layer of Refold's models: Keras's layer, on the fused kernel if the kernel can run."""

import functools
import logging
import os
from typing import TYPE_CHECKING, Any, NamedTuple

import keras

from refold.errors import ParameterError
from refold.network.keras.tensors import Tensor

if TYPE_CHECKING:
    from refold.kernels.fused import Backend
from keras import ops

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
    from refold.kernels.fused import BACKENDS

    if _platform() not in BACKENDS:
        devices = " and ".join(backend.devices for backend in BACKENDS.values())
        return f"JAX runs on {_device()}, and the kernel is for {devices}"
    reason = backend_here().why_not()
    if reason is not None and log:
        _log_once(reason)
    return reason


def backend_here() -> "Backend":
    """Return the kernel backend for JAX's default device; call it only if there is one."""
    from refold.kernels.fused import BACKENDS

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


@keras.saving.register_keras_serializable(package="refold")
class LSTM(keras.layers.LSTM):
    """Long short-term memory layer, a drop-in replacement for ``keras.layers.LSTM``.

    It has the same arguments, weights and results as Keras's layer [1]_, up to float32 rounding.
    A fused kernel runs all steps in one call, forward and backward.  The kernel needs JAX on a CPU,
    float32, and activations among tanh, sigmoid, relu and linear, and it does not support recurrent
    dropout or ``unroll``.  Otherwise the layer runs Keras's loop, the scan.

    Parameters
    ----------
    units : int
        Size of the state and of the output.
    *args, **kwargs
        As in ``keras.layers.LSTM``.
    engine : {"auto", "fused", "scan"}
        Engine that runs the steps.  "auto" uses the fused kernel if it can run, else the scan.
        "fused" raises an error if the kernel cannot run.  Second derivatives and forward mode need
        "scan".

    References
    ----------
    .. [1] S. Hochreiter and J. Schmidhuber, "Long Short-Term Memory", Neural Computation 9(8),
       1997.

    Examples
    --------
    >>> import numpy as np
    >>> layer = LSTM(4, engine="scan")
    >>> layer(np.zeros((2, 5, 3), "float32")).shape
    (2, 4)
    >>> layer.engine_used, layer.why_scan
    ('scan', "engine='scan' was requested")
    """

    def __init__(self, units: int, *args: Any, engine: str = "auto", **kwargs: Any) -> None:
        check_engine(engine)
        super().__init__(units, *args, **kwargs)
        self.engine = engine
        self._engine_used: str | None = None
        self._why_scan: str | None = None

    @property
    def engine_used(self) -> str | None:
        """Engine of the latest call, "fused" or "scan"; None before the first call.

        Running compiled code again is not a call.
        """
        return self._engine_used

    @property
    def why_scan(self) -> str | None:
        """Reason why the latest call chose the scan; None if it did not."""
        return self._why_scan

    def inner_loop(
        self,
        sequences: Tensor,
        initial_state: Tensor,
        mask: Tensor,
        training: bool = False,  # noqa: FBT001, FBT002  (the signature is Keras's)
    ) -> Any:
        """Run all steps.  ``keras.layers.RNN`` calls this."""
        if isinstance(mask, list | tuple):
            mask = mask[0]
        reason = self._why_not_fused(sequences)
        if reason is not None and self.engine == "fused":
            raise ParameterError(
                f"LSTM {self.name!r} with engine='fused' cannot run: {reason}. "
                "Use engine='auto' or 'scan'."
            )
        self._engine_used = "fused" if reason is None else "scan"
        self._why_scan = reason
        if reason is not None:
            return super().inner_loop(sequences, initial_state, mask, training=training)
        return self._fused(sequences, initial_state, mask, training=training)

    def _why_not_fused(self, sequences: Tensor) -> str | None:
        """Return the reason why the fused kernel cannot run, or None if it can."""
        reason = self._why_not_by_configuration(sequences)
        reason = reason or why_not_here(log=self.engine == "auto")
        return reason or self._why_not_by_activation()

    def _why_not_by_activation(self) -> str | None:
        known = backend_here().activations
        for role in ("activation", "recurrent_activation"):
            if _activation_name(getattr(self, role)) not in known:
                names = f"{', '.join(known[:-1])} or {known[-1]}"
                return f"its {role} is not {names} of keras.activations"
        return None

    def _why_not_by_configuration(self, sequences: Tensor) -> str | None:
        if self.engine == "scan":
            return "engine='scan' was requested"
        if type(self.cell) is not keras.layers.LSTMCell:
            return f"its cell is a {type(self.cell).__name__}, not keras.layers.LSTMCell"
        if self.recurrent_dropout:
            return f"recurrent_dropout is {self.recurrent_dropout}, and the kernel supports only 0"
        if self.dropout and self.cell.implementation == 1:
            return "with implementation=1 each gate has its own dropout mask"
        if self.unroll:
            return "unroll=True asks for Keras's unrolled loop"
        if self.use_cudnn is True:
            return "use_cudnn=True asks for cuDNN"
        for dtype in (self.compute_dtype, self.variable_dtype, self.cell.compute_dtype):
            if dtype != "float32":
                return f"its dtype is {dtype}, and the kernel is for float32"
        if keras.backend.standardize_dtype(sequences.dtype) == "float64":
            return "its input is float64, and the kernel is for float32"
        return None

    def _fused(
        self, sequences: Tensor, initial_state: Tensor, mask: Tensor, *, training: bool
    ) -> Any:
        cell = self.cell
        if training and 0.0 < self.dropout < 1.0:
            sequences = sequences * ops.expand_dims(cell.get_dropout_mask(sequences[:, 0]), 1)
        if mask is not None:
            mask = ops.cast(mask, "bool")
            mask = ops.any(mask, axis=-1) if len(mask.shape) == 3 else mask
            mask = ops.broadcast_to(mask, ops.shape(sequences)[:2])
        bias = ops.zeros((4 * self.units,), "float32") if cell.bias is None else cell.bias
        outputs, h, c = backend_here().lstm(
            ops.cast(sequences, "float32"),
            ops.convert_to_tensor(cell.kernel),
            ops.convert_to_tensor(cell.recurrent_kernel),
            ops.convert_to_tensor(bias),
            initial_state[0],
            initial_state[1],
            mask,
            activation=_activation_name(self.activation),
            recurrent_activation=_activation_name(self.recurrent_activation),
            go_backwards=self.go_backwards,
            return_sequences=self.return_sequences,
        )
        # the mask in the order of the outputs
        read = mask if mask is None or not self.go_backwards else ops.flip(mask, axis=1)
        if not self.return_sequences:
            last = h
            if read is not None and self.zero_output_for_mask:
                last = ops.where(read[:, -1:], h, ops.zeros_like(h))
            return last, ops.expand_dims(last, 1), [h, c]
        if read is not None and self.zero_output_for_mask:
            outputs = ops.where(read[..., None], outputs, ops.zeros_like(outputs))
        return h, outputs, [h, c]

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of this layer."""
        return {**super().get_config(), "engine": self.engine}


def _activation_name(function: Any) -> str:
    """Return the name of a Keras activation, or "" for any other function."""
    name = getattr(function, "__name__", "")
    return name if name and getattr(keras.activations, name, None) is function else ""
