"""Custom models: the result of a user's architecture, and a check that it can be loaded."""

from collections.abc import Callable
from typing import Any

import keras

from refold.errors import ParameterError
from refold.network.keras.autoencoder import Models, autoencoder, every_layer
from refold.network.keras.seed import seeded
from refold.network.specification import Specification


def own_models(architecture: Callable[..., Any], specification: Specification) -> Models:
    """Call a user's architecture; a ParameterError says what does not fit the data."""
    result = architecture(
        steps=specification.max_steps,
        features=specification.num_channels,
        outputs=specification.num_outputs,
        latent_dim=specification.latent_dim,
    )
    if isinstance(result, Models):
        # join them again, as loading does, because only encoder and decoder are saved
        models = autoencoder(result.encoder, result.decoder)
        if result.autoencoder.compiled:
            models.autoencoder.compile(loss=result.autoencoder.loss)
    elif isinstance(result, tuple) and len(result) == 2:
        models = autoencoder(*result)
    else:
        raise ParameterError(
            "architecture must return an encoder and a decoder, both keras.Model. Got "
            f"{type(result).__name__}."
        )
    for end, got, wanted in (
        ("encoder's input", models.encoder.input_shape[-1], specification.num_channels),
        ("encoder's output", models.encoder.output_shape[-1], specification.latent_dim),
        ("decoder's output", models.decoder.output_shape[-1], specification.num_outputs),
    ):
        if got not in (None, wanted):
            raise ParameterError(f"the architecture's {end} must have width {wanted}. Got {got}.")
    if any(specification.num_categories):
        models.autoencoder.columns = (
            tuple(specification.column_types),
            tuple(specification.num_categories),
        )
    return models


def loadable_json(role: str, model: keras.Model) -> str:
    """Return a model as Keras JSON; a ParameterError if no equal model can be built from it."""
    try:
        text = model.to_json()
        with seeded(None):
            again = keras.models.model_from_json(text)
        if [v.shape for v in again.variables] == [v.shape for v in model.variables]:
            return text
    except Exception as error:  # a custom layer may raise any error
        raise _not_loadable(role, model) from error
    raise _not_loadable(role, model)


def _not_loadable(role: str, model: keras.Model) -> ParameterError:
    layers = [layer for layer in every_layer(model) if not _is_loadable(layer)]
    named = f"its layer {layers[0].name!r} ({type(layers[0]).__name__})" if layers else "its layers"
    return ParameterError(
        f"The architecture's {role} could not be loaded after saving. Register the classes and "
        f"functions of {named} with @keras.saving.register_keras_serializable(), and give the "
        "classes a get_config() with all arguments; replace a Lambda with a layer class."
    )


def _is_loadable(layer: keras.layers.Layer) -> bool:
    try:
        with seeded(None):
            state: Any = keras.saving.serialize_keras_object(layer)
            again: Any = keras.saving.deserialize_keras_object(state)
    except Exception:  # a custom layer may raise any error
        return False
    return len(again.get_config()) == len(layer.get_config())
