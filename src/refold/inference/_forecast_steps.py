"""Forecasts in the units of the data, and the split of sequences into past and future."""

import numpy as np

from refold.inference._encode_decode import FittedNetwork, encode, forecast
from refold.sequences import Scaler, Sequences, split_at


def split_last(sequences: Sequences, steps: int) -> tuple[np.ndarray, Sequences, Sequences]:
    """Split off the last ``steps`` steps of each sequence that has more.

    Returns
    -------
    rows : array of int
        Indices of the sequences that were split.
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
    before: Sequences, network: FittedNetwork, scaler: Scaler, *, verbose: int = 0
) -> Sequences:
    """Forecast the steps after sequences, in the units of the data.

    The codes are the encoder's, without latent optimization. Optimized codes fit the past better,
    but the forecaster was not trained on them: errors were 6 to 22 % larger.

    Parameters
    ----------
    before : Sequences
    network : FittedNetwork
        A network with a forecaster.
    scaler : Scaler
    verbose : int

    Returns
    -------
    Sequences
        Forecasts, with as many steps as the network forecasts.
    """
    codes = encode(scaler.transform(before), network, verbose=verbose)
    ahead = scaler.inverse_transform(forecast(codes, before.schema, network), None)
    return ahead.with_ids(before.ids)
