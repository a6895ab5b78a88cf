"""What comes after sequences: the start of a forecaster, and forecasts in the units of the data."""

import numpy as np

from refold._codec import encode, forecast
from refold.models import Network
from refold.sequences import Scaler, Sequences, concatenate, split_at
from refold.training import cut_sequences, next_steps, set_forecast_start

__all__ = ["continued", "split_last", "start_forecast"]

# Sequences at most that a start is a regression on.
_MOST_SEQUENCES = 4096


def start_forecast(network: Network, scaled: Sequences, seed: int) -> None:
    """Give a forecaster its start, by the codes that its network gives now.

    Each sequence is cut twice: before its last steps, and as in training.

    Parameters
    ----------
    network : Network
    scaled : Sequences
        Some that it is trained on.
    seed : int
        Of where they are cut, and which count where there are many.
    """
    if len(scaled) > _MOST_SEQUENCES:
        rng = np.random.default_rng([seed, 0xF0CE])
        scaled = scaled[np.sort(rng.choice(len(scaled), _MOST_SEQUENCES, replace=False))]
    steps = network.specification.forecast_steps
    longer, *last = split_last(scaled, steps)
    drawn = cut_sequences(scaled, steps, seed + 1)
    before, after = (concatenate([a, b]) for a, b in zip(last, drawn, strict=True))
    codes = encode(before, network)
    set_forecast_start(
        network, codes, next_steps(after, steps), np.concatenate([longer, np.arange(len(scaled))])
    )


def split_last(sequences: Sequences, steps: int) -> tuple[np.ndarray, Sequences, Sequences]:
    """Split those sequences before their last steps that have more than those.

    Returns
    -------
    rows : array of int
        Which sequences.
    before, after : Sequences

    Examples
    --------
    >>> from refold.sequences import as_sequences
    >>> rows, before, after = split_last(as_sequences([[0.0], [1.0, 2.0, 3.0]]), 1)
    >>> rows.tolist(), before.lengths.tolist(), after.lengths.tolist()
    ([1], [2], [1])
    """
    rows = np.flatnonzero(sequences.lengths > steps)
    longer = sequences[rows]
    return rows, *split_at(longer, longer.lengths - steps)


def continued(
    before: Sequences, network: Network, scaler: Scaler, *, verbose: int = 0
) -> Sequences:
    """Forecast what comes after sequences, in their own units, from the encoder's own codes.

    A code that was searched for says more of what was, and is one that the forecaster has not
    learned from: errors were 6 to 22 % larger.

    Parameters
    ----------
    before : Sequences
    network : Network
        With a forecaster.
    scaler : Scaler
    verbose : int

    Returns
    -------
    Sequences
        Of as many steps as the network forecasts each.
    """
    codes = encode(scaler.transform(before), network, verbose=verbose)
    ahead = scaler.inverse_transform(forecast(codes, before.schema, network), None)
    return ahead.with_ids(before.ids)
