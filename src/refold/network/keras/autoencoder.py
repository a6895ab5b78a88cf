"""Join an encoder and a decoder into an autoencoder, whose loss leaves out missing values.

`join_encoder_and_decoder` joins a user's own models. `join_models` joins models that are known to
fit. Both return `Models`.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import keras
from keras import ops

from refold.errors import ParameterError
from refold.network.keras.heads import ColumnHead, compute_column_losses
from refold.network.keras.layer import BaseLayer, Shape, Tensor


@keras.saving.register_keras_serializable(package="refold")
class Autoencoder(keras.Model):
    """Keras model whose loss and metrics leave out unobserved targets.

    Targets may be NaN, for padded steps and missing values.  Any element-wise Keras loss or metric
    is averaged over the observed entries.  If you compile without a loss, each column has the loss
    of its type: squared error, or binary or categorical cross-entropy.

    Examples
    --------
    >>> import numpy as np
    >>> from refold.models import make_default_models
    >>> model = make_default_models(["numeric"], latent_dim=2, max_steps=4, units=8).autoencoder
    >>> x, y = np.array([[[1.0], [np.nan]]], "float32"), np.array([[[3.0], [9.0]]], "float32")
    >>> float(model.error(x, y))
    4.0
    """

    # True if no loss was given to `compile`: then each column has the loss of its type
    _has_column_losses = True
    # types, and numbers of categories, of all columns; set if no layer is a `ColumnHead`
    columns: tuple[tuple[str, ...], tuple[int, ...]] | None = None

    def compile(
        self,
        optimizer: Any = "rmsprop",
        loss: Any = None,
        *args: Any,
        metrics: Any = None,
        weighted_metrics: Any = None,
        **kwargs: Any,
    ) -> None:
        """Configure training, as ``keras.Model.compile`` does.

        ``metrics`` are weighted, because an unweighted Keras metric would count padding.
        """
        self._has_column_losses = loss is None
        all_metrics = []
        for argument in (metrics, weighted_metrics):  # each is None, one metric, or several
            is_sequence = isinstance(argument, Sequence) and not isinstance(argument, str)
            all_metrics += argument if is_sequence else [] if argument is None else [argument]
        super().compile(optimizer, loss, *args, weighted_metrics=all_metrics or None, **kwargs)

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compile as the saved model was compiled.  Keras needs this for a custom ``compile``."""
        self.compile(**keras.saving.deserialize_keras_object(config))
        self.optimizer.build(self.trainable_variables)

    def get_config(self) -> dict[str, Any]:
        """Return the configuration of the Keras model, and the columns."""
        return {**super().get_config(), "columns": self.columns}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> "Autoencoder":
        """Create the model from its configuration."""
        columns = config.pop("columns", None)
        model = super().from_config(config, custom_objects)
        if columns is not None:
            model.columns = tuple(columns[0]), tuple(columns[1])
        return model

    def compute_loss(
        self,
        x: Tensor = None,  # noqa: ARG002  (the signature is Keras's)
        y: Tensor = None,
        y_pred: Tensor = None,
        sample_weight: Tensor = None,
        training: bool = True,  # noqa: ARG002, FBT001, FBT002
    ) -> Any:
        """Compute the mean error over observed targets, plus the losses of the layers."""
        error = self.error(y, y_pred, sample_weight)
        return error + sum(self.losses) if self.losses else error

    def error(self, y: Tensor, y_pred: Tensor, sample_weight: Tensor = None) -> Any:
        """Compute the mean error of targets and outputs (batch, steps, any), without other losses.

        Weights have the shape (batch,) or (batch, steps).
        """
        values, is_observed, weight = _mask_targets(y, y_pred, sample_weight)
        # Targets that are not observed have the weight zero. (Keras's own masking would give NaN.)
        # A Keras loss is a mean over all targets. The factor below, the number of targets divided
        # by the number of observed targets, turns it into a mean over the observed targets.
        num_targets = ops.cast(ops.size(is_observed), is_observed.dtype)
        weight = weight * (num_targets / ops.maximum(ops.sum(is_observed), 1.0))
        if self._has_column_losses:
            heads = (layer for layer in iterate_layers(self) if isinstance(layer, ColumnHead))
            if self.columns is not None:
                column_types, num_categories = list(self.columns[0]), list(self.columns[1])
            elif (head := next(heads, None)) is not None:
                column_types, num_categories = head.column_types, head.num_categories
            else:
                _require_same_width(values, y_pred)
                column_types, num_categories = ["numeric"] * y.shape[-1], [0] * y.shape[-1]
            losses = compute_column_losses(values, y_pred, column_types, num_categories)
            return ops.mean(losses * weight)
        _require_same_width(values, y_pred)
        # A Keras loss takes a mean over the last axis. A new last axis of length 1 keeps the loss
        # of each element.
        return self._compile_loss(values[..., None], y_pred[..., None], weight)

    def compute_metrics(
        self, x: Tensor, y: Tensor, y_pred: Tensor, sample_weight: Tensor = None
    ) -> Any:
        """Update the element-wise metrics on observed targets."""
        values, _, weight = _mask_targets(y, y_pred, sample_weight)
        if self._compile_metrics is not None:
            _require_same_width(values, y_pred)
        return super().compute_metrics(x, values[..., None], y_pred[..., None], weight)


class Models(NamedTuple):
    """An encoder, a decoder and the autoencoder of both, which share their weights.

    Attributes
    ----------
    encoder : keras.Model
        Padded sequences (batch, steps, features) to codes (batch, latent_dim).
    decoder : keras.Model
        Codes to sequences of ``max_steps`` steps (batch, max_steps, outputs).
    autoencoder : Autoencoder
        Sequences to their reconstructions (batch, steps, outputs).
    unroll : keras.Model
        Codes and a template (batch, steps, any) to sequences with as many steps as the template.
    posterior : keras.Model, optional
        In a variational model: sequences to the mean and log-variance of each latent dimension,
        two arrays (batch, latent_dim). The mean is the output of ``encoder``.
    """

    encoder: keras.Model
    decoder: keras.Model
    autoencoder: Autoencoder
    unroll: keras.Model
    posterior: keras.Model | None = None


def join_encoder_and_decoder(
    encoder: keras.Model, decoder: keras.Model, *, name: str = "autoencoder"
) -> Models:
    """Join any two Keras models into an autoencoder that shares their weights.

    Parameters
    ----------
    encoder : keras.Model
        From (batch, steps, features) to (batch, latent_dim).
    decoder : keras.Model
        From (batch, latent_dim) to (batch, any number of steps, outputs). The result is cut or
        padded to the number of steps of the encoder's input.
    name : str
        Name of the autoencoder.

    Examples
    --------
    >>> import keras
    >>> from refold.layers import LSTM
    >>> x, code = keras.Input((10, 5)), keras.Input((20,))
    >>> steps = LSTM(5, return_sequences=True)(keras.layers.RepeatVector(10)(code))
    >>> models = join_encoder_and_decoder(keras.Model(x, LSTM(20)(x)), keras.Model(code, steps))
    >>> models.autoencoder.output_shape
    (None, 10, 5)
    """
    for role, model in (("encoder", encoder), ("decoder", decoder)):
        inputs = getattr(model, "inputs", None) or []
        outputs = model.outputs if inputs else []
        if not isinstance(model, keras.Model) or (len(inputs), len(outputs)) != (1, 1):
            raise ParameterError(
                f"{role} must be a Functional keras.Model, or a Sequential one that starts with "
                f"keras.Input, with one input and one output. Got {type(model).__name__} with "
                f"{len(inputs)} and {len(outputs)}."
            )
    x_shape, code_shape = tuple(encoder.inputs[0].shape), tuple(encoder.outputs[0].shape)
    decoder_input_shape, y_shape = tuple(decoder.inputs[0].shape), tuple(decoder.outputs[0].shape)
    num_dims = len(x_shape), len(code_shape), len(y_shape)
    if num_dims != (3, 2, 3) or decoder_input_shape[1:] != code_shape[1:]:
        raise ParameterError(
            "The encoder must turn (batch, steps, features) into (batch, latent_dim), and the "
            "decoder (batch, latent_dim) into (batch, steps, features). Got "
            f"{x_shape} into {code_shape}, and {decoder_input_shape} into {y_shape}."
        )
    code = keras.Input(decoder_input_shape[1:], name="code")
    template: Any = keras.Input((x_shape[1], None), name="template")
    steps: Any = FitSteps(name="fit_steps")(decoder(code), like=template)
    unroll = keras.Model([code, template], steps, name="decoder")
    return join_models(encoder, decoder, unroll, name=name)


@keras.saving.register_keras_serializable(package="refold")
class FitSteps(BaseLayer):
    """Cut a decoder's output to the number of steps of ``like``, or pad it with zeros.

    So a decoder that writes a fixed number of steps fits an encoder that reads any number.

    Examples
    --------
    >>> import numpy as np
    >>> FitSteps()(np.ones((1, 4, 2), "float32"), like=np.ones((1, 3, 1), "float32")).shape
    (1, 3, 2)
    """

    def call(self, inputs: Tensor, like: Tensor) -> Any:
        """Fit inputs of shape (batch, any, features) to (batch, steps of like, features)."""
        num_steps = ops.shape(like)[1]
        zeros = ops.zeros((ops.shape(inputs)[0], num_steps, inputs.shape[-1]), inputs.dtype)
        return ops.concatenate([inputs, zeros], axis=1)[:, :num_steps]

    def compute_output_shape(self, inputs_shape: Shape, like_shape: Shape) -> Any:
        """Return the shape (batch, steps of like, features)."""
        return (inputs_shape[0], like_shape[1], inputs_shape[-1])


# The autoencoder is the encoder followed by ``unroll``, so it returns as many steps as its input
# has. Its outputs differ from the first steps of ``decoder(encoder(x))`` by at most 1e-5, because
# ``unroll`` runs the same layers with another number of steps.
def join_models(
    encoder: keras.Model,
    decoder: keras.Model,
    template_decoder: keras.Model,
    posterior_model: keras.Model | None = None,
    *,
    name: str = "autoencoder",
) -> Models:
    """Join an encoder, a decoder, and a ``template_decoder``, which becomes ``unroll``."""
    # ``template_decoder`` has the layers of ``decoder``. It reads codes and a template, and writes
    # as many steps as the template has.
    x = keras.Input(encoder.inputs[0].shape[1:], name="sequence")
    model = Autoencoder(x, template_decoder([encoder(x), x]), name=name)
    return Models(encoder, decoder, model, template_decoder, posterior_model)


def _mask_targets(y: Tensor, y_pred: Tensor, sample_weight: Tensor) -> tuple[Any, Any, Any]:
    """Return targets with 0 for NaN, a mask of observed targets, and the weight of each target."""
    # all three have the shape (batch, steps, any) of the targets
    y = ops.cast(y, y_pred.dtype)
    is_missing = ops.isnan(y)
    is_observed: Any = ops.cast(ops.logical_not(is_missing), y.dtype)  # 1.0 and 0.0
    weight = is_observed
    if sample_weight is not None:
        sample_weight = ops.cast(sample_weight, y.dtype)
        while len(sample_weight.shape) < len(y.shape):  # weights of sequences or of steps
            sample_weight = sample_weight[..., None]
        weight = is_observed * sample_weight
    return ops.where(is_missing, ops.zeros_like(y), y), is_observed, weight


def _require_same_width(y: Tensor, y_pred: Tensor) -> None:
    """Raise an error if targets and outputs have different numbers of features."""
    if y.shape[-1] != y_pred.shape[-1]:
        raise ParameterError(
            f"targets have {y.shape[-1]} features and outputs {y_pred.shape[-1]}. With categorical "
            "columns, compile the autoencoder without loss= and metrics=, so that each column gets "
            "the loss of its type."
        )


def iterate_layers(model: keras.Model) -> Iterator[keras.layers.Layer]:
    """Iterate over the layers of a model and of its nested models."""
    for layer in model.layers:
        yield layer
        if isinstance(layer, keras.Model):
            yield from iterate_layers(layer)
