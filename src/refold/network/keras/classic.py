"""Exact implementations of the models in a popular question, "LSTM Autoencoder", and its answers.

The question [1]_ asks how to turn a sequence into a fixed-size vector and back with Keras.
The first answer has the decoders of `make_reshape_models` and `make_dense_models`.  The second has
those of `make_repeat_models` and `make_composite_models`.  The default arguments are the answers'.

These models read full arrays only: every sequence has ``steps`` steps and no NaN.  Shorter
sequences must be padded, and the padding affects the code.  The default model masks padding.

References
----------
.. [1] "LSTM Autoencoder", Stack Overflow, question 44647258, 2017.
"""

from typing import Any, NamedTuple

import keras
from keras.layers import Dense, RepeatVector, Reshape, TimeDistributed

from refold._support.rules import check_integer
from refold.errors import ParameterError, argument
from refold.network.keras.autoencoder import Models, join_encoder_and_decoder
from refold.network.keras.lstm import LSTM

__all__ = [
    "CompositeModels",
    "make_composite_models",
    "make_dense_models",
    "make_repeat_models",
    "make_reshape_models",
]

# An activation is a name, a function or None, but the annotations of Keras allow only names.
Activation = Any


class CompositeModels(NamedTuple):
    """An encoder with two decoders: for the sequence, and for the next element of each step.

    Attributes
    ----------
    encoder : keras.Model
        Sequences (batch, steps, features) to codes (batch, latent_dim).
    decoder : keras.Model
        Codes to sequences (batch, steps, features).
    predictor : keras.Model
        Codes to the sequences without their first step (batch, steps - 1, features).
    autoencoder : keras.Model
        Sequences to both outputs; fit it on ``x, [x, x[:, 1:]]``.
    """

    encoder: keras.Model
    decoder: keras.Model
    predictor: keras.Model
    autoencoder: keras.Model


def make_reshape_models(
    *,
    steps: int = 10,
    features: int = 5,
    latent_dim: int = 20,
    encoder_activation: Activation = "tanh",
    output_activation: Activation = "tanh",
) -> Models:
    """First answer: at each step, the decoder's LSTM reads another part of the code.

    Encoder ``LSTM(20)``; decoder ``Reshape((10, 2))``, ``LSTM(5, return_sequences=True)``.

    Parameters
    ----------
    steps, features, latent_dim : int
        Shape of a sequence, and size of its code. The size must be a multiple of ``steps``.
    encoder_activation, output_activation : str or callable
        Activation of the encoder's LSTM, and of the decoder's LSTM.

    Examples
    --------
    >>> import numpy as np
    >>> models = make_reshape_models(steps=10, features=5, output_activation="sigmoid")
    >>> models.autoencoder.compile(loss="binary_crossentropy", optimizer="adam")
    >>> models.encoder.predict(np.zeros((3, 10, 5)), verbose=0).shape
    (3, 20)
    """
    _check_positive_integers(steps=steps, features=features, latent_dim=latent_dim)
    code, x = _make_code_input_and_parts(latent_dim, steps)
    # the states of the LSTM are the reconstructed steps, so it has a unit for each feature
    x = LSTM(features, activation=output_activation, return_sequences=True, name="decoder_lstm")(x)
    encoder = _make_encoder(steps, features, latent_dim, encoder_activation)
    return join_encoder_and_decoder(encoder, keras.Model(code, x, name="decoder"))


def make_dense_models(
    *,
    steps: int = 10,
    features: int = 5,
    latent_dim: int = 20,
    encoder_activation: Activation = "tanh",
    output_activation: Activation = "tanh",
) -> Models:
    """Alternative in the first answer: the last state of the decoder's LSTM is cut into steps.

    Encoder ``LSTM(20)``; decoder ``Reshape((10, 2))``, ``LSTM(50)``, ``Reshape((10, 5))``.  The
    arguments are those of `make_reshape_models`.

    Examples
    --------
    >>> make_dense_models().decoder.output_shape
    (None, 10, 5)
    """
    _check_positive_integers(steps=steps, features=features, latent_dim=latent_dim)
    code, x = _make_code_input_and_parts(latent_dim, steps)
    # the last state is the reconstructed sequence, so there is a unit for each of its values
    x = LSTM(steps * features, activation=output_activation, name="decoder_lstm")(x)
    x = Reshape((steps, features), name="state_to_steps")(x)
    encoder = _make_encoder(steps, features, latent_dim, encoder_activation)
    return join_encoder_and_decoder(encoder, keras.Model(code, x, name="decoder"))


def make_repeat_models(
    *,
    steps: int = 9,
    features: int = 1,
    latent_dim: int = 2,
    units: int = 100,
    activation: Activation = "relu",
    output_activation: Activation = None,
) -> Models:
    """Second answer: the code is repeated at every step.

    Encoder ``LSTM(2, activation="relu")``; decoder ``RepeatVector(9)``,
    ``LSTM(100, activation="relu", return_sequences=True)``, ``TimeDistributed(Dense(1))``.

    Parameters
    ----------
    steps, features, latent_dim : int
        Shape of a sequence, and size of its code.
    units : int
        Units of the decoder's LSTM.
    activation : str or callable
        Activation of all LSTMs.  With ``"relu"``, states are unbounded, and long sequences can
        drive the loss to NaN.
    output_activation : str or callable, optional
        Activation of the last dense layer.

    Examples
    --------
    >>> models = make_repeat_models(steps=9, features=1)
    >>> models.autoencoder.compile(optimizer="adam", loss="mse")
    >>> models.encoder.output_shape, models.decoder.output_shape
    ((None, 2), (None, 9, 1))
    """
    _check_positive_integers(steps=steps, features=features, latent_dim=latent_dim, units=units)
    encoder = _make_encoder(steps, features, latent_dim, activation)
    code = keras.Input((latent_dim,), name="code")
    x = _decode_repeated(code, steps, features, units, activation, output_activation)
    return join_encoder_and_decoder(encoder, keras.Model(code, x, name="decoder"))


def make_composite_models(
    *,
    steps: int = 9,
    features: int = 1,
    latent_dim: int = 2,
    units: int = 100,
    activation: Activation = "relu",
    output_activation: Activation = None,
) -> CompositeModels:
    """Composite model of the second answer: it decodes the sequence and each next element.

    It is the model of `make_repeat_models`, with the same arguments and at least 2 steps, and with
    a second, similar decoder that writes one step less.

    Examples
    --------
    >>> import numpy as np
    >>> models = make_composite_models(steps=9, features=1)
    >>> x = np.linspace(0.1, 0.9, 9).reshape(1, 9, 1)
    >>> models.autoencoder.compile(optimizer="adam", loss="mse")
    >>> [y.shape for y in models.autoencoder.predict(x, verbose=0)]
    [(1, 9, 1), (1, 8, 1)]
    """
    check_integer("steps", steps, 2)  # so that there is a next element
    _check_positive_integers(features=features, latent_dim=latent_dim, units=units)
    encoder = _make_encoder(steps, features, latent_dim, activation)
    decoders = []
    for name, num_steps in (("decoder", steps), ("predictor", steps - 1)):
        code = keras.Input((latent_dim,), name="code")
        x = _decode_repeated(code, num_steps, features, units, activation, output_activation)
        decoders.append(keras.Model(code, x, name=name))
    code, (decoder, predictor) = encoder(encoder.inputs[0]), decoders
    outputs = [decoder(code), predictor(code)]
    model = keras.Model(encoder.inputs[0], outputs, name="autoencoder")
    return CompositeModels(encoder, decoder, predictor, model)


def _check_positive_integers(**arguments: Any) -> None:
    """Refuse arguments that are not integers of at least 1."""
    for name, value in arguments.items():
        check_integer(name, value)


def _make_encoder(
    num_steps: int, num_features: int, latent_dim: int, activation: Activation
) -> keras.Model:
    """Make an LSTM whose last state is the code."""
    inputs = keras.Input((num_steps, num_features), name="sequence")
    code = LSTM(latent_dim, activation=activation, name="encoder_lstm")(inputs)
    return keras.Model(inputs, code, name="encoder")


def _make_code_input_and_parts(latent_dim: int, num_steps: int) -> tuple[Any, Any]:
    """Return codes (batch, latent_dim), and their parts (batch, steps, latent_dim / steps)."""
    if latent_dim % num_steps:
        raise ParameterError(
            f"{argument('latent_dim')} must be a multiple of the number of steps, {num_steps}, "
            f"because each step reads a part of the code. Got {latent_dim}."
        )
    code = keras.Input((latent_dim,), name="code")
    return code, Reshape((num_steps, latent_dim // num_steps), name="code_to_steps")(code)


def _decode_repeated(
    code: Any,
    num_steps: int,
    num_features: int,
    units: int,
    activation: Activation,
    output_activation: Activation,
) -> Any:
    """Return the outputs (batch, steps, features) of an LSTM that reads the code at every step."""
    x = RepeatVector(num_steps, name="repeat_code")(code)
    x = LSTM(units, activation=activation, return_sequences=True, name="decoder_lstm")(x)
    return TimeDistributed(Dense(num_features, activation=output_activation), name="each_step")(x)
