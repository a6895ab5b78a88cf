"""Conversion of a Keras model to the same model with Refold's LSTM."""

import tempfile
from collections.abc import Iterator
from typing import Any

import keras

from refold.errors import ParameterError
from refold.network.keras.lstm import LSTM, check_engine

OURS = keras.saving.get_registered_name(LSTM)


def convert(model: keras.Model, engine: str = "auto") -> keras.Model:
    """Copy a Sequential or Functional Keras model, and replace its LSTM layers with Refold's.

    LSTM layers inside ``Bidirectional``, ``TimeDistributed`` and nested models are replaced too.
    In Refold's own LSTM layers, only the engine changes.  The copy keeps names and weights, and the
    original model does not change.

    The copy of a compiled model is compiled with the same arguments, as in
    ``keras.models.clone_model``, and has a new optimizer state.

    Parameters
    ----------
    model : keras.Model
        A Sequential or Functional model.
    engine : {"auto", "fused", "scan"}
        Engine of every LSTM layer of the copy; see `LSTM`.

    Returns
    -------
    keras.Model

    Raises
    ------
    ParameterError
        If the model has no LSTM layer, or one that cannot be replaced, as in a subclassed model.

    Examples
    --------
    >>> import keras, numpy as np
    >>> model = keras.Sequential([keras.Input((5, 3)), keras.layers.LSTM(4)])
    >>> ours = convert(model)
    >>> x = np.ones((2, 5, 3), "float32")
    >>> bool(np.allclose(ours.predict(x, verbose=0), model.predict(x, verbose=0), atol=1e-5))
    True
    """
    check_engine(engine)
    if not isinstance(model, keras.Model):
        raise ParameterError(
            f"convert takes a keras.Model. Got {type(model).__name__}; "
            "put a single layer into keras.Sequential."
        )
    if not any(_is_lstm(layer) for layer in model._flatten_layers()):
        raise ParameterError(
            f"Model {model.name!r} has no keras.layers.LSTM, so there is nothing to convert."
        )
    if not isinstance(model, keras.Sequential) and getattr(model, "inputs", None) is None:
        raise ParameterError(
            f"Model {model.name!r} is a subclassed model, {type(model).__name__}, and convert "
            "takes Sequential and Functional models. Use refold.layers.LSTM in its code."
        )
    try:
        copy = keras.models.clone_model(
            model, clone_function=lambda layer: _clone(layer, engine), recursive=True
        )
    except (NotImplementedError, TypeError, ValueError) as error:
        raise ParameterError(
            f"Keras cannot clone model {model.name!r}: {_first_line(error)} "
            "Register its custom classes, functions and losses with keras.saving, or convert it "
            "before you compile it."
        ) from error
    _check_copy(model, copy)
    if model.built:
        if [w.shape for w in copy.weights] != [w.shape for w in model.weights]:
            raise ParameterError(
                f"Model {model.name!r} shares a layer that Keras would copy as several layers with "
                "separate weights. Use refold.layers.LSTM in its code."
            )
        copy.set_weights(model.get_weights())
        _copy_more_than_weights(model, copy)
    return copy


def _check_copy(model: keras.Model, copy: keras.Model) -> None:
    for layer in copy._flatten_layers():
        # the code of a custom layer created this LSTM
        if type(layer) is keras.layers.LSTM:
            raise ParameterError(
                f"The LSTM {layer.name!r} of model {model.name!r} is created in the code of "
                "another layer or model, which convert cannot change. Use refold.layers.LSTM there."
            )
    for theirs, ours in _pairs(model, copy):
        # Keras clones a subclass as a plain model, without its code
        if isinstance(theirs, keras.Model) and type(ours) is not type(theirs):
            raise ParameterError(
                f"Model {theirs.name!r} is a {type(theirs).__name__}, a subclass whose own code "
                "Keras does not copy. Use refold.layers.LSTM in its code."
            )


def _copy_more_than_weights(model: keras.Model, copy: keras.Model) -> None:
    """Copy the state of layers that is not in weights: vocabularies and adapted statistics."""
    with tempfile.TemporaryDirectory(prefix="refold-") as folder:
        for theirs, ours in _pairs(model, copy):
            if hasattr(theirs, "save_assets"):
                theirs.save_assets(folder)
                ours.load_assets(folder)
            if isinstance(ours, keras.layers.Normalization) and ours.built:
                ours.finalize_state()


def _pairs(model: keras.Model, copy: keras.Model) -> Iterator[tuple[Any, Any]]:
    """Pair the layers of a model and its copy by name.  Inputs may have no pair."""
    copied = {layer.name: layer for layer in copy._flatten_layers()}
    for layer in model._flatten_layers():
        if layer.name in copied:
            yield layer, copied[layer.name]


def _first_line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), repr(error))


def _clone(layer: keras.layers.Layer, engine: str) -> keras.layers.Layer:
    if _is_lstm(layer):
        return LSTM.from_config({**layer.get_config(), "engine": engine})
    return type(layer).from_config(_replace_lstm(layer.get_config(), engine))


def _is_lstm(layer: Any) -> bool:
    return type(layer) in (keras.layers.LSTM, LSTM)


def _replace_lstm(config: Any, engine: str) -> Any:
    """Replace each LSTM layer in a configuration with ours."""
    if isinstance(config, list | tuple):
        return type(config)(_replace_lstm(part, engine) for part in config)
    if not isinstance(config, dict):
        return config
    if _is_lstm_config(config):
        described = {"module": LSTM.__module__, "class_name": "LSTM", "registered_name": OURS}
        return {**config, **described, "config": {**config["config"], "engine": engine}}
    return {name: _replace_lstm(part, engine) for name, part in config.items()}


def _is_lstm_config(config: dict[str, Any]) -> bool:
    if config.get("class_name") != "LSTM" or not isinstance(config.get("config"), dict):
        return False
    return config.get("module") == "keras.layers" or config.get("registered_name") == OURS
