"""Figure of a sequence and its forecast."""

import numpy as np
from matplotlib.axes import Axes

from refold._support.argument_checks import check_kind
from refold.errors import DataError
from refold.model import Forecast, SequencesLike
from refold.plots._reconstructions import most_varied
from refold.plots._style import ACCENT, MUTED, PALETTE, legend_above, new_axes, tidy, whole_numbers
from refold.sequences import as_sequences


def forecast(
    series: SequencesLike,
    ahead: Forecast,
    ax: Axes | None = None,
    *,
    truth: SequencesLike | None = None,
    index: int = 0,
) -> Axes:
    """Draw a sequence and its forecast, with the bounds as a band.

    Of more than four numeric columns, the four with the largest variance are drawn.

    Parameters
    ----------
    series : Sequences, list or array
        Sequences that were passed to ``forecast``.
    ahead : Forecast
        Output of ``SequenceAutoencoder.forecast``.
    ax : matplotlib.axes.Axes, optional
        Axes to draw on; by default of a new figure.
    truth : Sequences, list or array, optional
        True values of the forecast steps, if they are known: one sequence for each of ``series``.
    index : int, default=0
        Index of the sequence to draw.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    DataError
        If there is no such sequence, not one forecast for each sequence, or no numeric column.

    Examples
    --------
    >>> import refold
    >>> sines = refold.datasets.noisy_sines(40, seed=0, max_steps=30)
    >>> ae = refold.SequenceAutoencoder(
    ...     latent_dim=4, forecast_steps=5, units=8, latent_steps=0, max_epochs=2, random_state=0
    ... ).fit(sines)
    >>> len(forecast(sines, ae.forecast(sines), index=2).get_lines())
    3
    """
    check_kind("ahead", ahead, "a Forecast, the output of forecast", "sequences")
    schema = ahead.sequences.schema
    sequences = as_sequences(series).align(schema)
    after = None if truth is None else as_sequences(truth).align(schema)
    counts = {len(part) for part in (sequences, ahead.sequences, after) if part is not None}
    if counts != {len(sequences)} or not -len(sequences) <= index < len(sequences):
        raise DataError(
            f"Expected a forecast for each of {len(sequences)} sequences, and the index of one of "
            f"them. Got {len(ahead.sequences)} forecasts, and index {index}."
        )
    if not schema.numeric.any():
        raise DataError(
            "A forecast without numeric columns cannot be drawn. Print `Forecast.values` instead."
        )
    index = range(len(sequences))[index]
    before, next_ = sequences[[index]], ahead.sequences[[index]]
    shown = most_varied(before) or list(np.flatnonzero(schema.numeric)[:4])
    ax = new_axes(ax, size=(9.0, 3.2))
    past = np.arange(len(before.values))
    future = len(past) + np.arange(len(next_.values))
    for order, column in enumerate(shown):
        colour = PALETTE[order % len(PALETTE)] if len(shown) > 1 else ACCENT
        ax.plot(past, before.values[:, column], color=colour, linewidth=1.1, alpha=0.55)
        if after is not None:
            actual = after[[index]].values[: len(future), column]
            ax.plot(future[: len(actual)], actual, color=colour, linewidth=1.1, alpha=0.55)
        name = schema.names[column]
        # the forecast begins at the last known step, if there is one, to leave no gap
        last = before.values[-1:, column]
        steps = len(past) - len(last) + np.arange(len(last) + len(future))
        values = np.concatenate([last, next_.values[:, column]])
        ax.plot(steps, values, color=colour, linewidth=1.8, label=name)
        if ahead.lower is not None and ahead.upper is not None:
            low, high = (
                np.concatenate([last, bound[index, :, column]])
                for bound in (ahead.lower, ahead.upper)
            )
            ax.fill_between(steps, low, high, color=colour, alpha=0.18, linewidth=0)
    ax.axvline(len(past) - 0.5, color=MUTED, linewidth=0.8, linestyle=":")
    ax.set_xlim(-0.5, max(len(past) + len(future), 1) - 0.5)
    ax.set_xlabel("step")
    bounds = "" if ahead.alpha is None else f"  ·  bounds of {100 * (1 - ahead.alpha):g} %"
    ax.set_title(f"{ahead.ids[index]}{bounds}", fontsize="small", loc="left")
    if len(shown) > 1:
        legend_above(ax)
    whole_numbers(ax)
    tidy(ax)
    return ax
