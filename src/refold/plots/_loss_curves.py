"""Figure of the losses by epoch."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes

from refold.plots._draw import draw
from refold.plots.charts import loss_chart


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

    Raises
    ------
    ParameterError
        If the history has no loss.

    Examples
    --------
    >>> ax = loss_curves({"loss": [1.0, 0.5, 0.4], "val_loss": [1.1, 0.6, 0.7]})
    >>> ax.get_xlabel(), ax.get_ylabel()
    ('epoch', 'loss')
    """
    return draw(loss_chart(history, initial_loss), ax)
