"""Scatter plot of codes in two dimensions."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes

from refold._support.argument_checks import check_one_each
from refold.errors import ParameterError
from refold.plots._code_plane import check_codes, code_plane
from refold.plots._draw import draw
from refold.plots._style import MUTED
from refold.plots.charts import code_points


def code_map(
    codes: np.ndarray,
    labels: Sequence[Any] | np.ndarray | None = None,
    annotations: Sequence[Any] | Mapping[int, Any] | None = None,
    ax: Axes | None = None,
    *,
    label_name: str | None = None,
    method: Literal["pca", "umap"] = "pca",
) -> Axes:
    """Draw codes as points in the plane, by PCA if they have more than two dimensions.

    Parameters
    ----------
    codes : array of shape (n_sequences, latent_dim)
        Output of ``transform``.
    labels : sequence of shape (n_sequences,), optional
        Colors of the points, by `colour_groups`: with a legend, or with a color bar for more than
        ten distinct numbers.
    annotations : sequence of shape (n_sequences,) or mapping of int to str, optional
        Text beside the points, one per point or by index.
    ax : matplotlib.axes.Axes, optional
        Axes to draw on; by default of a new figure.
    label_name : str, optional
        Title of the legend or color bar.
    method : {"pca", "umap"}, default="pca"
        See `code_plane`; UMAP needs the extra ``umap``.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    DataError
        If the codes are not a two-dimensional array of numbers, or there are not as many labels or
        annotations as codes.
    ParameterError
        If the codes are not finite.
    MissingExtraError
        If the extra ``umap`` is needed but not installed.

    Examples
    --------
    >>> import numpy as np
    >>> codes = np.array([[0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    >>> ax = code_map(codes, labels=["a", "b", "b"], annotations={0: "first"})
    >>> [text.get_text() for text in ax.texts]
    ['first']
    """
    codes = check_codes(codes)
    num = len(codes)
    if labels is not None:
        check_one_each(len(labels), "labels", num, "codes")
    points, names = code_plane(codes, method)
    chart = code_points(points, names, labels, label_name=label_name or "")
    ax = draw(chart, ax, size=(6.0, 4.6))
    _annotate(ax, points, _pairs(annotations, num))
    ax.margins(0.08)
    return ax


def _annotate(ax: Axes, points: np.ndarray, pairs: list[tuple[int, Any]]) -> None:
    """Circle the annotated points, and write the text beside them."""
    for i, text in pairs:
        x, y = points[i]
        ax.plot(x, y, "o", markersize=8, markerfacecolor="none", color=MUTED, markeredgewidth=1.2)
        ax.annotate(
            str(text),
            (x, y),
            xytext=(6, 5),
            textcoords="offset points",
            fontsize="small",
            weight="bold",
        )


def _pairs(
    annotations: Sequence[Any] | Mapping[int, Any] | None, num: int
) -> list[tuple[int, Any]]:
    if annotations is None:
        return []
    if isinstance(annotations, Mapping):
        wrong = [i for i in annotations if not -num <= i < num]
        if wrong:
            raise ParameterError(f"There is no code {wrong[0]} to annotate. There are {num} codes.")
        return list(annotations.items())
    check_one_each(len(annotations), "annotations", num, "codes")
    return [(i, text) for i, text in enumerate(annotations) if text is not None]
