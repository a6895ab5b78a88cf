"""`LSTM` runs on the fused kernel, and `replace_lstm_layers` puts it into finished Keras models.

The fused kernel is compiled code that runs all steps of an LSTM in one call. `CELLS` has the
recurrent cells of the default model. To add a cell, add an entry.
"""

import tempfile
from collections.abc import Callable
from typing import Any, NamedTuple

import keras
from keras import ops

from refold._support.rules import check, one_of
from refold.errors import ParameterError
from refold.kernels import log_slow_fallback, variant, why_not
from refold.network.keras.layer import (
    Constant,
    ForgetBias,
    GlorotUniform,
    Orthogonal,
    Tensor,
    summarize_keras_error,
)

# Values of the argument ``engine`` of an LSTM.
_ENGINE_RULE = one_of("auto", "fused", "scan")


class LstmRuntimeInfo(NamedTuple):
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
        Reason why the kernel cannot run, in one line; None if it can.
    """

    backend: str
    device: str | None
    kernel: str | None
    why_not: str | None


def get_lstm_runtime_info() -> LstmRuntimeInfo:
    """Return the `LstmRuntimeInfo` of this process.

    Examples
    --------
    >>> get_lstm_runtime_info().backend
    'jax'
    """
    # Nearly all computing time of a model is spent in its LSTMs. One call of the kernel for all
    # steps is 1.6 to 4.5 times as fast as Keras's loop on JAX, forward and backward
    # (benchmarks/results/lstm.md).
    backend, device = keras.backend.backend(), None
    if backend != "jax":
        reason = f"Keras runs on {backend}, and the kernel is for JAX"
    else:
        device, reason = keras.distribution.list_devices()[0], why_not()
        if not device.startswith("cpu"):
            reason = f"JAX runs on {device}, and the kernel is for CPUs"
    return LstmRuntimeInfo(backend, device, variant() if reason is None else None, reason)


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

    Attributes
    ----------
    engine_used : str or None
        Engine of the latest call, "fused" or "scan"; None before the first call.  A model that is
        compiled calls the layer only while Keras traces it, not at each batch.
    why_scan : str or None
        Reason why the latest call chose the scan; None if it did not.

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
        check("engine", engine, _ENGINE_RULE)
        super().__init__(units, *args, **kwargs)
        self.engine = engine
        self.engine_used: str | None = None
        self.why_scan: str | None = None

    def inner_loop(
        self,
        sequences: Tensor,
        initial_state: Tensor,
        mask: Tensor,
        training: bool = False,  # noqa: FBT001, FBT002  (the signature is Keras's)
    ) -> Any:
        """Run all steps of sequences (batch, steps, features).  ``keras.layers.RNN`` calls this."""
        if isinstance(mask, list | tuple):
            mask = mask[0]  # as in Keras's LSTM, the other masks do not matter
        reason = self._find_reason_for_scan_or_none(sequences)
        if reason is not None and self.engine == "fused":
            raise ParameterError(
                f"LSTM {self.name!r} with engine='fused' cannot run: {reason}. "
                "Use engine='auto' or 'scan'."
            )
        self.engine_used = "fused" if reason is None else "scan"
        self.why_scan = reason
        if reason is not None:
            return super().inner_loop(sequences, initial_state, mask, training=training)
        cell = self.cell
        if training and 0.0 < self.dropout < 1.0:  # one mask for all steps, as in Keras
            sequences = sequences * ops.expand_dims(cell.get_dropout_mask(sequences[:, 0]), 1)
        if mask is not None:
            mask = ops.cast(mask, "bool")
            # Keras accepts a mask with an axis of features, too
            mask = ops.any(mask, axis=-1) if len(mask.shape) == 3 else mask
            mask = ops.broadcast_to(mask, ops.shape(sequences)[:2])
        bias = ops.zeros((4 * self.units,), "float32") if cell.bias is None else cell.bias
        from refold.kernels import fused  # not at the top, because it imports JAX

        run: Any = fused.lstm  # Any, because the results of keras.ops have no annotations
        outputs, h, c = run(
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
        output_mask: Any = None  # (batch, steps); outputs of its masked steps become zeros
        if mask is not None and self.zero_output_for_mask:
            # Outputs are in the order of computation. If it goes backwards, the last step is first.
            output_mask = ops.flip(mask, axis=1) if self.go_backwards else mask
        # the result of Keras's ``inner_loop``: the last output, all outputs, and the states
        if not self.return_sequences:
            last = h
            if output_mask is not None:
                last = ops.where(output_mask[:, -1:], h, ops.zeros_like(h))
            return last, ops.expand_dims(last, 1), [h, c]
        if output_mask is not None:
            outputs = ops.where(output_mask[..., None], outputs, ops.zeros_like(outputs))
        return h, outputs, [h, c]

    def _find_reason_for_scan_or_none(self, sequences: Tensor) -> str | None:
        """Return the reason why the fused kernel cannot run, or None if it can."""
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
        dtypes = [self.compute_dtype, self.variable_dtype, self.cell.compute_dtype]
        if (dtype := keras.backend.standardize_dtype(sequences.dtype)) == "float64":
            dtypes.append(dtype)  # inputs of other types are cast to float32
        for dtype in dtypes:
            if dtype != "float32":
                return f"its dtype is {dtype}, and the kernel is for float32"
        if (reason := get_lstm_runtime_info().why_not) is not None:
            # Only a missing kernel is logged. A backend or device without the kernel is the user's
            # choice.
            if reason == why_not() and self.engine == "auto":
                log_slow_fallback(
                    "LSTM layers run on Keras's loop, which is slower than the kernel", reason
                )
            return reason
        from refold.kernels.fused import ACTIVATIONS  # not at the top, because it imports JAX

        for role in ("activation", "recurrent_activation"):
            if _activation_name(getattr(self, role)) not in ACTIVATIONS:
                *names, last = ACTIVATIONS
                return f"its {role} is not {', '.join(names)} or {last} of keras.activations"
        return None

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of this layer."""
        return {**super().get_config(), "engine": self.engine}


def _activation_name(activation: Any) -> str:
    """Return the name of a Keras activation, or "" for any other function."""
    name = getattr(activation, "__name__", "")
    return name if name and getattr(keras.activations, name, None) is activation else ""


# Conversion of Keras models


def replace_lstm_layers(model: keras.Model, engine: str = "auto") -> keras.Model:
    """Copy a Sequential or Functional Keras model, and replace its LSTM layers with Refold's.

    LSTM layers inside ``Bidirectional``, ``TimeDistributed`` and nested models are replaced too.
    In Refold's own LSTM layers, only the engine changes.  The copy keeps names and weights, and the
    original model does not change.

    The copy of a compiled model is compiled with the same arguments and a new optimizer state.

    Parameters
    ----------
    model : keras.Model
        A Sequential or Functional model.
    engine : {"auto", "fused", "scan"}
        Engine of every LSTM layer of the copy; see `LSTM`.

    Raises
    ------
    ParameterError
        If the model has no LSTM layer, or one that cannot be replaced, as in a subclassed model.

    Examples
    --------
    >>> import keras
    >>> model = keras.Sequential([keras.Input((5, 3)), keras.layers.LSTM(4)])
    >>> replace_lstm_layers(model, "scan").layers[0].engine
    'scan'
    """
    check("engine", engine, _ENGINE_RULE)
    if not isinstance(model, keras.Model):
        raise ParameterError(
            f"replace_lstm_layers takes a keras.Model. Got {type(model).__name__}; "
            "put a single layer into keras.Sequential."
        )
    layers = model._flatten_layers()
    classes = {type(layer).__name__: type(layer) for layer in layers}
    copy: Any = None
    reason: str | None = "it has no keras.layers.LSTM."  # overwritten below if it has one
    if any(type(layer) in (keras.layers.LSTM, LSTM) for layer in layers):
        try:
            config = _replace_lstm_configs(keras.saving.serialize_keras_object(model), engine)
            copy = keras.saving.deserialize_keras_object(config, classes, safe_mode=False)
            reason = _find_copy_mismatch_or_none(model, copy)
        except Exception as error:  # a custom layer may raise any error
            reason = summarize_keras_error(error)
    if copy is None or reason is not None:
        raise ParameterError(
            f"Model {model.name!r} cannot be converted: {reason} Use refold.layers.LSTM in its "
            "code, or convert it before you compile it, with its own classes and functions "
            "registered by keras.saving."
        )
    if not model.built:
        return copy
    copy.set_weights(model.get_weights())
    # Not all state of a layer is in its weights. A vocabulary is in a file, which Keras calls an
    # asset, and a Normalization computes statistics from its weights in ``finalize_state``.
    copied_layers: dict[str, Any] = {layer.name: layer for layer in copy._flatten_layers()}
    with tempfile.TemporaryDirectory(prefix="refold-") as folder:
        for layer in model._flatten_layers():
            copied_layer = copied_layers[layer.name]
            if hasattr(layer, "save_assets"):
                layer.save_assets(folder)
                copied_layer.load_assets(folder)
            if isinstance(copied_layer, keras.layers.Normalization) and copied_layer.built:
                copied_layer.finalize_state()
    return copy


def _find_copy_mismatch_or_none(original: keras.Model, copy: keras.Model) -> str | None:
    """Return the reason why a copy does not compute what the model does, or None."""
    for layer in copy._flatten_layers():
        if type(layer) is keras.layers.LSTM:
            return f"its LSTM {layer.name!r} is created in the code of another layer or model."
    if original.built and [w.shape for w in copy.weights] != [w.shape for w in original.weights]:
        return "it shares a layer that Keras would copy as several layers with separate weights."
    return None


def _replace_lstm_configs(config: Any, engine: str) -> Any:
    """Return the configuration of a model, or a part of it, with Refold's LSTM layers."""
    if isinstance(config, list | tuple):
        return type(config)(_replace_lstm_configs(entry, engine) for entry in config)
    if not isinstance(config, dict):
        return config
    arguments = config.get("config")
    if config.get("class_name") == "LSTM" and isinstance(arguments, dict):
        registered_name = keras.saving.get_registered_name(LSTM)
        is_refold = config.get("registered_name") == registered_name
        if config.get("module") == "keras.layers" or is_refold:
            new_class = {"module": LSTM.__module__, "registered_name": registered_name}
            return {**config, **new_class, "config": {**arguments, "engine": engine}}
    return {key: _replace_lstm_configs(entry, engine) for key, entry in config.items()}


# Recurrent cells of the default model


class RecurrentLayerType(NamedTuple):
    """A type of recurrent layer of the default model."""

    layer_class: type[keras.layers.RNN]
    bias_options: dict[str, Any]  # arguments of the layer that set its initial bias
    num_states: int  # number of states of a layer, each (batch, units)
    # its arguments are a projection of the code, (batch, num_states * units), and ``units``
    make_initial_state: Callable[[Any, int], list[Any]]

    def make_layer(self, units: int, *, name: str) -> keras.layers.RNN:
        """Return a new layer that returns the outputs of all steps."""
        layer_class: Any = self.layer_class
        return layer_class(
            units,
            return_sequences=True,
            kernel_initializer=GlorotUniform(),
            recurrent_initializer=Orthogonal(),
            name=name,
            **self.bias_options,
        )


CELLS = {
    "lstm": RecurrentLayerType(
        layer_class=LSTM,
        bias_options={"bias_initializer": ForgetBias(), "unit_forget_bias": False},
        num_states=2,  # the output and the cell state; tanh bounds the initial cell state
        make_initial_state=lambda projected, units: [
            projected[:, :units],
            ops.tanh(projected[:, units:]),
        ],
    ),
    "gru": RecurrentLayerType(
        layer_class=keras.layers.GRU,
        bias_options={"bias_initializer": Constant()},
        num_states=1,  # the output; tanh bounds it, as it bounds all outputs of a GRU
        make_initial_state=lambda projected, _: [ops.tanh(projected)],
    ),
}
"""Recurrent cells by the value of ``cell``."""
