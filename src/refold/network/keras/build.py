"""Networks of Keras models: the default model, classic models, and a user's own models."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import keras

from refold._support.rules import whole
from refold.errors import ParameterError, argument
from refold.network.keras import classic
from refold.network.keras.autoencoder import Models, autoencoder, every_layer, join
from refold.network.keras.decoder import find_decoder, forecaster
from refold.network.keras.encoder import PaddingMask, make_encoder
from refold.network.keras.layer import seeded
from refold.network.keras.lengths import length_model
from refold.network.specification import Specification
from refold.sequences.types import COLUMN_TYPES

ARCHITECTURES = ("default", "repeat", "reshape", "dense")
"""Names of the architectures: the default model and the classic models."""

Architecture = str | Callable[..., Any]
"""A name of `ARCHITECTURES`, or a function that returns an encoder and a decoder."""


# Options that only the default model takes, with the values that switch them off.
_OPTIONS = {
    "cell": "lstm",
    "decoder": "parallel",
    "variational": False,
    "patch": 1,
    "rocket_dim": 0,
    "length_dim": 0,
    "by_length": False,
    "forecast_steps": 0,
}


class Network(NamedTuple):
    """The models built from a specification.

    Attributes
    ----------
    specification : Specification
        Sizes and options of the models.
    models : Models
        Encoder, decoder and autoencoder.
    length : keras.Model
        Codes to the location and log-scale of the length.
    forecaster : keras.Model, optional
        Codes and recent values to the steps after the sequences.
    """

    specification: Specification
    models: Models
    length: keras.Model
    forecaster: keras.Model | None = None

    @property
    def reads_padding(self) -> bool:
        """Whether the encoder masks padding (NaN); if not, its input has zeros for NaN."""
        return any(isinstance(layer, PaddingMask) for layer in every_layer(self.models.encoder))

    @property
    def fixed_steps(self) -> int | None:
        """Number of steps that the encoder reads, or None if it reads any number.

        An encoder that does not mask padding must always get the same number of steps.
        """
        steps = self.models.encoder.inputs[0].shape[1]
        return self.specification.max_steps if steps is None and not self.reads_padding else steps

    @property
    def most_steps(self) -> int | None:
        """Maximum number of steps to decode, or None for the default model, which has none."""
        if self.specification.architecture == "default":
            return None
        return self.models.decoder.output_shape[1]

    @property
    def autoregressive(self) -> bool:
        """Whether decoding is autoregressive."""
        return find_decoder(self.specification.decoder).reads_previous

    @property
    def variables(self) -> list[keras.Variable]:
        """All variables once, in the order of their creation."""
        variables: dict[int, keras.Variable] = {}
        encoder, decoder, posterior = (
            self.models.encoder,
            self.models.decoder,
            self.models.posterior,
        )
        for model in (encoder, decoder, self.length, posterior, self.forecaster):
            for variable in [] if model is None else model.variables:
                variables.setdefault(id(variable), variable)
        return list(variables.values())

    @property
    def weights(self) -> list[keras.Variable]:
        """All variables but the states of random generators."""
        return [v for v in self.variables if "seed_generator" not in v.path]


def build(specification: Specification, architecture: Architecture | None = None) -> Network:
    """Build a network with fresh weights.

    Parameters
    ----------
    specification : Specification
        Sizes and options of the models.
    architecture : callable, optional
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
    ...     "default", ["numeric"], [0], False, 3, 5, 8, 1, 0.0, 4.0, 1.0
    ... )
    >>> build(specification).models.decoder.output_shape
    (None, 5, 1)
    """
    if specification.architecture != "default":
        for name, off in _OPTIONS.items():
            if (value := getattr(specification, name)) != off:
                raise ParameterError(
                    f"{argument(**{name: value})} needs {argument(architecture='default')}. Got "
                    f"{argument(architecture=specification.architecture)}; leave out one of the "
                    "two."
                )
    if callable(architecture):
        models = _own_models(architecture, specification)
        custom = [
            _loadable_json("encoder", models.encoder),
            _loadable_json("decoder", models.decoder),
        ]
        specification = replace(specification, architecture="custom", custom=custom)
    elif specification.custom is not None:
        encoder, decoder = map(keras.models.model_from_json, specification.custom)
        models = autoencoder(encoder, decoder)
    elif specification.architecture == "default":
        scale = specification.length_scale if specification.length_dim else None
        models = _default_models(specification, scale)
    else:
        models = _classic_models(specification)
    length = length_model(specification)
    ahead = forecaster(specification) if specification.forecast_steps else None
    return Network(specification, models, length, ahead)


def default(
    column_types: Sequence[str],
    *,
    latent_dim: int,
    max_steps: int,
    num_categories: Sequence[int] | None = None,
    observed_flags: bool = False,
    units: int = 96,
    depth: int = 1,
    cell: str = "lstm",
    dropout: float = 0.0,
    code_noise: float = 0.0,
    decoder: str = "parallel",
    step_dropout: float = 0.0,
    variational: bool = False,
    patch: int = 1,
    linear_path: bool | None = None,
    rocket_dim: int = 0,
    length_scale: tuple[float, float] | None = None,
    by_length: bool = False,
) -> Models:
    """Build the default encoder, decoder and autoencoder.

    The encoder is a stack of bidirectional LSTMs whose states are pooled over real steps (last,
    mean, maximum).  The decoder is a stack of LSTMs whose initial states are computed from the
    code, and that read the code and the absolute position at every step.  A ``linear_path`` adds a
    linear map between all steps and the code to each of them.  The map is zero until it is trained
    or initialized with principal components.

    Parameters
    ----------
    column_types : sequence of str
        Type of each column, as in `refold.sequences.Column`.
    latent_dim, max_steps : int
        Number of latent dimensions, and of steps that the decoder writes.
    num_categories : sequence of int, optional
        Number of categories of each column, 0 for columns that are not categorical.
    observed_flags : bool
        Whether the input has an observed-flag channel for each feature, after the features.
    units, depth : int
        Units of each recurrent layer in each direction, and number of layers in each model.
    cell : {"lstm", "gru"}
        Type of the recurrent layers: `refold.layers.LSTM` or ``keras.layers.GRU``.
    dropout, code_noise : float
        In training: dropout rate of the states, and standard deviation of noise of the code.
    decoder : {"parallel", "autoregressive"}
        Whether a step is written from the code and the position, or from the previous step too.
        An autoregressive decoder is a model of a code and a sequence, for teacher forcing.
        `decode_autoregressively` gives it its own outputs instead.
    step_dropout : float
        Fraction of the previous steps to drop in training.
    variational : bool
        Whether to make a ``posterior``, which ``compile`` and ``fit`` do not use.
    patch : int
        Number of steps that the LSTMs read and write at once; the linear path has no patches.
    linear_path : bool, optional
        Whether to add the linear path; by default, if a column is numeric.
    rocket_dim : int
        Number of latent dimensions, the last ones, that are a fixed map of ROCKET features.
    length_scale : tuple of float, optional
        Center and scale of a `LengthEncoding`, after the learned dimensions.
    by_length : bool
        Whether the `LinearEncoding` depends on the length.

    Examples
    --------
    >>> models = default(["numeric", "numeric"], latent_dim=4, max_steps=7, units=8)
    >>> models.encoder.output_shape, models.decoder.output_shape
    ((None, 4), (None, 7, 2))
    """
    specification = Specification(
        "default",
        list(column_types),
        list(num_categories or [0] * len(column_types)),
        observed_flags,
        latent_dim,
        max_steps,
        units,
        depth,
        dropout,
        # the models read lengths by ``length_scale``
        length_mean=0.0,
        length_deviation=0.0,
        decoder=decoder,
        variational=variational,
        patch=patch,
        linear_path=linear_path,
        rocket_dim=rocket_dim,
        cell=cell,
        length_dim=int(length_scale is not None),
        by_length=by_length,
    )
    return _default_models(
        specification, length_scale, code_noise=code_noise, step_dropout=step_dropout
    )


def _default_models(
    specification: Specification,
    length_scale: tuple[float, float] | None,
    *,
    code_noise: float = 0.0,
    step_dropout: float = 0.0,
) -> Models:
    """Build the default models; ``length_scale`` is for the dimension of the length."""
    make_decoder, patch = find_decoder(specification.decoder), specification.patch
    if not whole().holds(patch) or (patch > 1 and not make_decoder.takes_patches):
        raise ParameterError(
            f"{argument('patch')} must be a positive integer, and 1 for an autoregressive decoder. "
            f"Got {argument(patch=patch)} and {argument(decoder=specification.decoder)}."
        )
    rocket_dim, variational = specification.rocket_dim, specification.variational
    most = specification.latent_dim - 1 - (length_scale is not None)
    if not 0 <= rocket_dim <= most or (rocket_dim and variational):
        raise ParameterError(
            f"{argument('rocket_dim')} must be from 0 to {most}, because a latent dimension must "
            f"be left to learn, and 0 if {argument(variational=True)}. Got {rocket_dim!r}."
        )
    if length_scale is not None and variational:
        raise ParameterError(
            f"A latent dimension for the length is not possible with {argument(variational=True)}."
        )
    encoder, posterior = make_encoder(specification, length_scale)
    decoder, unroll = make_decoder(
        specification, code_noise=code_noise, step_dropout=step_dropout
    ).models()
    return join(encoder, decoder, unroll, posterior)


def _classic_models(specification: Specification) -> Models:
    """Build a classic model; a ParameterError says what of the data it does not support."""
    name = specification.architecture
    links = {COLUMN_TYPES[column].link for column in specification.column_types}
    for unsupported, what, fix in (
        (any(specification.num_categories), "categorical columns", "one-hot columns"),
        (specification.observed_flags, "missing values", "fill them"),
        (links - {"identity", "sigmoid"}, "columns of counts", "make them numeric"),
    ):
        if unsupported:
            raise ParameterError(
                f"{argument(architecture=name)} does not support {what}, and the data has some. "
                f"Use {argument(architecture='default')}, or {fix}."
            )
    binary = links == {"sigmoid"}
    make = {"repeat": classic.repeat, "reshape": classic.reshape, "dense": classic.dense}[name]
    options = {"output_activation": "sigmoid"} if binary else {}
    models = make(
        steps=specification.max_steps,
        features=len(specification.column_types),
        latent_dim=specification.latent_dim,
        **options,
    )
    models.autoencoder.compile("adam", "binary_crossentropy" if binary else "mse")
    return models


def _own_models(architecture: Callable[..., Any], specification: Specification) -> Models:
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
    for end, got, width in (
        ("encoder's input", models.encoder.input_shape[-1], specification.num_channels),
        ("encoder's output", models.encoder.output_shape[-1], specification.latent_dim),
        ("decoder's output", models.decoder.output_shape[-1], specification.num_outputs),
    ):
        if got not in (None, width):
            raise ParameterError(f"the architecture's {end} must have width {width}. Got {got}.")
    if any(specification.num_categories):
        models.autoencoder.columns = (
            tuple(specification.column_types),
            tuple(specification.num_categories),
        )
    return models


def _loadable_json(role: str, model: keras.Model) -> str:
    """Return a model as Keras JSON; a ParameterError if no equal model can be built from it."""
    cause = None
    try:
        text = model.to_json()
        with seeded(None):
            again = keras.models.model_from_json(text)
        if [v.shape for v in again.variables] == [v.shape for v in model.variables]:
            return text
    except Exception as error:  # a custom layer may raise any error
        cause = error
    layers = [layer for layer in every_layer(model) if not _is_loadable(layer)]
    named = f"its layer {layers[0].name!r} ({type(layers[0]).__name__})" if layers else "its layers"
    raise ParameterError(
        f"The architecture's {role} could not be loaded after saving. Register the classes and "
        f"functions of {named} with @keras.saving.register_keras_serializable(), and give the "
        "classes a get_config() with all arguments; replace a Lambda with a layer class."
    ) from cause


def _is_loadable(layer: keras.layers.Layer) -> bool:
    try:
        with seeded(None):
            state: Any = keras.saving.serialize_keras_object(layer)
            again: Any = keras.saving.deserialize_keras_object(state)
    except Exception:  # a custom layer may raise any error
        return False
    return len(again.get_config()) == len(layer.get_config())
