"""Diagram of encoder, code and decoder, with layers, shapes and parameter counts."""

from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes

from refold.errors import ParameterError
from refold.plots._matplotlib import new_axes
from refold.plots.charts import ACCENT, CONTRAST, GREEN, MUTED

MAX_ROWS = 9


class Box(NamedTuple):
    """A part of a model: its title, a text below it, and class, shape and size of its layers."""

    title: str
    below: str
    layers: list[tuple[str, str, str]]


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

    Examples
    --------
    >>> import keras
    >>> encoder = keras.Sequential([keras.Input((None, 3)), keras.layers.LSTM(8)])
    >>> decoder = keras.Sequential([keras.Input((8,)), keras.layers.RepeatVector(5)])
    >>> ax = architecture(encoder, decoder)
    >>> "code" in {text.get_text() for text in ax.texts}
    True
    """
    first, *parts, last = architecture_boxes(encoder, decoder)
    num_rows = max(len(box.layers) for box in parts)
    ax = new_axes(ax, size=(10.0, max(2.8, 0.36 * num_rows + 1.5)))
    _sequence(ax, 1, first)
    _network(ax, (12, 43), (84, 60), ACCENT, parts[0])
    _code(ax, 50, encoder.output_shape[-1])
    _network(ax, (57, 88), (60, 84), GREEN, parts[2])
    _sequence(ax, 92, last)
    arrow = {"arrowstyle": "-|>", "color": MUTED, "linewidth": 1.4, "mutation_scale": 11}
    for start, end in ((8.6, 11.4), (43.6, 47.4), (52.6, 56.4), (88.6, 91.4)):
        ax.annotate("", (end, 50), (start, 50), arrowprops=arrow)
    ax.set(xlim=(0, 100), ylim=(0, 100))
    ax.set_axis_off()
    return ax


def architecture_boxes(encoder: Any, decoder: Any) -> list[Box]:
    """Describe a sequence, an encoder, a code, a decoder and the decoded sequence."""
    tables = [_layers(model) for model in (encoder, decoder)]
    sizes = [f"{model.count_params():,} parameters" for model in (encoder, decoder)]
    return [
        Box("sequence", _shape(encoder.input_shape), []),
        Box("encoder", sizes[0], tables[0]),
        Box("code", f"{encoder.output_shape[-1]} dimensions", []),
        Box("decoder", sizes[1], tables[1]),
        Box("sequence", _shape(decoder.output_shape), []),
    ]


def _layers(model: Any) -> list[tuple[str, str, str]]:
    layers = getattr(model, "layers", ())
    layers = [layer for layer in layers if type(layer).__name__ != "InputLayer"]
    if not layers:
        name = getattr(model, "name", type(model).__name__)
        raise ParameterError(f"The model {name} has no layers yet. Build it, or fit the estimator.")
    if len(layers) > MAX_ROWS:  # leave out layers without parameters, then those in the middle
        layers = [layer for layer in layers if layer.count_params()]
    rows = [_layer(layer) for layer in layers]
    if len(rows) > MAX_ROWS:
        hidden = len(rows) - MAX_ROWS + 1
        rows = [*rows[: MAX_ROWS // 2], (f"{hidden} more", "", ""), *rows[-(MAX_ROWS // 2) :]]
    return rows


def _layer(layer: Any) -> tuple[str, str, str]:
    """Return class, output shape and number of parameters as text."""
    inner = getattr(layer, "layer", None) or getattr(layer, "forward_layer", None)
    name = type(layer).__name__ + (f"({type(inner).__name__})" if inner is not None else "")
    try:
        shape = _shape(layer.output.shape)
    except (AttributeError, ValueError):  # a shared layer, or one whose output is not a tensor
        shape = ""
    num = layer.count_params()
    return name, shape, f"{num:,}" if num else ""


def _shape(shape: Any) -> str:
    """Format a shape without the batch dimension, such as T × 8; T is an unknown number."""
    if shape and isinstance(shape[0], tuple | list):
        shape = shape[0]
    return " × ".join("T" if size is None else str(size) for size in shape[1:])


def _network(
    ax: Axes, across: tuple[float, float], heights: tuple[float, float], color: str, box: Box
) -> None:
    """Draw a trapezoid with the table of its layers."""
    (left, right), (first, last) = across, (height / 2 for height in heights)
    x, y = (left, left, right, right), (50 - first, 50 + first, 50 + last, 50 - last)
    ax.fill(x, y, color=color, linewidth=0, alpha=0.12)
    ax.fill(x, y, facecolor="none", edgecolor=color, linewidth=1.6, alpha=0.9)
    title = f"{box.title}  ·  {box.below}"
    ax.text((left + right) / 2, 101, title, ha="center", va="top", weight="bold", fontsize=9.5)
    step = min(10.0, 54.0 / len(box.layers))
    for i, row in enumerate(box.layers):
        y = 50 + step * ((len(box.layers) - 1) / 2 - i)
        places = (left + 1.5, right - 8, right - 1.5)
        for x, text, side, alpha in zip(
            places, row, ("left", "right", "right"), (1, 0.75, 0.75), strict=True
        ):
            ax.text(x, y, text, ha=side, va="center", fontsize=8, alpha=alpha)


def _code(ax: Axes, x: float, size: int) -> None:
    num_cells = min(size, 16)
    height = min(3.4, 52 / num_cells)
    shades = 0.35 + 0.6 * ((np.arange(num_cells)[:, None] * 7 + 3) % 11) / 10
    edge = height * num_cells / 2
    _cells(ax, (x - 1.8, 50 - edge), (3.6, height), CONTRAST, shades)
    ax.text(x, 50 + edge + 3, "code", ha="center", va="bottom", weight="bold", fontsize=9.5)
    ax.text(x, 50 - edge - 3, f"{size}", ha="center", va="top", fontsize=9)


def _sequence(ax: Axes, x: float, box: Box) -> None:
    rows, columns = np.arange(6)[:, None], np.arange(3)
    shades = 0.25 + 0.55 * ((rows * 5 + columns * 3) % 7) / 6
    _cells(ax, (x, 29), (2.4, 7.0), MUTED, shades)
    ax.text(x + 3.4, 76, box.title, ha="center", va="bottom", fontsize=9)
    ax.text(x + 3.4, 26, box.below, ha="center", va="top", fontsize=9)


def _cells(
    ax: Axes,
    corner: tuple[float, float],
    size: tuple[float, float],
    color: str,
    shades: np.ndarray,
) -> None:
    """Draw a grid of cells with gaps between them."""
    for (row, column), shade in np.ndenumerate(shades):
        x, y = corner[0] + column * size[0], corner[1] + row * size[1] + 0.25
        width = size[0] - (0.3 if shades.shape[1] > 1 else 0)
        ax.bar(x, size[1] - 0.5, width, y, align="edge", color=color, alpha=shade)
