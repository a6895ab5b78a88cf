"""Measure the effect of padding on the classic models: ``python padding.py [--epochs 100]``.

Prints, for the data of both answers, the effect of zero padding on the loss and the codes. The
comparison has the same models with a loss over real steps only, and a model that masks padding.
"""

import argparse

import refold  # before Keras, which then runs on JAX

# isort: split
import keras
import numpy as np

from refold.datasets import padded_moving_ones, ramps
from refold.models import Models, classic, make_default_models


def main(arguments: list[str] | None = None) -> None:
    """Print the measurements."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=100, help="epochs on the question's array")
    parser.add_argument("--ramp-epochs", type=int, default=400, help="epochs on the four ramps")
    options = parser.parse_args(arguments)
    print(f"refold {refold.__version__} on {keras.backend.backend()}")

    x, lengths = padded_moving_ones()
    is_real_step = np.arange(10) < lengths[:, None]
    y = np.where(is_real_step[..., None], x, np.nan)  # NaN: left out of the loss
    print(f"\nThe question's array: {1 - is_real_step.mean():.0%} of the steps are padding")
    print(f"{np.mean(x == 0):.0%} of the entries are zero")
    num_arrays = len(np.unique(x, axis=0))
    print(f"{len(set(lengths))} different sequences, {num_arrays} different arrays")

    print(f"\nSequences whose real steps are reconstructed exactly after {options.epochs} epochs")
    for loss_name, targets in (("real steps only", y), ("padding counted", x)):
        reshape = fit_reshape(x, targets, num_epochs=options.epochs)
        is_exact = (reshape.autoencoder.predict(x, verbose=0) > 0.5) == (x > 0.5)
        share = (is_exact.all(axis=-1) | ~is_real_step).all(axis=1).mean()
        print(f"  reshape, loss with {loss_name}: {share:.0%}")

    masking = make_default_models(["binary"] * 5, latent_dim=20, max_steps=10, units=16)
    masking.autoencoder.compile("adam", "binary_crossentropy")
    masking.autoencoder.fit(y, y, batch_size=100, epochs=max(1, options.epochs // 5), verbose=0)
    print("\nChange of a code by ten more padded steps, in standard deviations")
    long_encoder = lengthen_encoder(reshape, 20)
    print(f"  reshape: {measure_code_change(long_encoder, reshape.encoder, x, fill_value=0.0):.2g}")
    encoder = masking.encoder
    print(f"  default: {measure_code_change(encoder, encoder, y, fill_value=np.nan):.2g}")

    print(f"\nThe ramps: error on real steps (root mean square) after {options.ramp_epochs} epochs")
    x = ramps().to_padded(0.0)
    y = ramps().to_padded()
    is_real_step = ~np.isnan(y)
    for loss_name, targets in (("real steps only", y), ("padding counted", x)):
        keras.utils.set_random_seed(1)
        models = classic.make_repeat_models()
        models.autoencoder.compile(optimizer="adam", loss="mse")
        models.autoencoder.fit(x, targets, epochs=options.ramp_epochs, verbose=0)
        error = (models.autoencoder.predict(x, verbose=0) - x)[is_real_step]
        print(f"  repeat, loss with {loss_name}: {np.sqrt(np.mean(error**2)):.4f}")


def fit_reshape(x: np.ndarray, targets: np.ndarray, *, num_epochs: int) -> Models:
    """Fit the first answer's model with sigmoid outputs, always from the same initialization."""
    keras.utils.set_random_seed(0)
    models = classic.make_reshape_models(output_activation="sigmoid")
    models.autoencoder.compile(loss="binary_crossentropy", optimizer="adam")
    models.autoencoder.fit(x, targets, batch_size=100, epochs=num_epochs, verbose=0)
    return models


def lengthen_encoder(models: Models, num_steps: int) -> keras.Model:
    """Return the same encoder with the same weights, for inputs with more steps."""
    encoder = classic.make_reshape_models(steps=num_steps).encoder
    encoder.set_weights(models.encoder.get_weights())
    return encoder


def measure_code_change(
    long_encoder: keras.Model, encoder: keras.Model, x: np.ndarray, *, fill_value: float
) -> float:
    """Return the root mean square change of the codes by padding, in standard deviations."""
    padded = np.concatenate([x, np.full_like(x, fill_value)], axis=1)
    codes = encoder.predict(x, verbose=0)
    change = long_encoder.predict(padded, verbose=0) - codes
    return float(np.sqrt(np.mean(change**2) / np.mean(codes.var(axis=0))))


if __name__ == "__main__":
    main()
