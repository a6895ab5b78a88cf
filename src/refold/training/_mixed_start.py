"""A linear code of numbers and symbols together, and the best way back from it to both."""

import functools

import numpy as np

from refold.sequences import Column, Schema, Sequences, positions
from refold.training._corruption import Corruption
from refold.training._linear_start import LinearStart, linear_start
from refold.training._one_hot import one_hot
from refold.training._symbol_logits import frequencies, left_out, likeliest_factor, logits

__all__ = ["mixed_start"]


def mixed_start(
    scaled: Sequences,
    latent_dim: int,
    num_steps: int,
    *,
    seed: int,
    corruption: Corruption = Corruption(),  # noqa: B008
) -> LinearStart:
    """Find the principal components of numbers beside one-hot symbols, and the best way back.

    Numbers come back as in `linear_start`; of symbols, what comes back there is a probability,
    and what it says beyond their frequency is counted in their logits as in `symbol_start`.

    Parameters
    ----------
    scaled : Sequences
        Of numeric columns, standardised, and others, of those that are trained on.
    latent_dim, num_steps : int
        Width of the code, and steps that have weights.
    seed : int
        Of the components, of the sequences that are left out, and of the corruption.
    corruption : Corruption, optional
        What is done to inputs.

    Returns
    -------
    LinearStart
        Of as many numbers a step as the columns have labels, or 1.

    Examples
    --------
    >>> from refold.sequences import as_sequences
    >>> heights = np.linspace(-1.0, 0.9, 20)
    >>> rows = [[[height, "high" if height > 0 else "low"]] * 3 for height in heights]
    >>> data = as_sequences([np.array(one, dtype=object) for one in rows])
    >>> start = mixed_start(data, 1, 3, seed=0)
    >>> start.decoder.shape, bool(start.share < 0.5)
    ((1, 3, 3), True)
    """
    wide, is_symbol = _wide(scaled)
    place = np.flatnonzero(is_symbol)
    fit = functools.partial(
        linear_start,
        columns=list(range(len(is_symbol))),
        latent_dim=latent_dim,
        num_steps=num_steps,
        seed=seed,
        corruption=corruption,
        noiseless=place.tolist(),
    )
    start = fit(wide)
    symbols = one_hot(_symbols_of(scaled), num_steps)
    kept, held = left_out(len(scaled), seed)
    factor = 0.0
    if len(held):
        part, frequency = fit(wide[kept]), frequencies(symbols.take(kept))
        codes = _codes(part, wide[held], num_steps)
        slope, offset = part.decoder[..., place], part.decoder_bias[:, place] - frequency
        factor, _ = likeliest_factor(symbols.take(held), codes, frequency, slope, offset)
    frequency = frequencies(symbols)
    beyond = start.decoder_bias[:, place] - frequency
    start.decoder[..., place] *= factor
    start.decoder_bias[:, place] = logits(frequency, symbols.labels) + factor * beyond
    start.left[place] = 1.0
    return start


def _wide(scaled: Sequences) -> tuple[Sequences, np.ndarray]:
    """Return numbers beside one-hot symbols, all as numbers, and which columns are symbols."""
    parts, is_symbol = [], []
    for i, column in enumerate(scaled.schema.columns):
        values = scaled.values[:, [i]]
        if column.kind == "categorical":
            ones = (values == np.arange(len(column.labels))).astype(float)
            values = np.where(values < len(column.labels), ones, np.nan)
        parts.append(values)
        is_symbol += [column.kind != "numeric"] * values.shape[1]
    schema = Schema(tuple(Column(f"{i}", "numeric") for i in range(len(is_symbol))))
    return Sequences(np.hstack(parts), scaled.offsets, schema=schema), np.array(is_symbol)


def _symbols_of(scaled: Sequences) -> Sequences:
    chosen = np.flatnonzero(~scaled.schema.numeric)
    schema = Schema(tuple(scaled.schema.columns[i] for i in chosen))
    return Sequences(scaled.values[:, chosen], scaled.offsets, schema=schema)


def _codes(start: LinearStart, wide: Sequences, num_steps: int) -> np.ndarray:
    row, step = positions(wide)
    within = step < num_steps
    padded = np.zeros((len(wide), num_steps, wide.schema.num_columns))
    padded[row[within], step[within]] = np.nan_to_num(wide.values[within])
    return np.einsum("ntc,tcd->nd", padded, start.encoder) + start.encoder_bias
