"""Networks of Keras models, which are built from plain specifications."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import keras

from refold.errors import ParameterError, argument
from refold.network.keras import classic
from refold.network.keras.autoencoder import Models, autoencoder, every_layer
from refold.network.keras.custom import loadable_json, own_models
from refold.network.keras.decoder import find_decoder, forecaster
from refold.network.keras.default import default
from refold.network.keras.lengths import length_model, length_reader
from refold.network.keras.padding import PaddingMask
from refold.network.specification import Specification
from refold.sequences.types import COLUMN_TYPES

ARCHITECTURES = ("default", "repeat", "reshape", "dense")
"""Names of the architectures: the default model and the classic models."""

Architecture = str | Callable[..., Any]
"""A name of `ARCHITECTURES`, or a function that returns an encoder and a decoder."""


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
        models = self.models
        for model in (
            models.encoder,
            models.decoder,
            self.length,
            models.posterior,
            self.forecaster,
        ):
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

    Returns
    -------
    Network

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
        _refuse_options(specification)
    if callable(architecture):
        models = own_models(architecture, specification)
        custom = [
            loadable_json("encoder", models.encoder),
            loadable_json("decoder", models.decoder),
        ]
        specification = replace(specification, architecture="custom", custom=custom)
    elif specification.custom is not None:
        encoder, decoder = map(keras.models.model_from_json, specification.custom)
        models = autoencoder(encoder, decoder)
    elif specification.architecture == "default":
        models = default(
            specification.column_types,
            num_categories=specification.num_categories,
            latent_dim=specification.latent_dim,
            max_steps=specification.max_steps,
            observed_flags=specification.observed_flags,
            units=specification.units,
            depth=specification.depth,
            cell=specification.cell,
            dropout=specification.dropout,
            decoder=specification.decoder,
            variational=specification.variational,
            patch=specification.patch,
            linear_path=specification.linear_path,
            rocket_dim=specification.rocket_dim,
            length_scale=specification.length_scale if specification.length_dim else None,
            by_length=specification.by_length,
        )
    else:
        models = _classic(specification)
    latent_dim = specification.latent_dim
    if specification.length_index is not None:
        length = length_reader(latent_dim, specification.length_index, specification.length_scale)
    else:
        length = length_model(
            latent_dim,
            mean=specification.length_mean,
            deviation=specification.length_deviation,
        )
    ahead = None
    if specification.forecast_steps:
        ahead = forecaster(
            specification.column_types,
            num_categories=specification.num_categories,
            latent_dim=specification.latent_dim,
            num_steps=specification.forecast_steps,
            recent_dim=specification.recent_dim,
            units=specification.units,
            depth=specification.depth,
            cell=specification.cell,
            dropout=specification.dropout,
        )
    return Network(specification, models, length, ahead)


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


def _refuse_options(specification: Specification) -> None:
    for name, none in _OPTIONS.items():
        value = getattr(specification, name)
        if value != none:
            raise ParameterError(
                f"{argument(**{name: value})} needs {argument(architecture='default')}. Got "
                f"{argument(architecture=specification.architecture)}; leave out one of the two."
            )


def _classic(specification: Specification) -> Models:
    name = specification.architecture
    if any(specification.num_categories):
        raise ParameterError(
            f"{argument(architecture=name)} does not support categorical columns, and the data "
            f"has some. Use {argument(architecture='default')}, or one-hot columns."
        )
    if specification.observed_flags:
        raise ParameterError(
            f"{argument(architecture=name)} does not support missing values, and the data has "
            f"some. Use {argument(architecture='default')}, or fill them."
        )
    links = {COLUMN_TYPES[name].link for name in specification.column_types}
    if links - {"identity", "sigmoid"}:
        raise ParameterError(
            f"{argument(architecture=name)} supports numeric and binary columns only. Use "
            f"{argument(architecture='default')}, or make the other columns numeric."
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
