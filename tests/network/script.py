"""Build, fit, save, load and compare models on the backend of ``KERAS_BACKEND``."""

import sys
import tempfile
from typing import Any

import numpy as np

import refold  # isort: skip
import keras
import pytest

from refold.errors import ParameterError
from refold.models import Models, classic, decode_autoregressively, make_default_models

STEPS = 6


def draw_ragged_sequences(n: int = 40) -> np.ndarray:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n, STEPS, 3)).astype("float32")
    x[np.arange(STEPS) >= (np.arange(n) % (STEPS + 1))[:, None]] = np.nan
    return x


def check_training(models: Models, x: np.ndarray, y: np.ndarray, loss: str | None) -> None:
    models.autoencoder.compile(keras.optimizers.Adam(0.01), loss)
    history = models.autoencoder.fit(x, y, batch_size=7, epochs=6, verbose=0).history["loss"]
    assert np.isfinite(history).all()
    assert history[-1] < history[0]


def check_autoregressive_decoding(models: Models, x: np.ndarray) -> None:
    codes = models.encoder.predict(x, verbose=0)
    decoded = decode_autoregressively(models.decoder, codes, STEPS)
    head = models.decoder.get_layer("head")
    steps = keras.ops.convert_to_numpy(head.likeliest(keras.ops.convert_to_tensor(decoded)))
    predicted = models.decoder.predict([codes, steps], verbose=0)
    assert np.abs(predicted - decoded).max() < 1e-5


def check_lite_model(model: Any, x: np.ndarray) -> None:
    """Convert a model as the documentation does, for one sequence, and compare its outputs."""
    import tensorflow as tf

    archive = keras.export.ExportArchive()
    archive.track(model)
    archive.add_endpoint(
        "serve",
        lambda x: model(x, training=False),
        input_signature=[tf.TensorSpec((1, *x.shape[1:]), tf.float32)],
    )
    with tempfile.TemporaryDirectory() as folder:
        archive.write_out(folder, verbose=False)
        lite = tf.lite.TFLiteConverter.from_saved_model(folder).convert()
    interpreter = tf.lite.Interpreter(model_content=lite)
    (input_detail,) = interpreter.get_input_details()
    (output_detail,) = interpreter.get_output_details()
    interpreter.allocate_tensors()
    outputs = []
    for sequence in x:
        interpreter.set_tensor(input_detail["index"], sequence[None])
        interpreter.invoke()
        outputs.append(interpreter.get_tensor(output_detail["index"]))
    assert np.allclose(np.concatenate(outputs), model.predict(x, verbose=0), atol=1e-6)


def main(weights: str, expected: str) -> None:
    backend, x = keras.backend.backend(), draw_ragged_sequences()
    sizes: dict[str, Any] = {"latent_dim": 4, "max_steps": STEPS, "units": 8}
    models = make_default_models(["numeric"] * 3, **sizes, depth=2)
    models.encoder.load_weights(f"{weights}/encoder.weights.h5")
    models.decoder.load_weights(f"{weights}/decoder.weights.h5")
    reference = np.load(expected)
    codes = models.encoder.predict(x, verbose=0)
    assert np.allclose(codes, reference["codes"], atol=1e-5)
    assert np.allclose(models.decoder.predict(codes, verbose=0), reference["decoded"], atol=1e-5)
    check_training(models, x, x, "mse")
    patches = make_default_models(["numeric"] * 3, **sizes, patch=4, rocket_dim=2)
    fixed = patches.encoder.get_layer("rocket_dim")
    fixed.kernel.assign(0.01 * np.random.default_rng(0).normal(size=fixed.kernel.shape))
    check_training(patches, x, x, None)

    y = x.copy()
    y[..., 1] = np.where(np.isnan(x[..., 1]), np.nan, x[..., 1] > 0)
    y[..., 2] = np.where(np.isnan(x[..., 2]), np.nan, np.clip(np.rint(x[..., 2] + 1), 0, 3))
    types = ["numeric", "binary", "categorical"]
    sizes["num_categories"] = [0, 0, 4]
    autoregressive = make_default_models(types, **sizes, decoder="autoregressive")
    check_training(autoregressive, y, y, None)
    check_autoregressive_decoding(autoregressive, y)
    full = np.nan_to_num(x)
    repeat = classic.make_repeat_models(steps=STEPS, features=3, latent_dim=12)
    check_training(repeat, full, full, "mse")

    if backend == "tensorflow":
        check_lite_model(models.encoder, x)
        check_lite_model(models.decoder, codes)
    if backend != "jax":
        with pytest.raises(ParameterError, match="Set the environment variable KERAS_BACKEND=jax"):
            refold.SequenceAutoencoder(max_epochs=1).fit([s[:3] for s in full])
    sys.stdout.write(backend)


if __name__ == "__main__":
    main(*sys.argv[1:])
