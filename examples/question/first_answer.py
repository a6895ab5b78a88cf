"""Run the first answer to the question: ``python first_answer.py OUTPUT [--epochs 150]``.

Fits both decoders of the answer on the question's array of shape (1200, 10, 5), unchanged and with
sigmoid outputs, and draws loss curves, a map of the codes and a few reconstructions.
"""

import argparse
from pathlib import Path

import refold  # before Keras, which then runs on JAX

# isort: split
import keras
import numpy as np
from matplotlib.figure import Figure

from refold.datasets import padded_moving_ones
from refold.models import Models, classic
from refold.plots import code_map, reconstructions
from refold.sequences import Sequences

# Models of the answer, by the name in the figure: how to build one, and its output activation.
VARIANTS = {
    "reshape, unchanged": (classic.make_reshape_models, "tanh"),
    "dense, unchanged": (classic.make_dense_models, "tanh"),
    "reshape, sigmoid": (classic.make_reshape_models, "sigmoid"),
    "dense, sigmoid": (classic.make_dense_models, "sigmoid"),
}


def main(arguments: list[str] | None = None) -> None:
    """Fit, measure and draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("output", type=Path, help="folder for the pictures")
    parser.add_argument("--epochs", type=int, default=150, help="the question says 1500")
    options = parser.parse_args(arguments)
    options.output.mkdir(parents=True, exist_ok=True)

    data, lengths = padded_moving_ones()
    print(f"refold {refold.__version__} on {keras.backend.backend()}: data of shape {data.shape}\n")
    curves = {}
    for name, (build_models, activation) in VARIANTS.items():
        keras.utils.set_random_seed(0)
        models = build_models(output_activation=activation)
        if name == "reshape, unchanged":
            models.encoder.summary()
            models.decoder.summary()
        initial_codes = models.encoder.predict(data, verbose=0)
        curves[name] = fit(models, data, epochs=options.epochs)
        codes = models.encoder.predict(data, verbose=0)
        decoded = models.decoder.predict(codes, verbose=0)
        mean_change = float(np.abs(codes - initial_codes).mean())
        print(
            f"{name:22}  loss {curves[name][0]:.3f} to {curves[name][-1]:.4f}   "
            f"exact reconstructions: {exact_share(data, decoded):4.0%}   "
            f"training moved the codes by {mean_change:.2f}"
        )

    draw_losses(curves, options.output / "first_losses.png")
    draw_codes(data, codes, lengths, options.output / "first_codes.png")
    draw_reconstructions(data, decoded, options.output / "first_reconstruction.png")


def fit(models: Models, data: np.ndarray, *, epochs: int) -> list[float]:
    """Fit as the question does, and return the loss of each epoch."""
    autoencoder = models.autoencoder
    autoencoder.compile(loss="binary_crossentropy", optimizer="adam", metrics=["accuracy"])
    return autoencoder.fit(data, data, batch_size=100, epochs=epochs, verbose=0).history["loss"]


def exact_share(data: np.ndarray, decoded: np.ndarray) -> float:
    """Return the share of arrays that are equal to the original after rounding."""
    return float(((decoded > 0.5) == (data > 0.5)).all(axis=(1, 2)).mean())


def draw_losses(curves: dict[str, list[float]], path: Path) -> None:
    """Draw the loss of each variant by epoch."""
    figure = Figure(figsize=(6.4, 4.0), layout="constrained")
    ax = figure.add_subplot(xlabel="epoch", ylabel="binary cross-entropy", yscale="log")
    for name, losses in curves.items():
        ax.plot(range(1, len(losses) + 1), losses, label=name)
    ax.legend(frameon=False)
    figure.savefig(path, dpi=120)


def draw_codes(data: np.ndarray, codes: np.ndarray, lengths: np.ndarray, path: Path) -> None:
    """Draw the 20-dimensional codes in the plane, annotated with the lengths of their sequences."""
    figure = Figure(figsize=(6.4, 4.8), layout="constrained")
    # equal arrays have equal codes, so each code is drawn once, with all lengths that it stands for
    _, first_rows, code_index = np.unique(data, axis=0, return_index=True, return_inverse=True)
    lengths_by_code = [
        sorted(set(lengths[code_index == i].tolist())) for i in range(len(first_rows))
    ]
    annotations = [f"length {', '.join(map(str, group))}" for group in lengths_by_code]
    code_map(codes[first_rows], annotations=annotations, ax=figure.add_subplot()).margins(x=0.3)
    figure.savefig(path, dpi=120)


def draw_reconstructions(data: np.ndarray, decoded: np.ndarray, path: Path) -> None:
    """Draw six arrays above their reconstructions."""
    figure = Figure(figsize=(9.6, 4.8), layout="constrained")
    originals = Sequences.from_array(data[:6], column_types="binary")
    decoded_sequences = originals.with_values(decoded[:6].reshape(-1, data.shape[-1]).clip(0, 1))
    reconstructions(originals, decoded_sequences, list(figure.subplots(2, 3).flat))
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    main()
