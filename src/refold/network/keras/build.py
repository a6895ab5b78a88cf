"""Build networks of Keras models: the default model, classic models, and a user's own models.

`build` makes a new network from a specification. The functions at the end convert between a
`Network` of Keras models, for training, and a `PackedNetwork`, which encodes and decodes faster.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import keras
import numpy as np

from refold._support.rules import check, integer_rule, one_of
from refold.errors import ParameterError, argument
from refold.network.keras import classic
from refold.network.keras.autoencoder import Models, join_encoder_and_decoder, join_models
from refold.network.keras.decoder import DecoderLayers, build_forecaster
from refold.network.keras.encoder import build_encoder_models
from refold.network.keras.heads import build_length_predictor
from refold.network.keras.layer import seeded, summarize_keras_error
from refold.network.keras.lstm import CELLS
from refold.network.keras.network import Network
from refold.network.packed.network import FittedNetwork, PackedNetwork
from refold.network.specification import DECODERS, Specification, is_default_lstm
from refold.sequences.types import COLUMN_TYPES

ARCHITECTURES = ("default", "repeat", "reshape", "dense")
"""Names of the architectures: the default model and the classic models."""

Architecture = str | Callable[..., Any]
"""A name of `ARCHITECTURES`, or a function that returns an encoder and a decoder."""


# Options of a specification that only the default model supports. Other models need these values,
# which turn the options off.
_OPTIONS_WITHOUT_DEFAULT_MODEL = {
    "cell": "lstm",
    "decoder": "parallel",
    "variational": False,
    "patch": 1,
    "rocket_dim": 0,
    "length_dim": 0,
    "by_length": False,
    "forecast_steps": 0,
}


def build(specification: Specification, make_custom_models: Architecture | None = None) -> Network:
    """Build a network with fresh weights.

    Parameters
    ----------
    specification : Specification
        Sizes and options of the models.
    make_custom_models : callable, optional
        Function that makes the user's own models.  It is called with ``steps``, ``features``,
        ``outputs`` and ``latent_dim``, and returns an encoder and a decoder, or ``Models``.

    Raises
    ------
    ParameterError
        If the architecture does not match the data or the specification, returns something else,
        or makes models that could not be loaded after saving.

    Examples
    --------
    >>> specification = Specification(
    ...     "default", ["numeric"], [0], observed_flags=False, latent_dim=3, max_steps=5, units=8
    ... )
    >>> build(specification).models.decoder.output_shape
    (None, 5, 1)
    """
    if specification.architecture != "default":
        for name, required in _OPTIONS_WITHOUT_DEFAULT_MODEL.items():
            if (value := getattr(specification, name)) != required:
                raise ParameterError(
                    f"{argument(**{name: value})} needs {argument(architecture='default')}. Got "
                    f"{argument(architecture=specification.architecture)}; leave out one of the "
                    "two."
                )
    if callable(make_custom_models):
        models = _build_custom_models(make_custom_models, specification)
        roles = ("encoder", models.encoder), ("decoder", models.decoder)
        json_texts = [_model_to_checked_json(role, model) for role, model in roles]
        specification = replace(specification, architecture="custom", custom=json_texts)
    elif specification.custom is not None:
        encoder, decoder = map(keras.models.model_from_json, specification.custom)
        models = join_encoder_and_decoder(encoder, decoder)
    elif specification.architecture == "default":
        models = _build_default_models(specification)
    else:
        models = _build_classic_models(specification)
    length_predictor = build_length_predictor(specification)
    forecaster = build_forecaster(specification) if specification.forecast_steps > 0 else None
    return Network(specification, models, length_predictor, forecaster)


def make_default_models(
    column_types: Sequence[str],
    *,
    latent_dim: int,
    max_steps: int,
    num_categories: Sequence[int] | None = None,
    observed_flags: bool = False,
    **options: Any,
) -> Models:
    """Build the default encoder, decoder and autoencoder.

    The encoder is a stack of bidirectional LSTMs whose states are pooled over real steps (last,
    mean, maximum).  The decoder is a stack of LSTMs whose initial states are computed from the
    code, and that read the code and the absolute position at every step.  A ``linear_path`` adds
    two linear maps: from all steps to the code, and from the code to all steps.  They are zero
    until they are trained or initialized with principal components.

    Parameters
    ----------
    column_types : sequence of str
        Type of each column, as in `refold.sequences.Column`.
    num_categories : sequence of int, optional
        Number of categories of each column, 0 for columns that are not categorical.
    latent_dim, max_steps, observed_flags, **options
        Attributes of the `Specification`, such as ``units``.

    Examples
    --------
    >>> models = make_default_models(["numeric", "numeric"], latent_dim=4, max_steps=7, units=8)
    >>> models.encoder.output_shape, models.decoder.output_shape
    ((None, 4), (None, 7, 2))
    """
    columns = list(column_types), list(num_categories or [0] * len(column_types))
    sizes = observed_flags, latent_dim, max_steps
    return _build_default_models(Specification("default", *columns, *sizes, **options))


def _build_default_models(specification: Specification) -> Models:
    """Build the default models; raise a ParameterError if options exclude each other."""
    decoder, patch, cell = specification.decoder, specification.patch, specification.cell
    check("decoder", decoder, one_of(*DECODERS))
    check("cell", cell, one_of(*CELLS))
    is_autoregressive = decoder == "autoregressive"
    if not integer_rule().allows(patch) or (is_autoregressive and (patch > 1 or cell != "lstm")):
        raise ParameterError(
            f"{argument('patch')} must be a positive integer, and an autoregressive decoder needs "
            f"{argument(patch=1)} and {argument(cell='lstm')}. Got {argument(patch=patch)}, "
            f"{argument(cell=cell)} and {argument(decoder=decoder)}."
        )
    rocket_dim, length_dim = specification.rocket_dim, specification.length_dim
    # at least one latent dimension is learned
    max_rocket_dim = specification.latent_dim - 1 - length_dim
    has_fixed_dims = rocket_dim > 0 or length_dim > 0
    if not 0 <= rocket_dim <= max_rocket_dim or (has_fixed_dims and specification.variational):
        raise ParameterError(
            f"{argument('rocket_dim')} must be from 0 to {max_rocket_dim}, because a latent "
            f"dimension must be left to learn, and with {argument(variational=True)} all are "
            f"learned. Got {argument(rocket_dim=rocket_dim)} and {argument(length_dim=length_dim)}."
        )
    encoder, posterior = build_encoder_models(specification)
    return join_models(encoder, *DecoderLayers(specification).build_models(), posterior)


def _build_classic_models(specification: Specification) -> Models:
    """Build a classic model; raise a ParameterError if it does not support the data."""
    name = specification.architecture
    # numeric columns have the link "identity", and binary ones "sigmoid"
    links = {COLUMN_TYPES[column].link for column in specification.column_types}
    if links - {"identity", "sigmoid"} or specification.observed_flags:
        raise ParameterError(
            f"{argument(architecture=name)} does not support categorical columns, columns of "
            "counts and missing values, and the data has some. Use "
            f"{argument(architecture='default')}, or make the columns numeric and fill the values."
        )
    is_binary = links == {"sigmoid"}  # all columns are binary
    make_models = {
        "repeat": classic.make_repeat_models,
        "reshape": classic.make_reshape_models,
        "dense": classic.make_dense_models,
    }
    models = make_models[name](
        steps=specification.max_steps,
        features=len(specification.column_types),
        latent_dim=specification.latent_dim,
        **({"output_activation": "sigmoid"} if is_binary else {}),
    )
    models.autoencoder.compile("adam", "binary_crossentropy" if is_binary else "mse")
    return models


def _build_custom_models(make_models: Callable[..., Any], specification: Specification) -> Models:
    """Call a user's architecture; raise a ParameterError if its models do not fit the data."""
    result = make_models(
        steps=specification.max_steps,
        features=specification.num_channels,
        outputs=specification.num_outputs,
        latent_dim=specification.latent_dim,
    )
    if isinstance(result, Models):
        # A file stores only the encoder and the decoder, and `build` joins them when the file is
        # loaded. They are joined in the same way here, so that the loaded model computes the same.
        models = join_encoder_and_decoder(result.encoder, result.decoder)
        if result.autoencoder.compiled:
            models.autoencoder.compile(loss=result.autoencoder.loss)
    elif isinstance(result, tuple) and len(result) == 2:
        models = join_encoder_and_decoder(*result)
    else:
        raise ParameterError(
            "architecture must return an encoder and a decoder, both keras.Model. Got "
            f"{type(result).__name__}."
        )
    for name, width, expected in (
        ("encoder's input", models.encoder.input_shape[-1], specification.num_channels),
        ("encoder's output", models.encoder.output_shape[-1], specification.latent_dim),
        ("decoder's output", models.decoder.output_shape[-1], specification.num_outputs),
    ):
        if width not in (None, expected):
            raise ParameterError(
                f"the architecture's {name} must have width {expected}. Got {width}."
            )
    # the loss of the autoencoder needs the types, which the user's own layers may not tell
    if any(specification.num_categories):
        columns = tuple(specification.column_types), tuple(specification.num_categories)
        models.autoencoder.columns = columns
    return models


def _model_to_checked_json(model_role: str, model: keras.Model) -> str:
    """Return a model as Keras JSON; raise a ParameterError if it cannot be loaded again."""
    cause, reason = None, "its copy has other weights."
    try:
        text = model.to_json()
        with seeded(None):  # initializers need not draw numbers
            loaded = keras.models.model_from_json(text)
        if [v.shape for v in loaded.variables] == [v.shape for v in model.variables]:
            return text
    except Exception as error:  # a custom layer may raise any error
        cause, reason = error, summarize_keras_error(error)
    raise ParameterError(
        f"The architecture's {model_role} could not be loaded after saving: {reason} Register its "
        "classes and functions with @keras.saving.register_keras_serializable(), and give the "
        "classes a get_config() with all arguments; replace a Lambda with a layer class."
    ) from cause


def to_inference_network(network: Network) -> FittedNetwork:
    """Return a network that encodes and decodes with the current weights of Keras models."""
    # `PackedNetwork` needs no compilation, so it starts faster. JAX would compile Keras models for
    # each shape of a padded batch. But only the default model with LSTMs has a `PackedNetwork`, so
    # any other network is returned as it is.
    if not is_default_lstm(network.specification):
        return network
    packed_network = PackedNetwork(network.specification, {})
    packed_network.share_keras_weights(network)
    return packed_network


def load_network(specification: Specification, arrays: Mapping[str, np.ndarray]) -> Network:
    """Build a network from its specification and the arrays of ``Network.arrays``."""
    with seeded(None):  # initializers need not draw numbers, because all weights are assigned
        network = build(specification)
    for i, variable in enumerate(network.variables):
        variable.assign(arrays[f"{i:04d}"])
    return network


def build_trainable_copy(network: Any) -> Network:
    """Build Keras models with a copy of the weights of a fitted network, to train them further."""
    # Only weights are copied. The random generators, such as those of dropout, start anew.
    trainable = build(network.specification)
    if isinstance(network, Network):
        values = [variable.value for variable in network.weight_variables]
    else:
        values = [network.weights[variable.path] for variable in trainable.weight_variables]
    for variable, value in zip(trainable.weight_variables, values, strict=True):
        variable.assign(np.array(value))
    return trainable


def to_keras_network(network: Any) -> Network:
    """Return a network's Keras models, as a `Network`; from then on, both share their weights."""
    if isinstance(network, Network):
        return network
    # a `ColumnCurveNetwork` (a pretrained model) has no Keras models, but its `curve_network` has
    packed_network: Any = getattr(network, "curve_network", network)
    if packed_network.keras_network is None:
        with seeded(None):  # initializers need not draw numbers, because the weights are copied
            keras_network = build_trainable_copy(packed_network)
        packed_network.share_keras_weights(keras_network)
        return keras_network
    return packed_network.keras_network
