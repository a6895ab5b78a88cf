"""Figure of the held-out error by code size."""

from typing import Any

from matplotlib.axes import Axes

from refold._support.argument_checks import check_kind, check_some
from refold.evaluation import ErrorCurve
from refold.plots._style import ACCENT, MUTED, new_axes, tidy


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

    Raises
    ------
    DataError
        If the curve has no sizes.

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
    ax = new_axes(ax)
    style: dict[str, Any] = {"marker": "o", "markersize": 4.5, "linewidth": 1.8}
    ax.plot(curve.sizes, curve.pca, label="PCA, given the lengths", color=MUTED, **style)
    ax.plot(curve.sizes, curve.errors, label="Refold", color=ACCENT, **style)
    ax.set_xscale("log", base=2)
    ax.set_xticks(curve.sizes, [str(size) for size in curve.sizes])
    ax.minorticks_off()
    drawn = [*curve.errors, *curve.pca]
    if min(drawn) > 0 and max(drawn) > 10 * min(drawn):
        ax.set_yscale("log")
    else:
        ax.set_ylim(bottom=0)
    ax.set_xlabel("latent dimensions")
    ax.set_ylabel(f"held-out error ({curve.measure})")
    ax.legend(frameon=False)
    tidy(ax, grid="y")
    return ax
