"""Figure of the losses by epoch."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from refold.errors import ParameterError
from refold.plots._style import ACCENT, CONTRAST, MUTED, PALETTE, new_axes, tidy, whole_numbers

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["loss_curves"]


def loss_curves(
    history: Mapping[str, Sequence[Any]], ax: "Axes | None" = None, *, start: float | None = None
) -> "Axes":
    """Draw the training and the validation loss by epoch, and mark the best epoch.

    A refit, which trains the network again on all data, has its own thin curve, from epoch 1 on.

    Parameters
    ----------
    history : mapping of str to list of float
        ``history_`` of an estimator, or ``history.history`` of Keras: ``loss``, and ``val_loss``,
        ``epoch`` and ``phase`` if present.
    ax : matplotlib.axes.Axes, optional
        Axes to draw on; by default of a new figure.
    start : float, optional
        Validation loss of the initialization: ``start_loss_`` of an estimator. It is marked at
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
    losses, validation = (_numbers(history.get(name, ())) for name in ("loss", "val_loss"))
    num_epochs = max(len(losses), len(validation))
    if num_epochs == 0:
        raise ParameterError(
            f"history must have the losses under 'loss'. Got the keys {sorted(history)}."
        )
    epochs = _numbers(history.get("epoch", np.arange(1, num_epochs + 1)))
    refit = np.array(history.get("phase", ["validated"] * num_epochs)) == "refit"
    ax = new_axes(ax)
    for curve, rows, label, style in (
        (losses, ~refit, "training", {"color": MUTED, "linewidth": 1.8}),
        (losses, refit, "refit on all data", {"color": MUTED, "linewidth": 0.9}),
        (validation, ~refit, "validation", {"color": ACCENT, "linewidth": 1.8}),
    ):
        chosen = np.flatnonzero(rows[: len(curve)])
        if np.isfinite(curve[chosen]).any():
            ax.plot(epochs[chosen], curve[chosen], label=label, **style)
    if start is not None:
        label = f"linear initialization: {start:.3g}"
        ax.plot(0, start, "D", color=PALETTE[2], markersize=5, label=label)
    if np.isfinite(validation).any():
        best = int(np.nanargmin(validation))
        place = (epochs[best], validation[best])
        if start is not None and start <= place[1]:
            place = (0, start)
        style = {"color": CONTRAST, "markersize": 9, "markerfacecolor": "none"}
        ax.plot(*place, "o", label=f"best: {place[1]:.3g}", markeredgewidth=1.8, **style)
    drawn = np.concatenate(
        [curve[np.isfinite(curve)] for curve in (losses, validation, _numbers([start]))]
    )
    if drawn.size and drawn.min() > 0 and drawn.max() > 3 * drawn.min():
        ax.set_yscale("log")
    ax.set_xlabel("epoch")
    ax.set_ylabel("loss")
    whole_numbers(ax)
    ax.legend(frameon=False)
    tidy(ax, grid="y")
    return ax


def _numbers(values: Sequence[Any] | np.ndarray) -> np.ndarray:
    return np.array([np.nan if value is None else value for value in values], dtype=float)
