"""Reconstruction of noisy sequences: Refold with and without ``denoise``, and PCA.

``python -m benchmarks.denoising`` takes about 2 minutes on two cores.

The data is JapaneseVowels with its own splits, and codes have 16 dimensions. All models are fitted
to the training split without added noise. Gaussian noise is added to the test sequences before they
are encoded, and the error is measured against the sequences without noise. The level of the noise
is in standard deviations of each feature. PCA is fitted to the zero-padded training split and is
told the true lengths. Refold decodes the lengths from the code. Codes are those of the encoder,
without or with 10 steps of latent optimization (``latent_steps``).
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from matplotlib.figure import Figure

import refold
from benchmarks._results import FOLDER, table, write_page
from refold.evaluation import PCABaseline, nmse
from refold.plots._matplotlib import tidy
from refold.plots.charts import ACCENT, CONTRAST, PALETTE
from refold.sequences import Scaler, Sequences

LEVELS = (0.0, 0.25, 0.5, 1.0, 1.5)
LATENT_DIM = 16
DENOISE = (0.0, 0.5, 1.0)
CODES = {0: "codes of the encoder", 10: "latent optimization"}


def with_noise(sequences: Sequences, deviation: float, units: Scaler) -> Sequences:
    """Add Gaussian noise; ``deviation`` is in standard deviations of each feature."""
    rng = np.random.default_rng(0)
    noise = deviation * units.scale_ * rng.standard_normal(sequences.values.shape)
    return Sequences(sequences.values + noise, sequences.offsets, schema=sequences.schema)


def measure() -> dict[str, list[float]]:
    """Return the errors of each model, one for each level of noise."""
    data = refold.datasets.japanese_vowels()
    units = Scaler.fit(data.train)
    noisy = [with_noise(data.test, level, units) for level in LEVELS]

    def errors(reconstruct: Callable[[Sequences], Any]) -> list[float]:
        return [nmse(data.test, reconstruct(sequences), units) for sequences in noisy]

    found = {"the noisy sequences themselves": [nmse(data.test, s, units) for s in noisy]}
    found["PCA, told the lengths"] = errors(PCABaseline(LATENT_DIM).fit(data.train).reconstruct)
    for denoise in DENOISE:
        ae = refold.SequenceAutoencoder(LATENT_DIM, denoise=denoise, random_state=0)
        ae.fit(data.train)

        def with_own_lengths(sequences: Sequences, ae: Any = ae) -> list[Any]:
            return ae.inverse_transform(ae.transform(sequences))

        for steps, label in CODES.items():
            ae.set_params(latent_steps=steps)
            found[f"Refold, denoise={denoise:g}, {label}"] = errors(with_own_lengths)
    return found


def draw(found: dict[str, list[float]]) -> None:
    """Draw ``results/denoising.png``."""
    figure = Figure(figsize=(6.0, 3.8), layout="constrained")
    ax = figure.add_subplot()
    colours = (CONTRAST, PALETTE[2], PALETTE[2], ACCENT, ACCENT, PALETTE[4], PALETTE[4])
    for (name, errors), colour in zip(list(found.items())[1:], colours, strict=True):
        style = "o--" if name.endswith(CODES[10]) else "o-"
        ax.plot(LEVELS, errors, style, color=colour, label=name, markersize=4, linewidth=1.6)
    ax.set_xlabel("noise in the input, standard deviations of a feature")
    ax.set_ylabel("NMSE against the clean sequence")
    ax.set_ylim(bottom=0)
    ax.legend(frameon=False, loc="lower right", ncols=2, fontsize="x-small")
    tidy(ax, grid="y")
    figure.savefig(FOLDER / "denoising.png", dpi=150)


def main() -> None:
    """Measure, and write ``results/denoising.md`` and ``results/denoising.png``."""
    found = measure()
    rows = [[name, *(f"{error:.3f}" for error in errors)] for name, errors in found.items()]
    write_page(
        "denoising",
        "Denoising",
        [
            f"The table shows the NMSE against the clean test sequences of JapaneseVowels, with "
            f"{LATENT_DIM} latent dimensions. Noise was added before encoding. Its level is in "
            "standard deviations of a feature. One seed.",
            "![Error by noise](denoising.png)",
            table(["model", *(f"noise {level:g}" for level in LEVELS)], rows),
        ],
    )
    draw(found)


if __name__ == "__main__":
    main()
