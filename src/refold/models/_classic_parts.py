"""Parts of the classic models: the encoder, the code as a sequence, and the repeating decoder."""

from collections.abc import Sequence
from typing import Any

import keras
from keras.layers import Dense, RepeatVector, Reshape, TimeDistributed

from refold._support.argument_checks import is_whole
from refold.errors import ParameterError, argument
from refold.layers import LSTM

# A name, a callable or None.  Keras's signatures imply names only.
Activation = Any


def make_encoder(
    steps: int, features: int, latent_dim: int, below: Sequence[int], activation: Activation
) -> keras.Model:
    """Make a stack of LSTMs.  The last state of the last one is the code."""
    inputs = x = keras.Input((steps, features), name="sequence")
    for i, units in enumerate(below):
        require_positive(**{f"encoder_units[{i}]": units})
        name = f"encoder_lstm_{i + 1}"
        x = LSTM(units, activation=activation, return_sequences=True, name=name)(x)
    x = LSTM(latent_dim, activation=activation, name="encoder_lstm")(x)
    return keras.Model(inputs, x, name="encoder")


def read_code(latent_dim: int, code_steps: int) -> tuple[Any, Any]:
    """Return the input of a decoder, and its reshape to ``code_steps`` steps."""
    if latent_dim % code_steps:
        raise ParameterError(
            f"{argument('latent_dim')} must be a multiple of code_steps, {code_steps}. Got "
            f"{latent_dim}: choose another latent_dim, or pass a divisor of it as code_steps."
        )
    code = keras.Input((latent_dim,), name="code")
    return code, Reshape((code_steps, latent_dim // code_steps), name="code_to_steps")(code)


def make_repeater(
    steps: int,
    features: int,
    latent_dim: int,
    units: int,
    activation: Activation,
    output_activation: Activation,
    *,
    name: str,
) -> keras.Model:
    """Make a decoder that reads the code at every step."""
    code = keras.Input((latent_dim,), name="code")
    x = RepeatVector(steps, name="repeat_code")(code)
    x = LSTM(units, activation=activation, return_sequences=True, name="decoder_lstm")(x)
    x = TimeDistributed(Dense(features, activation=output_activation), name="each_step")(x)
    return keras.Model(code, x, name=name)


def require_positive(**numbers: Any) -> None:
    for name, number in numbers.items():
        if not is_whole(number):
            raise ParameterError(f"{name} must be a positive integer. Got {number!r}.")
