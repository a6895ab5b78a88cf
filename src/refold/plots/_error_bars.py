"""Figures of errors by feature, by length and by position."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from refold.errors import DataError
from refold.plots._style import ACCENT, MUTED, PALETTE, new_axes, tidy, whole_numbers

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from refold.evaluation import GroupErrors

__all__ = ["error_by_feature", "error_by_length", "error_by_position"]

Kind = Literal["numeric", "symbols"]
NAMES = {
    "numeric": "squared error (1: the variance)",
    "symbols": "share of wrong values",
}
COLOURS = (ACCENT, MUTED, *PALETTE[1:])


def error_by_feature(
    errors: Mapping[str, np.ndarray],
    names: Sequence[str],
    ax: "Axes | None" = None,
    *,
    kind: Kind = "numeric",
) -> "Axes":
    """Draw the error of each feature as bars, with methods side by side.

    Parameters
    ----------
    errors : mapping of str to array of shape (n_features,)
        Errors by method, such as ``{"Refold": errors_by_feature(...), "PCA": ...}``.
    names : sequence of str
        Names of the features.
    ax : matplotlib.axes.Axes, optional
        Axes to draw on; by default of a new figure.
    kind : {"numeric", "symbols"}, default="numeric"
        Type of the errors: squared errors, or shares of wrong values.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    DataError
        If there is no method, or not one error per feature.

    Examples
    --------
    >>> ax = error_by_feature({"Refold": [0.1, 0.2], "PCA": [0.2, 0.3]}, ["height", "speed"])
    >>> [text.get_text() for text in ax.get_yticklabels()]
    ['height', 'speed']
    """
    _check(errors, len(names))
    ax = new_axes(ax, size=(6.0, max(2.2, 0.8 + 0.3 * len(names))))
    place, thick = np.arange(len(names)), 0.8 / len(errors)
    for i, (method, values) in enumerate(errors.items()):
        shift = (i - (len(errors) - 1) / 2) * thick
        colour = COLOURS[i % len(COLOURS)]
        ax.barh(place + shift, np.nan_to_num(values), 0.92 * thick, color=colour, label=method)
    ax.set_yticks(place, [str(name) for name in names])
    ax.invert_yaxis()
    ax.set_xlabel(NAMES[kind])
    _legend(ax)
    tidy(ax, grid="x")
    return ax


def error_by_length(
    groups: "Mapping[str, GroupErrors]", ax: "Axes | None" = None, *, kind: Kind = "numeric"
) -> "Axes":
    """Draw the error of sequences of similar length, with methods side by side.

    Parameters
    ----------
    groups : mapping of str to GroupErrors
        Output of `refold.evaluation.errors_by_length` by method, for the same sequences.
    ax : matplotlib.axes.Axes, optional
        Axes to draw on; by default of a new figure.
    kind : {"numeric", "symbols"}, default="numeric"
        Errors of the numeric columns, or of the others.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    DataError
        If there is no method, or the methods have different groups.

    Examples
    --------
    >>> from refold.evaluation import errors_by_length
    >>> x = [[1.0, 2.0], [3.0, 1.0, 2.0]]
    >>> from refold.sequences import Sequences
    >>> ax = error_by_length({"Refold": errors_by_length(Sequences.from_list(x), x)})
    >>> [text.get_text() for text in ax.get_xticklabels()]
    ['2', '3']
    """
    first = _check_groups(groups)
    ax = new_axes(ax)
    place, wide = np.arange(len(first.first)), 0.8 / len(groups)
    for i, (method, found) in enumerate(groups.items()):
        shift = (i - (len(groups) - 1) / 2) * wide
        colour = COLOURS[i % len(COLOURS)]
        values = np.nan_to_num(getattr(found, kind))
        ax.bar(place + shift, values, 0.92 * wide, color=colour, label=method)
    ax.set_xticks(place, first.names)
    ax.set_xlabel("steps in the sequence")
    ax.set_ylabel(NAMES[kind])
    _legend(ax)
    tidy(ax, grid="y")
    return ax


def error_by_position(
    groups: "Mapping[str, GroupErrors]", ax: "Axes | None" = None, *, kind: Kind = "numeric"
) -> "Axes":
    """Draw the error along the sequence, one line per method.

    Parameters
    ----------
    groups : mapping of str to GroupErrors
        Output of `refold.evaluation.errors_by_position` by method, for the same sequences.
    ax : matplotlib.axes.Axes, optional
        Axes to draw on; by default of a new figure.
    kind : {"numeric", "symbols"}, default="numeric"
        Errors of the numeric columns, or of the others.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    DataError
        If there is no method, or the methods have different groups.

    Examples
    --------
    >>> from refold.evaluation import errors_by_position
    >>> from refold.sequences import Sequences
    >>> words = Sequences.from_list(["abba", "cab"])
    >>> errors = errors_by_position(words, ["abbb", "cab"])
    >>> error_by_position({"Refold": errors}, kind="symbols").get_xlabel()
    'step'
    """
    first = _check_groups(groups)
    ax = new_axes(ax)
    middle = (first.first + first.last) / 2
    for i, (method, found) in enumerate(groups.items()):
        colour = COLOURS[i % len(COLOURS)]
        marker = "o" if len(middle) == 1 else None
        values = getattr(found, kind)
        ax.plot(middle, values, color=colour, linewidth=1.8, marker=marker, label=method)
    ax.set_ylim(bottom=0)
    ax.set_xlabel("step")
    ax.set_ylabel(NAMES[kind])
    whole_numbers(ax)
    _legend(ax)
    tidy(ax, grid="y")
    return ax


def _check(errors: Mapping[str, Any], num: int) -> None:
    if not errors or not num:
        raise DataError("There is no error to draw. Pass at least one method and one feature.")
    for method, values in errors.items():
        if len(values) != num:
            raise DataError(f"Got {len(values)} errors of {method} for {num} features.")


def _check_groups(groups: "Mapping[str, GroupErrors]") -> "GroupErrors":
    if not groups:
        raise DataError("There is no error to draw. Pass at least one method.")
    first = next(iter(groups.values()))
    for method, found in groups.items():
        if found.first.tolist() != first.first.tolist():
            raise DataError(f"The groups of {method} differ. Pass errors of the same sequences.")
    return first


def _legend(ax: "Axes") -> None:
    if len(ax.get_legend_handles_labels()[0]) > 1:
        ax.legend(frameon=False, fontsize="small")
