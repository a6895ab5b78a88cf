"""Figures of lengths, losses and errors."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import ArrayLike

from refold._support.argument_checks import check_array, check_kind, check_one_each, check_some
from refold.errors import DataError
from refold.evaluation import ErrorCurve, GroupErrors
from refold.plots import charts
from refold.plots._matplotlib import draw
from refold.plots.charts import ColumnGroup


def lengths(lengths: ArrayLike, ax: Axes | None = None) -> Axes:
    """Draw a histogram of sequence lengths.

    Parameters
    ----------
    lengths : array of int of shape (n_sequences,)
        Such as `Sequences.lengths`.
    ax : matplotlib.axes.Axes, optional
        Axes to draw on; by default of a new figure.

    Returns
    -------
    matplotlib.axes.Axes

    Examples
    --------
    >>> ax = lengths([3, 5, 5])
    >>> [int(bar.get_height()) for bar in ax.patches]
    [1, 0, 2]
    """
    return draw(charts.length_chart(lengths), ax, size=(6.0, 3.0))


def loss_curves(
    history: Mapping[str, Sequence[Any]],
    ax: Axes | None = None,
    *,
    initial_loss: float | None = None,
) -> Axes:
    """Draw the training and the validation loss by epoch, and mark the best epoch.

    A refit, which trains the network again on all data, has its own dotted curve, from epoch 1 on.

    Parameters
    ----------
    history : mapping of str to list of float
        ``history_`` of an estimator, or ``history.history`` of Keras: ``loss``, and ``val_loss``,
        ``epoch`` and ``phase`` if present.
    ax : matplotlib.axes.Axes, optional
        Axes to draw on; by default of a new figure.
    initial_loss : float, optional
        Validation loss of the initialization: ``initial_loss_`` of an estimator. It is marked at
        epoch 0, and can be the best.

    Returns
    -------
    matplotlib.axes.Axes

    Examples
    --------
    >>> ax = loss_curves({"loss": [1.0, 0.5, 0.4], "val_loss": [1.1, 0.6, 0.7]})
    >>> ax.get_xlabel(), ax.get_ylabel()
    ('epoch', 'loss')
    """
    return draw(charts.loss_chart(history, initial_loss), ax)


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

    Examples
    --------
    >>> ax = error_by_feature({"Refold": [0.1, 0.2], "PCA": [0.2, 0.3]}, ["height", "speed"])
    >>> [text.get_text() for text in ax.get_yticklabels()]
    ['height', 'speed']
    """
    check_kind("errors", errors, "a mapping of methods to errors", "items")
    check_kind("names", names, "a list of names of features", "__len__")
    if not errors or not len(names):
        raise DataError("There is no error to draw. Pass at least one method and one feature.")
    for method, values in errors.items():
        number = len(check_array("errors", values, ("n_features",)))
        check_one_each(number, f"errors of {method}", len(names), "features")
    chart = charts.feature_error_bars(errors, names, column_type)
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
    return draw(charts.length_error_bars(groups, column_type), ax)


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
    return draw(charts.position_error_lines(groups, column_type), ax)


def error_by_size(curve: ErrorCurve, ax: Axes | None = None) -> Axes:
    """Draw the held-out error of Refold and of PCA by code size.

    Parameters
    ----------
    curve : ErrorCurve
        Output of `refold.error_curve`.
    ax : matplotlib.axes.Axes, optional
        Axes to draw on; by default of a new figure.

    Returns
    -------
    matplotlib.axes.Axes

    Examples
    --------
    >>> from refold import ErrorCurve
    >>> curve = ErrorCurve((2, 4, 8), (0.4, 0.2, 0.1), (0.5, 0.3, 0.12), "NMSE", 100, 10)
    >>> ax = error_by_size(curve)
    >>> ax.get_xlabel(), ax.get_ylabel()
    ('latent dimensions', 'held-out error (NMSE)')
    """
    check_kind("curve", curve, "the output of refold.error_curve", "sizes")
    check_some(len(curve.sizes), "size", "to draw")
    errors = {"PCA, given the lengths": curve.pca, "Refold": curve.errors}
    ax = draw(charts.size_chart(curve.sizes, errors, curve.measure), ax)
    ax.set_xscale("log", base=2)
    ax.set_xticks(curve.sizes, [str(size) for size in curve.sizes])
    ax.set_xticks([], minor=True)
    return ax


def _check_groups(groups: Mapping[str, GroupErrors]) -> None:
    check_kind("groups", groups, "a mapping of methods to GroupErrors", "items")
    check_some(len(groups), "method", "to draw errors of")
    for group in groups.values():
        check_kind("groups", group, "a mapping of methods to GroupErrors", "first")
    first = next(iter(groups.values()))
    for method, group in groups.items():
        if group.first.tolist() != first.first.tolist():
            raise DataError(f"The groups of {method} differ. Pass errors of the same sequences.")
