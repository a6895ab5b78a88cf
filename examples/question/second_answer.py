"""Run the second answer to the question: ``python second_answer.py OUTPUT [--epochs 400]``.

Fits the repeating decoder on four ramps of unequal length, padded with zeros to 9 steps, and the
same model with a second decoder for the next element. Draws loss curves, the annotated map of the
two-dimensional codes, and the reconstructions.
"""

import argparse
from pathlib import Path

import refold  # before Keras, which then runs on JAX

# isort: split
import keras
import numpy as np
from matplotlib.figure import Figure

from refold.datasets import ramps
from refold.models import classic
from refold.plots import code_map, loss_curves


def main(arguments: list[str] | None = None) -> None:
    """Fit, print and draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("output", type=Path, help="folder for the pictures")
    parser.add_argument("--epochs", type=int, default=400, help="as in the answer")
    parser.add_argument("--seed", type=int, default=1, help="with 0 both relu units are dead")
    options = parser.parse_args(arguments)
    options.output.mkdir(parents=True, exist_ok=True)

    sequences = ramps()
    x = sequences.to_padded(0.0)
    print(f"refold {refold.__version__} on {keras.backend.backend()}: data of shape {x.shape}\n")

    keras.utils.set_random_seed(options.seed)
    models = classic.make_repeat_models(steps=9, features=1, latent_dim=2)
    models.encoder.summary()
    models.decoder.summary()
    models.autoencoder.compile(optimizer="adam", loss="mse")
    history = models.autoencoder.fit(x, x, epochs=options.epochs, verbose=0).history
    codes = models.encoder.predict(x, verbose=0)
    decoded = models.autoencoder.predict(x, verbose=0)
    print(f"reconstruction: loss {history['loss'][0]:.4f} to {history['loss'][-1]:.6f}")
    names = [f"{ramp[0]:.1f}, ..., {ramp[-1]:.1f} ({len(ramp)} steps)" for ramp in sequences]
    for name, code in zip(names, codes, strict=True):
        print(f"  {name} -> [{code[0]:.2f}, {code[1]:.2f}]")
    if np.ptp(codes, axis=0).max() < 1e-6:
        print("  All codes are equal: both relu units are dead. Try another --seed.")

    keras.utils.set_random_seed(options.seed)
    composite = classic.make_composite_models(steps=9, features=1, latent_dim=2)
    composite.autoencoder.compile(optimizer="adam", loss="mse")
    combined = composite.autoencoder.fit(x, [x, x[:, 1:]], epochs=options.epochs, verbose=0).history
    predicted = composite.autoencoder.predict(x, verbose=0)[1]
    print(f"with next element: loss {combined['loss'][0]:.4f} to {combined['loss'][-1]:.6f}")

    figure = Figure(figsize=(8.8, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    loss_curves(history, left).set_title("reconstruction")
    loss_curves(combined, right).set_title("reconstruction and next element")
    figure.savefig(options.output / "second_losses.png", dpi=120)

    figure = Figure(figsize=(6.4, 4.8), layout="constrained")
    code_map(codes, annotations=names, ax=figure.add_subplot()).margins(x=0.35, y=0.15)
    figure.savefig(options.output / "second_codes.png", dpi=120)

    draw_series(x, decoded, predicted, sequences.lengths, options.output)


def draw_series(
    x: np.ndarray, decoded: np.ndarray, predicted: np.ndarray, lengths: np.ndarray, output: Path
) -> None:
    """Draw each padded ramp with its reconstruction and the prediction of its next elements."""
    figure = Figure(figsize=(8.8, 5.2), layout="constrained")
    for i, ax in enumerate(figure.subplots(2, 2, sharex=True, sharey=True).flat):
        ax.axvspan(lengths[i] - 0.5, 8.5, color="0.93", label="padding")
        ax.plot(x[i], color="0.55", linewidth=3, label="original")
        ax.plot(decoded[i], "--", color="C0", label="reconstruction")
        ax.plot(np.arange(1, 9), predicted[i], ":", color="C3", label="next element")
        ax.set_title(f"{lengths[i]} steps", loc="left")
    ax.legend()
    figure.savefig(output / "second_reconstruction.png", dpi=120)


if __name__ == "__main__":
    main()
