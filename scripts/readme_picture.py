"""Draw the pictures of README, classification and forecasts from the JapaneseVowels data.

``python scripts/readme_picture.py`` fits two models with default settings and writes three files.
``docs/images/overview.png`` shows a test utterance, its code and its reconstruction, next to the
errors of three methods, which are read from ``benchmarks/results/fidelity.json``.
``docs/images/vowels.png`` shows the codes of all test utterances in two dimensions, and four
reconstructions. ``docs/images/forecast.png`` shows an utterance and a forecast of its last steps.
"""

import json
import statistics
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch

import refold
from refold.evaluation import nmse
from refold.sequences import split_at

ROOT = Path(__file__).parents[1]
IMAGES = ROOT / "docs" / "images"
RESULTS = ROOT / "benchmarks" / "results" / "fidelity.json"
LATENT_DIM = 16
STEPS = 3  # to forecast
# Methods of the benchmark, with their names in the picture.
METHODS = {"refold": "Refold", "pca": "PCA", "repeat_tanh": "RepeatVector LSTM"}

INK = "#1f2530"
LINES = ("#3f7ee8", "#e8833a", "#2a9d8f")
FAINT = "#4b5260"
GREY = "#aab0bb"


def main() -> None:
    """Fit with the default settings and draw the pictures."""
    vowels = refold.datasets.japanese_vowels()
    ae = refold.SequenceAutoencoder(latent_dim=LATENT_DIM, random_state=0).fit(vowels.train)
    codes = ae.transform(vowels.test)
    back = ae.inverse_transform(codes)
    IMAGES.mkdir(exist_ok=True)
    errors = [nmse(vowels.test[i : i + 1], [one], ae.error_scaler_) for i, one in enumerate(back)]
    typical = int(np.argsort(errors)[len(errors) // 2])
    draw_overview(vowels.test[typical], codes[typical], back[typical])
    draw_codes(vowels, codes, back)
    draw_forecast(vowels)


def draw_overview(original: np.ndarray, code: np.ndarray, decoded: np.ndarray) -> None:
    """Draw one sequence, its code, the decoded sequence, and the errors of three methods."""
    figure = Figure(figsize=(10, 3.1), dpi=160, facecolor="white")
    # left, bottom, width, height; the gaps between the first three hold the arrows
    first, second, third, fourth = (
        figure.add_axes((left, 0.1, width, 0.68))
        for left, width in ((0.012, 0.205), (0.287, 0.16), (0.517, 0.205), (0.79, 0.2))
    )
    shown = np.argsort(np.var(original, axis=0))[::-1][: len(LINES)]
    steps, features = original.shape

    _title(first, "A sequence", f"{steps} steps of {features} features")
    for colour, feature in zip(LINES, shown, strict=True):
        first.plot(original[:, feature], color=colour, linewidth=2.2)

    _title(second, "Its code", f"{len(code)} latent dimensions")
    second.bar(np.arange(len(code)), code, color=INK, width=0.7)
    second.axhline(0, color=INK, linewidth=0.8)

    _title(third, "The sequence again", "dashed, on the original")
    for colour, feature in zip(LINES, shown, strict=True):
        third.plot(original[:, feature], color=colour, linewidth=4.5, alpha=0.28)
        third.plot(decoded[:, feature], color=colour, linewidth=2, linestyle=(0, (3, 1.2)))

    for ax in (first, third):
        ax.set_ylim(third.get_ylim())
        ax.set_xlabel(f"step ({len(shown)} features drawn)", fontsize=9, color=FAINT, labelpad=4)
    for ax in (first, second, third):
        ax.set_xticks([])
        ax.set_yticks([])
        ax.spines[:].set_color(GREY)
    _arrow(figure, first, second, "encode")
    _arrow(figure, second, third, "decode")
    _draw_errors(fourth)
    figure.savefig(IMAGES / "overview.png", facecolor="white")


def _draw_errors(ax: Axes) -> None:
    errors = _errors()
    _title(ax, "Test error", f"NMSE, {LATENT_DIM} latent dimensions")
    places = np.arange(len(errors))
    colours = [LINES[0] if name == "Refold" else GREY for name in errors]
    ax.barh(places, list(errors.values()), color=colours, height=0.42)
    for place, (name, error) in zip(places, errors.items(), strict=True):
        ax.text(0, place - 0.29, name, fontsize=10.5, color=INK)
        ax.text(error + 0.005, place, f"{error:.3g}", va="center", fontsize=10.5, color=INK)
    ax.set_xlim(0, 1.27 * max(errors.values()))
    ax.set_ylim(len(errors) - 0.7, -0.6)  # the first at the top
    ax.set_xlabel("lower is better", fontsize=9, color=FAINT, labelpad=4)
    ax.set_xticks([])
    ax.set_yticks([])
    ax.spines[["top", "right", "bottom"]].set_visible(False)
    ax.spines["left"].set_color(GREY)


def _errors() -> dict[str, float]:
    """Return the held-out NMSE of each method: the median over the newest results of its seeds."""
    records = [
        record
        for record in json.loads(RESULTS.read_text(encoding="utf-8"))
        if record["data"] == "vowels" and record["size"] == LATENT_DIM
    ]
    # the newest record of a run is the last one
    newest = {(record["method"], record["seed"]): record["nmse"] for record in records}
    return {
        title: statistics.median(nmse for (one, _), nmse in newest.items() if one == method)
        for method, title in METHODS.items()
    }


def _title(ax: Axes, title: str, below: str) -> None:
    ax.text(0, 1.16, title, transform=ax.transAxes, fontsize=13, fontweight="bold", color=INK)
    ax.text(0, 1.045, below, transform=ax.transAxes, fontsize=10.5, color=FAINT)


def _arrow(figure: Figure, left: Axes, right: Axes, word: str) -> None:
    """Draw an arrow from one panel to the next, with a word above it."""
    start, end = left.get_position(), right.get_position()
    middle = (start.y0 + start.y1) / 2
    figure.add_artist(
        FancyArrowPatch(
            (start.x1 + 0.008, middle),
            (end.x0 - 0.008, middle),
            arrowstyle="-|>,head_length=6,head_width=4",
            mutation_scale=1,
            linewidth=2,
            color=INK,
            transform=figure.transFigure,
        )
    )
    place = (start.x1 + end.x0) / 2
    figure.text(place, middle + 0.04, word, ha="center", fontsize=10.5, color=INK)


def draw_codes(vowels: Any, codes: np.ndarray, back: list[np.ndarray]) -> None:
    """Draw the codes in two dimensions, and four utterances with their reconstructions."""
    figure = Figure(figsize=(10, 4.2), dpi=150, layout="constrained")
    left, right = figure.subfigures(1, 2, width_ratios=[1, 1.3])
    refold.plots.code_map(codes, vowels.test_labels, ax=left.subplots(), label_name="speaker")
    shown = np.linspace(0, len(back) - 1, 4).round().astype(int)
    axes = list(right.subplots(2, 2).flat)
    titles, decoded = [f"utterance {i}" for i in shown], [back[i] for i in shown]
    refold.plots.reconstructions(vowels.test[shown], decoded, axes, titles=titles)
    figure.savefig(IMAGES / "vowels.png")


def draw_forecast(vowels: Any) -> None:
    """Draw the last steps of a test utterance, their forecast and the bounds."""
    settings: dict[str, Any] = {"calibration_fraction": 0.2, "random_state": 0}
    ae = refold.SequenceAutoencoder(LATENT_DIM, forecast_steps=STEPS, **settings)
    before, after = split_at(vowels.test, vowels.test.lengths - STEPS)
    ahead = ae.fit(vowels.train).forecast(before)
    ax = Figure(figsize=(10, 4.6), dpi=100, layout="constrained").subplots()
    refold.plots.forecast(before, ahead, ax, truth=after, index=6)
    ax.figure.savefig(IMAGES / "forecast.png")


if __name__ == "__main__":
    main()
