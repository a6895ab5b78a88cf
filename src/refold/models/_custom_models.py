"""A user's own models: what an architecture returns, and whether it can be loaded again."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import keras

from refold.errors import ParameterError
from refold.models._autoencoder import Models, autoencoder, every_layer
from refold.models._seed import seeded

if TYPE_CHECKING:
    from refold.models._network import Specification

__all__ = ["loadable_json", "own_models"]


def own_models(architecture: Callable[..., Any], specification: "Specification") -> Models:
    """Call a user's architecture, and check that its models fit the data.

    Raises
    ------
    ParameterError
        If it returns something else, or models of other sizes.
    """
    made = architecture(
        steps=specification.max_steps,
        features=specification.num_channels,
        outputs=specification.num_outputs,
        latent_dim=specification.latent_dim,
    )
    if isinstance(made, Models):
        # only encoder and decoder are saved: what they are joined by must be the same after loading
        models = autoencoder(made.encoder, made.decoder)
        if made.autoencoder.compiled:
            models.autoencoder.compile(loss=made.autoencoder.loss)
    elif isinstance(made, tuple) and len(made) == 2:
        models = autoencoder(*made)
    else:
        raise ParameterError(
            "architecture must return an encoder and a decoder, both keras.Model. Got "
            f"{type(made).__name__}."
        )
    for role, got, wanted in (
        ("encoder must read", models.encoder.input_shape[-1], specification.num_channels),
        ("encoder must write", models.encoder.output_shape[-1], specification.latent_dim),
        ("decoder must write", models.decoder.output_shape[-1], specification.num_outputs),
    ):
        if got not in (None, wanted):
            raise ParameterError(f"the {role} {wanted} numbers. The architecture's has {got}.")
    if any(specification.num_categories):
        models.autoencoder.columns = (
            tuple(specification.column_types),
            tuple(specification.num_categories),
        )
    return models


def loadable_json(role: str, model: keras.Model) -> str:
    """Return a model as Keras JSON, of which the same model can be made again.

    Parameters
    ----------
    role : {"encoder", "decoder"}
    model : keras.Model

    Raises
    ------
    ParameterError
        If it cannot, so that a saved model could not be loaded.
    """
    try:
        text = model.to_json()
        with seeded(None):
            again = keras.models.model_from_json(text)
        if [v.shape for v in again.variables] == [v.shape for v in model.variables]:
            return text
    except Exception as error:  # whatever a layer of the user's raises
        raise _not_loadable(role, model) from error
    raise _not_loadable(role, model)


def _not_loadable(role: str, model: keras.Model) -> ParameterError:
    layers = [layer for layer in every_layer(model) if not _is_loadable(layer)]
    named = f"its layer {layers[0].name!r} ({type(layers[0]).__name__})" if layers else "its layers"
    return ParameterError(
        f"The architecture's {role} could not be loaded again after it is saved. Register what "
        f"{named} is made of by @keras.saving.register_keras_serializable(), with a get_config() "
        "of all arguments; instead of a Lambda, write a layer class."
    )


def _is_loadable(layer: keras.layers.Layer) -> bool:
    try:
        with seeded(None):
            state: Any = keras.saving.serialize_keras_object(layer)
            again: Any = keras.saving.deserialize_keras_object(state)
    except Exception:  # whatever a layer of the user's raises
        return False
    return len(again.get_config()) == len(layer.get_config())
