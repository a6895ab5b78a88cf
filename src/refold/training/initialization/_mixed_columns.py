"""A linear code of numbers and symbols together, and the best way back from it to both."""

from typing import Any

import numpy as np

from refold.sequences import Column, Schema, Sequences
from refold.training.data._corruption import Corruption
from refold.training.initialization._numeric_columns import (
    LinearInitialization,
    linear_initialization,
    padded_inputs,
)
from refold.training.initialization._one_hot import Symbols, one_hot
from refold.training.initialization._token_logits import (
    credence,
    frequencies,
    left_out,
    likeliest_factor,
    logits,
)

__all__ = ["mixed_initialization"]


def mixed_initialization(
    scaled: Sequences,
    latent_dim: int,
    num_steps: int,
    *,
    seed: int,
    corruption: Corruption = Corruption(),  # noqa: B008
) -> LinearInitialization:
    """Find the principal components of numbers beside one-hot symbols, and the best way back.

    Numeric columns are decoded as in `linear_initialization`. For categorical columns that
    regression gives probabilities; what it adds to their frequencies is counted in logits, as in
    `token_initialization`.

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
    LinearInitialization
        Of as many numbers a step as the columns have labels, or 1; ``left`` of symbols is 1, and
        in ``share`` they count as one-hot columns.

    Examples
    --------
    >>> from refold.sequences import as_sequences
    >>> heights = np.linspace(-1.0, 0.9, 20)
    >>> rows = [[[height, "high" if height > 0 else "low"]] * 3 for height in heights]
    >>> data = as_sequences([np.array(one, dtype=object) for one in rows])
    >>> start = mixed_initialization(data, 1, 3, seed=0)
    >>> start.decoder.shape, bool(start.share < 0.5)
    ((1, 3, 3), True)
    """
    wide, is_symbol = _wide(scaled)
    place = np.flatnonzero(is_symbol)
    columns = list(range(len(is_symbol)))
    settings: dict[str, Any] = {"seed": seed, "corruption": corruption, "noiseless": place.tolist()}
    start = linear_initialization(wide, columns, latent_dim, num_steps, **settings)
    symbols = one_hot(_symbols_of(scaled), num_steps)
    kept, held = left_out(len(scaled), seed)
    factor = 0.0
    if len(held):
        part = linear_initialization(wide[kept], columns, latent_dim, num_steps, **settings)
        given = padded_inputs(wide[held], columns, num_steps, **settings).given
        codes = np.einsum("ntc,tcd->nd", given, part.encoder) + part.encoder_bias
        written = _beyond(part, symbols.take(kept), place)
        factor, _ = likeliest_factor(symbols.take(held), codes, *written)
    frequency, slope, offset = _beyond(start, symbols, place)
    decoder, bias, left = start.decoder.copy(), start.decoder_bias.copy(), start.left.copy()
    decoder[..., place] = factor * slope
    bias[:, place] = logits(frequency, symbols.labels) + factor * offset
    left[place] = 1.0
    return start._replace(decoder=decoder, decoder_bias=bias, left=left)


def _beyond(
    start: LinearInitialization, symbols: Symbols, place: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return frequencies, and slope and offset of what a start says beyond them."""
    frequency, share = frequencies(symbols), credence(symbols)
    offset = start.decoder_bias[:, place] - frequency
    return frequency, share * start.decoder[..., place], share * offset


def _wide(scaled: Sequences) -> tuple[Sequences, np.ndarray]:
    """Return numbers beside one-hot symbols, all as numbers, and which columns are symbols."""
    parts, is_symbol = [], []
    for i, column in enumerate(scaled.schema.columns):
        values = scaled.values[:, [i]]
        if column.type == "categorical":
            ones = (values == np.arange(len(column.categories))).astype(float)
            values = np.where(values < len(column.categories), ones, np.nan)
        parts.append(values)
        is_symbol += [column.type != "numeric"] * values.shape[1]
    schema = Schema(tuple(Column(f"{i}", "numeric") for i in range(len(is_symbol))))
    return Sequences(np.hstack(parts), scaled.offsets, schema=schema), np.array(is_symbol)


def _symbols_of(scaled: Sequences) -> Sequences:
    chosen = np.flatnonzero(~scaled.schema.numeric)
    schema = Schema(tuple(scaled.schema.columns[i] for i in chosen))
    return Sequences(scaled.values[:, chosen], scaled.offsets, schema=schema)
