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
# Number of last steps that the forecast predicts.
NUM_FORECAST_STEPS = 3
# Titles of the methods of the benchmark in the picture.
METHOD_TITLES = {"refold": "Refold", "pca": "PCA", "repeat_tanh": "RepeatVector LSTM"}

# Color of text.
INK = "#1f2530"
# Colors of three features.
LINE_COLORS = ("#3f7ee8", "#e8833a", "#2a9d8f")
# Color of less important text.
FAINT_INK = "#4b5260"
# Color of frames and of the bars of other methods.
GREY = "#aab0bb"


def main() -> None:
    """Fit with the default settings and draw the pictures."""
    vowels = refold.datasets.japanese_vowels()
    ae = refold.SequenceAutoencoder(latent_dim=LATENT_DIM, random_state=0).fit(vowels.train)
    codes = ae.transform(vowels.test)
    decoded = ae.inverse_transform(codes)
    IMAGES.mkdir(exist_ok=True)
    num_test = len(decoded)
    errors = [nmse(vowels.test[[i]], [decoded[i]], ae.error_scaler_) for i in range(num_test)]
    # the utterance with the median error
    median_row = int(np.argsort(errors)[len(errors) // 2])
    draw_overview(vowels.test[median_row], codes[median_row], decoded[median_row])
    draw_codes(vowels, codes, decoded)
    draw_forecast(vowels)


def draw_overview(original: np.ndarray, code: np.ndarray, decoded: np.ndarray) -> None:
    """Draw one sequence, its code, the decoded sequence, and the errors of three methods."""
    figure = Figure(figsize=(10, 3.1), dpi=160, facecolor="white")
    # left, bottom, width, height; the gaps between the first three hold the arrows
    left_panel, code_panel, right_panel, error_panel = (
        figure.add_axes((left, 0.1, width, 0.68))
        for left, width in ((0.012, 0.205), (0.287, 0.16), (0.517, 0.205), (0.79, 0.2))
    )
    # the features with the largest variance
    features_drawn = np.argsort(np.var(original, axis=0))[::-1][: len(LINE_COLORS)]
    steps, features = original.shape

    _draw_title(left_panel, "A sequence", f"{steps} steps of {features} features")
    for color, feature in zip(LINE_COLORS, features_drawn, strict=True):
        left_panel.plot(original[:, feature], color=color, linewidth=2.2)

    _draw_title(code_panel, "Its code", f"{len(code)} latent dimensions")
    code_panel.bar(np.arange(len(code)), code, color=INK, width=0.7)
    code_panel.axhline(0, color=INK, linewidth=0.8)

    _draw_title(right_panel, "The sequence again", "dashed, on the original")
    for color, feature in zip(LINE_COLORS, features_drawn, strict=True):
        right_panel.plot(original[:, feature], color=color, linewidth=4.5, alpha=0.28)
        right_panel.plot(decoded[:, feature], color=color, linewidth=2, linestyle=(0, (3, 1.2)))

    for ax in (left_panel, right_panel):
        ax.set_ylim(right_panel.get_ylim())
        ax.set_xlabel(
            f"step ({len(features_drawn)} features drawn)", fontsize=9, color=FAINT_INK, labelpad=4
        )
    for ax in (left_panel, code_panel, right_panel):
        ax.set_xticks([])
        ax.set_yticks([])
        ax.spines[:].set_color(GREY)
    _draw_arrow(figure, left_panel, code_panel, "encode")
    _draw_arrow(figure, code_panel, right_panel, "decode")
    _draw_errors(error_panel)
    figure.savefig(IMAGES / "overview.png", facecolor="white")


def _draw_errors(ax: Axes) -> None:
    """Draw the test error of each method as a bar."""
    errors = _read_errors()
    _draw_title(ax, "Test error", f"NMSE, {LATENT_DIM} latent dimensions")
    positions = np.arange(len(errors))
    bar_colors = [LINE_COLORS[0] if name == "Refold" else GREY for name in errors]
    ax.barh(positions, list(errors.values()), color=bar_colors, height=0.42)
    for position, (name, error) in zip(positions, errors.items(), strict=True):
        ax.text(0, position - 0.29, name, fontsize=10.5, color=INK)
        ax.text(error + 0.005, position, f"{error:.3g}", va="center", fontsize=10.5, color=INK)
    ax.set_xlim(0, 1.27 * max(errors.values()))
    ax.set_ylim(len(errors) - 0.7, -0.6)  # the first bar is at the top
    ax.set_xlabel("lower is better", fontsize=9, color=FAINT_INK, labelpad=4)
    ax.set_xticks([])
    ax.set_yticks([])
    ax.spines[["top", "right", "bottom"]].set_visible(False)
    ax.spines["left"].set_color(GREY)


def _read_errors() -> dict[str, float]:
    """Return the held-out NMSE of each method: the median over the newest results of its seeds."""
    records = [
        record
        for record in json.loads(RESULTS.read_text(encoding="utf-8"))
        if record["data"] == "vowels" and record["size"] == LATENT_DIM
    ]
    # the newest record of a run is the last one
    newest_errors = {(record["method"], record["seed"]): record["nmse"] for record in records}
    return {
        title: statistics.median(nmse for key, nmse in newest_errors.items() if key[0] == method)
        for method, title in METHOD_TITLES.items()
    }


def _draw_title(ax: Axes, title: str, subtitle: str) -> None:
    """Write a title and a subtitle above a panel."""
    ax.text(0, 1.16, title, transform=ax.transAxes, fontsize=13, fontweight="bold", color=INK)
    ax.text(0, 1.045, subtitle, transform=ax.transAxes, fontsize=10.5, color=FAINT_INK)


def _draw_arrow(figure: Figure, left: Axes, right: Axes, label: str) -> None:
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
    position = (start.x1 + end.x0) / 2
    figure.text(position, middle + 0.04, label, ha="center", fontsize=10.5, color=INK)


def draw_codes(vowels: Any, codes: np.ndarray, decoded: list[np.ndarray]) -> None:
    """Draw the codes in two dimensions, and four utterances with their reconstructions."""
    figure = Figure(figsize=(10, 4.2), dpi=150, layout="constrained")
    left, right = figure.subfigures(1, 2, width_ratios=[1, 1.3])
    refold.plots.code_map(codes, vowels.test_labels, ax=left.subplots(), label_name="speaker")
    rows = np.linspace(0, len(decoded) - 1, 4).round().astype(int)
    axes = list(right.subplots(2, 2).flat)
    titles, rows_decoded = [f"utterance {i}" for i in rows], [decoded[i] for i in rows]
    refold.plots.reconstructions(vowels.test[rows], rows_decoded, axes, titles=titles)
    figure.savefig(IMAGES / "vowels.png")


def draw_forecast(vowels: Any) -> None:
    """Draw the last steps of a test utterance, their forecast and the bounds."""
    settings: dict[str, Any] = {"calibration_fraction": 0.2, "random_state": 0}
    ae = refold.SequenceAutoencoder(LATENT_DIM, forecast_steps=NUM_FORECAST_STEPS, **settings)
    before, after = split_at(vowels.test, vowels.test.lengths - NUM_FORECAST_STEPS)
    predicted = ae.fit(vowels.train).forecast(before)
    ax = Figure(figsize=(10, 4.6), dpi=100, layout="constrained").subplots()
    refold.plots.forecast(before, predicted, ax, truth=after, index=6)
    ax.figure.savefig(IMAGES / "forecast.png")


if __name__ == "__main__":
    main()
