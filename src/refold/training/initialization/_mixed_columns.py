"""Linear initialization for numeric and token columns together."""

from dataclasses import replace
from typing import Any

import numpy as np

from refold.arguments import Corruption
from refold.sequences import Column, Schema, Sequences
from refold.training.initialization._numeric_columns import (
    LinearInitialization,
    linear_initialization,
    padded_inputs,
)
from refold.training.initialization._token_columns import (
    Tokens,
    frequencies,
    held_out_split,
    likeliest_factor,
    logits,
    one_hot,
    shrinkage,
)


def mixed_initialization(
    scaled: Sequences,
    latent_dim: int,
    num_steps: int,
    *,
    seed: int,
    corruption: Corruption = Corruption(),  # noqa: B008
) -> LinearInitialization:
    """Find joint principal components of numeric and one-hot columns, and their decoding map."""
    # Numeric columns are decoded as in `linear_initialization`. For categorical columns that
    # regression gives probabilities, whose differences from the frequencies are added to logits, as
    # in `token_initialization`.
    wide, is_token = _as_numeric(scaled)
    place = np.flatnonzero(is_token)
    columns = list(range(len(is_token)))
    settings: dict[str, Any] = {"seed": seed, "corruption": corruption, "noiseless": place.tolist()}
    init = linear_initialization(wide, columns, latent_dim, num_steps, **settings)
    chosen = np.flatnonzero(~scaled.schema.numeric)
    schema = Schema(tuple(scaled.schema.columns[i] for i in chosen))
    tokens = one_hot(Sequences(scaled.values[:, chosen], scaled.offsets, schema=schema), num_steps)
    kept, held = held_out_split(len(scaled), seed)
    factor = 0.0
    if len(held):
        part = linear_initialization(wide[kept], columns, latent_dim, num_steps, **settings)
        given = padded_inputs(wide[held], columns, num_steps, **settings).given
        codes = np.einsum("ntc,tcd->nd", given, part.encoder) + part.encoder_bias
        terms = _regression_terms(part, tokens.take(kept), place)
        factor, _ = likeliest_factor(tokens.take(held), codes, *terms)
    frequency, slope, offset = _regression_terms(init, tokens, place)
    decoder, bias, residual = init.decoder.copy(), init.decoder_bias.copy(), init.residual.copy()
    decoder[..., place] = factor * slope
    bias[:, place] = logits(frequency, tokens.num_categories) + factor * offset
    residual[place] = 1.0
    return replace(init, decoder=decoder, decoder_bias=bias, residual=residual)


def _regression_terms(
    init: LinearInitialization, tokens: Tokens, place: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return frequencies, and slope and offset of the regression relative to them."""
    frequency, share = frequencies(tokens), shrinkage(tokens)
    offset = init.decoder_bias[:, place] - frequency
    return frequency, share * init.decoder[..., place], share * offset


def _as_numeric(scaled: Sequences) -> tuple[Sequences, np.ndarray]:
    """Return numeric and one-hot columns as numeric ones, and which of them are one-hot."""
    parts, is_token = [], []
    for i, column in enumerate(scaled.schema.columns):
        values = scaled.values[:, [i]]
        if column.column_type.has_categories:
            ones = (values == np.arange(len(column.categories))).astype(float)
            values = np.where(values < len(column.categories), ones, np.nan)
        parts.append(values)
        is_token += [not column.column_type.is_number] * values.shape[1]
    schema = Schema(tuple(Column(f"{i}", "numeric") for i in range(len(is_token))))
    return Sequences(np.hstack(parts), scaled.offsets, schema=schema), np.array(is_token)
