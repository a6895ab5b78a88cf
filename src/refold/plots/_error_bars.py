"""Figures of errors by feature, by length and by position."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from refold._support.argument_checks import check_array, check_kind, check_one_each, check_some
from refold.errors import DataError
from refold.evaluation import GroupErrors
from refold.plots._draw import draw
from refold.plots.charts import ColumnGroup, error_bars, length_error_bars, position_error_lines


def error_by_feature(
    errors: Mapping[str, np.ndarray],
    names: Sequence[str],
    ax: Axes | None = None,
    *,
    column_type: ColumnGroup = "numeric",
) -> Axes:
    """Draw the error of each feature as bars, with methods side by side.

    Parameters
    ----------
    errors : mapping of str to array of shape (n_features,)
        Errors by method, such as ``{"Refold": errors_by_feature(...), "PCA": ...}``.
    names : sequence of str
        Names of the features.
    ax : matplotlib.axes.Axes, optional
        Axes to draw on; by default of a new figure.
    column_type : {"numeric", "categorical"}, default="numeric"
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
    check_kind("errors", errors, "a mapping of methods to errors", "items")
    check_kind("names", names, "a list of names of features", "__len__")
    _check(errors, len(names))
    chart = error_bars(errors, names, column_type, horizontal=True)
    return draw(chart, ax, size=(6.0, max(2.2, 0.8 + 0.3 * len(names))))


def error_by_length(
    groups: Mapping[str, GroupErrors],
    ax: Axes | None = None,
    *,
    column_type: ColumnGroup = "numeric",
) -> Axes:
    """Draw the error of sequences of similar length, with methods side by side.

    Parameters
    ----------
    groups : mapping of str to GroupErrors
        Output of `refold.evaluation.errors_by_length` by method, for the same sequences.
    ax : matplotlib.axes.Axes, optional
        Axes to draw on; by default of a new figure.
    column_type : {"numeric", "categorical"}, default="numeric"
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
    _check_groups(groups)
    return draw(length_error_bars(groups, column_type), ax)


def error_by_position(
    groups: Mapping[str, GroupErrors],
    ax: Axes | None = None,
    *,
    column_type: ColumnGroup = "numeric",
) -> Axes:
    """Draw the error along the sequence, one line per method.

    Parameters
    ----------
    groups : mapping of str to GroupErrors
        Output of `refold.evaluation.errors_by_position` by method, for the same sequences.
    ax : matplotlib.axes.Axes, optional
        Axes to draw on; by default of a new figure.
    column_type : {"numeric", "categorical"}, default="numeric"
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
    >>> error_by_position({"Refold": errors}, column_type="categorical").get_xlabel()
    'step'
    """
    _check_groups(groups)
    return draw(position_error_lines(groups, column_type), ax)


def _check(errors: Mapping[str, Any], num: int) -> None:
    if not errors or not num:
        raise DataError("There is no error to draw. Pass at least one method and one feature.")
    for method, values in errors.items():
        number = len(check_array("errors", values, ("n_features",)))
        check_one_each(number, f"errors of {method}", num, "features")


def _check_groups(groups: Mapping[str, GroupErrors]) -> None:
    check_kind("groups", groups, "a mapping of methods to GroupErrors", "items")
    check_some(len(groups), "method", "to draw errors of")
    for found in groups.values():
        check_kind("groups", found, "a mapping of methods to GroupErrors", "first")
    first = next(iter(groups.values()))
    for method, found in groups.items():
        if found.first.tolist() != first.first.tolist():
            raise DataError(f"The groups of {method} differ. Pass errors of the same sequences.")
