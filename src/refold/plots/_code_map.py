"""Scatter plot of codes in two dimensions."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from refold.errors import ParameterError
from refold.plots._code_plane import check_codes, code_plane
from refold.plots._label_colours import colour_groups
from refold.plots._style import ACCENT, MUTED, PALETTE, new_axes, ramp, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["code_map"]

MANY_POINTS = 1500  # more points are rasterized, so that an SVG stays small


def code_map(
    codes: np.ndarray,
    labels: Sequence[Any] | np.ndarray | None = None,
    annotations: Sequence[Any] | Mapping[int, Any] | None = None,
    ax: "Axes | None" = None,
    *,
    label_name: str | None = None,
    method: Literal["pca", "umap"] = "pca",
) -> "Axes":
    """Draw codes as points in the plane, by PCA if they have more than two dimensions.

    Parameters
    ----------
    codes : array of shape (n_sequences, latent_dim)
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
    ParameterError
        If the codes are not a two-dimensional array of finite numbers, or there are not as many
        labels or annotations as codes.
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
    points, names = code_plane(codes, method)
    ax = new_axes(ax, size=(6.0, 4.6))
    style: dict[str, Any] = {
        "s": float(np.clip(6000 / num, 9, 42)),
        "alpha": 0.85 if num <= 500 else 0.6,
        "linewidths": 0,
        "rasterized": num > MANY_POINTS,
    }
    if labels is None:
        ax.scatter(points[:, 0], points[:, 1], color=ACCENT, **style)
    else:
        if len(labels) != num:
            raise ParameterError(f"Got {len(labels)} labels for {num} codes. Pass one per code.")
        _coloured(ax, points, np.asarray(labels), label_name, style)
    _annotate(ax, points, _pairs(annotations, num))
    ax.set_xlabel(names[0])
    ax.set_ylabel(names[1])
    ax.margins(0.08)
    tidy(ax)
    return ax


def _coloured(
    ax: "Axes", points: np.ndarray, labels: np.ndarray, name: str | None, style: dict[str, Any]
) -> None:
    values, names, num_others = colour_groups(labels)
    if names is None:
        drawn = ax.scatter(points[:, 0], points[:, 1], c=values, cmap=ramp(), **style)
        bar = ax.figure.colorbar(drawn, ax=ax, pad=0.02, aspect=30)
        bar.outline.set_visible(False)
        bar.solids.set_alpha(1.0)  # type: ignore[union-attr]  # None in bars of contours only
        bar.set_label(name or "")
        return
    for i, group in enumerate(names):
        chosen = points[values == i]
        colour = MUTED if num_others and i == len(names) - 1 else PALETTE[i]
        ax.scatter(chosen[:, 0], chosen[:, 1], color=colour, label=group, **style)
    ax.legend(
        title=name,
        frameon=False,
        fontsize="small",
        loc="center left",
        bbox_to_anchor=(1.0, 0.5),
        markerscale=max(1.0, 5.0 / style["s"] ** 0.5),
        handletextpad=0.2,
    )


def _annotate(ax: "Axes", points: np.ndarray, pairs: list[tuple[int, Any]]) -> None:
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
    if len(annotations) != num:
        raise ParameterError(
            f"Got {len(annotations)} annotations for {num} codes. "
            "Pass one per code, or a mapping from index to text."
        )
    return [(i, text) for i, text in enumerate(annotations) if text is not None]
