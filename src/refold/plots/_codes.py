"""Figures of codes: their map, the effect of each dimension, and a sweep along one."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes

from refold._support.argument_checks import check_array, check_kind, check_one_each, check_some
from refold._support.rules import check, one_of
from refold._support.umap_layout import umap_layout
from refold.diagnosis import DEVIATIONS, LatentDimensions
from refold.errors import ParameterError
from refold.plots import charts
from refold.plots._matplotlib import draw
from refold.sequences import Schema, Sequences, as_sequences

MAX_BARS = 40


def code_plane(
    codes: np.ndarray, method: Literal["pca", "umap"] = "pca", *, seed: int = 0
) -> tuple[np.ndarray, tuple[str, str]]:
    """Return two coordinates per code, and the names of the axes.

    Parameters
    ----------
    codes : array of shape (n_sequences, latent_dim)
        Output of ``transform``.
    method : {"pca", "umap"}, default="pca"
        Two principal components, which preserve distances as well as a linear projection can, or
        UMAP [1]_ of the standardized codes, which preserves neighborhoods; its distances between
        groups have no meaning. UMAP needs the extra ``umap``. Codes with one or two dimensions are
        returned as they are.
    seed : int, default=0
        Seed of UMAP.

    Returns
    -------
    points : array of shape (n_sequences, 2)
    names : (str, str)
        Names of principal components include their share of the variance.

    Raises
    ------
    MissingExtraError
        If the extra ``umap`` is needed but not installed.

    References
    ----------
    .. [1] L. McInnes, J. Healy and J. Melville, "UMAP: Uniform Manifold Approximation and
       Projection for Dimension Reduction", 2018.

    Examples
    --------
    >>> points, names = code_plane(np.eye(4)[:, :3] * [3, 1, 1])
    >>> points.shape, names
    ((4, 2), ('component 1 (84%)', 'component 2 (12%)'))
    """
    codes = _check_codes(codes)
    check("method", method, one_of("pca", "umap"))
    if codes.shape[1] == 1:
        return np.column_stack([codes[:, 0], np.zeros(len(codes))]), ("code", "")
    if codes.shape[1] == 2:
        return codes, ("code 0", "code 1")
    return _umap(codes, seed) if method == "umap" else _principal(codes)


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
        Colors of the points: with a legend, or with a color bar for more than ten distinct
        numbers. Of more than ten other labels, the rarest are gray.
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
    codes = _check_codes(codes)
    if labels is not None:
        check_one_each(len(labels), "labels", len(codes), "codes")
    points, names = code_plane(codes, method)
    chart = charts.code_points(points, names, labels, label_name=label_name or "")
    ax = draw(chart, ax, size=(6.0, 4.6))
    circle = {"markersize": 8, "markerfacecolor": "none", "markeredgewidth": 1.2}
    beside: dict[str, Any] = {"xytext": (6, 5), "textcoords": "offset points"}
    for i, text in _annotation_texts(annotations, len(codes)).items():
        x, y = points[i]
        ax.plot(x, y, "o", color=charts.MUTED, **circle)
        ax.annotate(str(text), (x, y), fontsize="small", weight="bold", **beside)
    ax.margins(0.08)
    return ax


def latent_dimensions(
    found: LatentDimensions,
    ax: Axes | None = None,
    *,
    rocket_dim: int = 0,
    length_dim: int = 0,
    latent_dim: int = 0,
) -> Axes:
    """Draw the effect of each latent dimension on the decoded sequence, largest first.

    At most 40 dimensions are drawn.

    Parameters
    ----------
    found : LatentDimensions
        Output of `refold.diagnosis.latent_dimensions`.
    ax : matplotlib.axes.Axes, optional
        Axes to draw on; by default of a new figure.
    rocket_dim, length_dim, latent_dim : int
        ``rocket_dim_``, ``length_dim_`` and ``latent_dim_`` of the estimator. The last
        ``rocket_dim`` of the ``latent_dim`` dimensions have their own color, and so has the one
        before them if it holds the length.

    Returns
    -------
    matplotlib.axes.Axes

    Examples
    --------
    >>> from refold.diagnosis import LatentDimensions
    >>> found = LatentDimensions(("0", "1"), np.ones(2), np.array([[0.1], [0.4]]))
    >>> [text.get_text() for text in latent_dimensions(found).get_xticklabels()]
    ['1', '0']
    """
    check_kind("found", found, "the output of refold.diagnosis.latent_dimensions", "total")
    chart = charts.latent_bars(
        found,
        found.total,
        "change per standard deviation",
        num_bars=MAX_BARS,
        latent_dim=latent_dim,
        rocket_dim=rocket_dim,
        length_dim=length_dim,
    )
    return draw(chart, ax, size=(7.0, 3.0))


def sweep(
    decoded: Sequences,
    ax: Axes | None = None,
    *,
    deviations: Sequence[float] = DEVIATIONS,
    column: int | None = None,
) -> Axes:
    """Draw the decoded sequence while one latent dimension goes from low to high.

    A numeric column is drawn as lines from blue to yellow, others as strips side by side.

    Parameters
    ----------
    decoded : Sequences of shape (n_values,)
        Output of `refold.diagnosis.sweep`.
    ax : matplotlib.axes.Axes, optional
        Axes to draw on; by default of a new figure.
    deviations : sequence of float
        Values of the dimension, in standard deviations from its mean.
    column : int, optional
        Column to draw; by default the numeric column that changes most, or all columns if none is
        numeric.

    Returns
    -------
    matplotlib.axes.Axes

    Examples
    --------
    >>> from refold.sequences import Sequences
    >>> decoded = Sequences.from_list([a * np.sin(np.arange(9.0)) for a in (0.5, 1.0, 1.5)])
    >>> len(sweep(decoded, deviations=(-1, 0, 1)).lines)
    3
    """
    decoded = as_sequences(decoded)
    schema = decoded.schema
    check_some(len(decoded), "sequence", "to draw")
    check_one_each(len(decoded), "sequences", len(deviations), "values of the dimension")
    if column is not None and not 0 <= column < schema.num_columns:
        raise ParameterError(
            f"There is no column {column}. There are {schema.num_columns} columns."
        )
    if column is None:
        column = _most_moved(decoded)
    if column is not None and schema.numeric[column]:
        chart = charts.sweep_lines(decoded, column, deviations)
    else:
        if column is not None:
            values, alone = decoded.values[:, [column]], Schema((schema.columns[column],))
            decoded = Sequences(values, decoded.offsets, schema=alone)
        chart = charts.sweep_cells(decoded, deviations)
    return draw(chart, ax, size=(6.0, 3.0))


def _check_codes(codes: np.ndarray) -> np.ndarray:
    """Check that codes are finite numbers of shape (n_sequences, latent_dim)."""
    codes = check_array("codes", codes, ("n_sequences", "latent_dim")).astype(float)
    if 0 in codes.shape:
        raise ParameterError(
            f"codes must be an array of shape (n_sequences, latent_dim), not empty. "
            f"Got shape {codes.shape}."
        )
    if not np.isfinite(codes).all():
        row = int(np.flatnonzero(~np.isfinite(codes).all(axis=1))[0])
        raise ParameterError(f"codes must be finite. Row {row} is not.")
    return codes


def _principal(codes: np.ndarray) -> tuple[np.ndarray, tuple[str, str]]:
    centred = codes - codes.mean(axis=0)
    _, deviations, directions = np.linalg.svd(centred, full_matrices=False)
    share = deviations**2 / max(float((deviations**2).sum()), np.finfo(float).tiny)
    directions, share = directions[:2], [*share, 0.0][:2]
    if len(directions) < 2:  # a single code
        directions = np.vstack([directions, np.zeros_like(directions)])
    signs = np.sign(directions[np.arange(2), np.abs(directions).argmax(axis=1)])
    points = centred @ (directions * signs[:, None]).T
    first, second = (f"component {i} ({part:.0%})" for i, part in enumerate(share, start=1))
    return points, (first, second)


def _umap(codes: np.ndarray, seed: int) -> tuple[np.ndarray, tuple[str, str]]:
    spread = codes.std(axis=0)
    scaled = (codes - codes.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    return umap_layout(scaled, seed=seed), ("UMAP 1", "UMAP 2")


def _annotation_texts(
    annotations: Sequence[Any] | Mapping[int, Any] | None, num: int
) -> Mapping[int, Any]:
    """Return the text beside each annotated point."""
    if isinstance(annotations, Mapping):
        wrong = [i for i in annotations if not -num <= i < num]
        if wrong:
            raise ParameterError(f"There is no code {wrong[0]} to annotate. There are {num} codes.")
        return annotations
    if annotations is None:
        return {}
    check_one_each(len(annotations), "annotations", num, "codes")
    return {i: text for i, text in enumerate(annotations) if text is not None}


def _most_moved(decoded: Sequences) -> int | None:
    """Return the numeric column that differs most between sequences, relative to its spread."""
    numeric = np.flatnonzero(decoded.schema.numeric)
    if not len(numeric):
        return None
    common = int(decoded.lengths.min())
    if common == 0:
        return int(numeric[0])
    steps = decoded.offsets[:-1, None] + np.arange(common)
    values = decoded.values[steps][:, :, numeric].astype(float)
    between = values.std(axis=0).mean(axis=0)
    return int(numeric[np.argmax(between / np.maximum(values.std(axis=(0, 1)), 1e-12))])
