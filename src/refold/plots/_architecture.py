"""Diagram of encoder, code and decoder, with layers, shapes and parameter counts."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from refold.errors import ParameterError
from refold.plots._style import ACCENT, CONTRAST, MUTED, PALETTE, new_axes

MOST_ROWS = 9
DECODER_COLOUR = PALETTE[2]


def architecture(encoder: Any, decoder: Any, ax: Axes | None = None) -> Axes:
    """Draw an encoder, its code and a decoder, with layers, shapes and parameter counts.

    Parameters
    ----------
    encoder, decoder : keras.Model
        Such as ``encoder_`` and ``decoder_`` of an estimator.
    ax : matplotlib.axes.Axes, optional
        Axes to draw on; by default of a new figure.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ParameterError
        If one of the two has no layers, for example because it was not built yet.

    Examples
    --------
    >>> import keras
    >>> encoder = keras.Sequential([keras.Input((None, 3)), keras.layers.LSTM(8)])
    >>> decoder = keras.Sequential([keras.Input((8,)), keras.layers.RepeatVector(5)])
    >>> ax = architecture(encoder, decoder)
    >>> "code" in {text.get_text() for text in ax.texts}
    True
    """
    rows = [layer_table(encoder), layer_table(decoder)]
    ax = new_axes(ax, size=(10.0, max(2.8, 0.36 * max(len(part) for part in rows) + 1.5)))
    _matrix(ax, 1, "sequence", shape_text(encoder.input_shape))
    _trapezoid(ax, (12, 43), (84, 60), ACCENT)
    _listing(ax, 13.5, 41.5, "encoder", encoder.count_params(), rows[0])
    _code(ax, 50, encoder.output_shape[-1])
    _trapezoid(ax, (57, 88), (60, 84), DECODER_COLOUR)
    _listing(ax, 58.5, 86.5, "decoder", decoder.count_params(), rows[1])
    _matrix(ax, 92, "sequence", shape_text(decoder.output_shape))
    arrow = {"arrowstyle": "-|>", "color": MUTED, "linewidth": 1.4, "mutation_scale": 11}
    for start, end in ((8.6, 11.4), (43.6, 47.4), (52.6, 56.4), (88.6, 91.4)):
        ax.annotate("", (end, 50), (start, 50), arrowprops=arrow)
    ax.set(xlim=(0, 100), ylim=(0, 100))
    ax.set_axis_off()
    return ax


def layer_table(model: Any) -> list[tuple[str, str, str]]:
    """Return class, output shape and parameter count of the main layers of a model, as text."""
    layers = getattr(model, "layers", ())
    layers = [layer for layer in layers if type(layer).__name__ != "InputLayer"]
    if not layers:
        name = getattr(model, "name", type(model).__name__)
        raise ParameterError(f"The model {name} has no layers yet. Build it, or fit the estimator.")
    if len(layers) > MOST_ROWS:  # leave out layers without parameters, then those in the middle
        layers = [layer for layer in layers if layer.count_params()]
    rows = [(_title(layer), _output(layer), _count(layer)) for layer in layers]
    if len(rows) > MOST_ROWS:
        hidden = len(rows) - MOST_ROWS + 1
        rows = [*rows[: MOST_ROWS // 2], (f"{hidden} more", "", ""), *rows[-(MOST_ROWS // 2) :]]
    return rows


def _title(layer: Any) -> str:
    inner = getattr(layer, "layer", None) or getattr(layer, "forward_layer", None)
    name = type(layer).__name__
    return f"{name}({type(inner).__name__})" if inner is not None else name


def _count(layer: Any) -> str:
    num = layer.count_params()
    return f"{num:,}" if num else ""


def _output(layer: Any) -> str:
    try:
        return shape_text(layer.output.shape)
    except (AttributeError, ValueError):  # a shared layer, or one whose output is not a tensor
        return ""


def shape_text(shape: Sequence[Any]) -> str:
    """Format a shape without the batch dimension, such as T × 8; T is an unknown number."""
    if shape and isinstance(shape[0], tuple | list):
        shape = shape[0]
    return " × ".join("T" if size is None else str(size) for size in shape[1:])


def _trapezoid(
    ax: Axes, across: tuple[float, float], heights: tuple[float, float], colour: str
) -> None:
    (left, right), (first, last) = across, (height / 2 for height in heights)
    x, y = (left, left, right, right), (50 - first, 50 + first, 50 + last, 50 - last)
    ax.fill(x, y, color=colour, linewidth=0, alpha=0.12)
    ax.fill(x, y, facecolor="none", edgecolor=colour, linewidth=1.6, alpha=0.9)


def _listing(
    ax: Axes,
    left: float,
    right: float,
    title: str,
    num_parameters: int,
    rows: list[tuple[str, str, str]],
) -> None:
    heading = f"{title}  ·  {num_parameters:,} parameters"
    ax.text((left + right) / 2, 101, heading, ha="center", va="top", weight="bold", fontsize=9.5)
    step = min(10.0, 54.0 / max(len(rows), 1))
    top = 50 + step * (len(rows) - 1) / 2
    for i, (name, shape, count) in enumerate(rows):
        y = top - i * step
        ax.text(left, y, name, ha="left", va="center", fontsize=8)
        ax.text(right - 6.5, y, shape, ha="right", va="center", fontsize=8, alpha=0.75)
        ax.text(right, y, count, ha="right", va="center", fontsize=8, alpha=0.75)


def _code(ax: Axes, x: float, size: int) -> None:
    shown = min(size, 16)
    height = min(3.4, 52 / shown)
    shades = 0.35 + 0.6 * ((np.arange(shown)[:, None] * 7 + 3) % 11) / 10
    _cells(ax, (x - 1.8, 50 - height * shown / 2), (3.6, height), CONTRAST, shades)
    edge = height * shown / 2
    ax.text(x, 50 + edge + 3, "code", ha="center", va="bottom", weight="bold", fontsize=9.5)
    ax.text(x, 50 - edge - 3, f"{size}", ha="center", va="top", fontsize=9)


def _matrix(ax: Axes, x: float, title: str, shape: str) -> None:
    rows, columns = np.arange(6)[:, None], np.arange(3)
    shades = 0.25 + 0.55 * ((rows * 5 + columns * 3) % 7) / 6
    _cells(ax, (x, 29), (2.4, 7.0), MUTED, shades)
    ax.text(x + 3.4, 76, title, ha="center", va="bottom", fontsize=9)
    ax.text(x + 3.4, 26, shape, ha="center", va="top", fontsize=9)


def _cells(
    ax: Axes,
    corner: tuple[float, float],
    size: tuple[float, float],
    colour: str,
    shades: np.ndarray,
) -> None:
    """Draw a grid of cells with gaps between them."""
    for (row, column), shade in np.ndenumerate(shades):
        x, y = corner[0] + column * size[0], corner[1] + row * size[1] + 0.25
        width = size[0] - (0.3 if shades.shape[1] > 1 else 0)
        ax.bar(x, size[1] - 0.5, width, y, align="edge", color=colour, alpha=shade)
