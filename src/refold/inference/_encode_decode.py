"""Encoding and decoding with a network: padding, batching, and outputs to values.

All values are in scaled units; the estimator scales them and checks the user's input.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from refold._support.compilation import keep_compiled
from refold._support.progress_bars import progress_bar
from refold.models import (
    Network,
    decode_autoregressively,
    gumbel_max,
    gumbel_noise,
    optimize_latents,
    predict,
    rocket_extractor,
)
from refold.sequences import Schema, Sequences, pad

__all__ = [
    "Draw",
    "decode",
    "describe",
    "encode",
    "forecast",
    "predict_lengths",
]

# Maximum number of steps in a batch, if a step has at most `_WIDTH` outputs.
_STEPS = 16384
# Number of outputs above which a batch has fewer steps.
_WIDTH = 256
# Maximum number of sequences in a batch.
_MOST_ROWS = 1024
# Sizes of smaller batches.
_SIZES = (8, 64, 512)
# Minimum padded length.
_SHORTEST = 8
# Minimum number of batches for a progress bar.
_MANY = 20


class Draw(NamedTuple):
    """Temperature, above 0, and seed for sampling categories and binary values."""

    temperature: float
    seed: int


def encode(
    scaled: Sequences, network: Network, *, latent_steps: int = 0, verbose: int = 0
) -> np.ndarray:
    """Encode sequences, in batches of similar length.

    Parameters
    ----------
    scaled : Sequences
    network : Network
    latent_steps : int
        Number of steps of latent optimization.
    verbose : int
        1 shows progress if there are many batches.

    Returns
    -------
    array of float32 of shape (n_sequences, latent_dim)
    """
    codes = np.empty((len(scaled), network.specification.latent_dim), np.float32)
    encoder = network.models.encoder
    lengths, only = scaled.lengths, network.fixed_steps
    for batch in _batches(lengths, network, "encode", only=only, verbose=verbose):
        x, y = pad(scaled, batch.rows, batch.num_steps, flags=network.specification.observed_flags)
        x = _fill_rows(x, batch, np.nan)
        if not network.reads_padding:
            x = np.nan_to_num(x, nan=0.0)
        encoded = predict(encoder, x)
        if latent_steps:
            y, steps = _fill_rows(y, batch, np.nan), _fill_rows(lengths[batch.rows], batch, 0)
            encoded = optimize_latents(network, encoded, x, y, steps, latent_steps)
        codes[batch.rows] = encoded[: len(batch.rows)]
    return codes


def describe(scaled: Sequences, network: Network) -> np.ndarray:
    """Compute the ROCKET features of sequences.

    Parameters
    ----------
    scaled : Sequences
    network : Network

    Returns
    -------
    array of float32 of shape (n_sequences, n_features)
    """
    model = rocket_extractor(network)
    features = np.empty((len(scaled), model.output_shape[-1]), np.float32)
    for batch in _batches(scaled.lengths, network, "features"):
        x, _ = pad(scaled, batch.rows, batch.num_steps, flags=network.specification.observed_flags)
        features[batch.rows] = predict(model, _fill_rows(x, batch, np.nan))[: len(batch.rows)]
    return features


def decode(
    codes: np.ndarray,
    lengths: np.ndarray,
    schema: Schema,
    network: Network,
    *,
    draw: Draw | None = None,
    verbose: int = 0,
) -> Sequences:
    """Decode codes to sequences of the given lengths, in batches of similar length.

    Parameters
    ----------
    codes : array of shape (n_sequences, latent_dim)
    lengths : array of int of shape (n_sequences,)
    schema : Schema
        Schema of the result.
    network : Network
    draw : Draw, optional
        How to sample categories and binary values; by default, the likeliest are taken.
    verbose : int
        1 shows progress if there are many batches.

    Returns
    -------
    Sequences
        Scaled means of numeric columns, the likelier of 0 and 1, and the likeliest category.
    """
    specification = network.specification
    columns = specification.column_types, specification.num_categories
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    values = np.empty((offsets[-1], schema.num_columns), np.float32)
    for batch in _batches(lengths, network, "decode", verbose=verbose):
        real = np.arange(batch.num_steps) < lengths[batch.rows][:, None]
        given = _fill_rows(codes[batch.rows], batch, 0.0)
        noise = None
        if draw is not None:
            seed = [draw.seed, int(batch.rows[0])]
            noise = gumbel_noise((len(given), batch.num_steps), *columns, seed=seed)
        if network.autoregressive:
            stop = int(lengths[batch.rows].max())
            sampling = {} if draw is None else {"noise": noise, "temperature": draw.temperature}
            outputs = decode_autoregressively(
                network.models.decoder, given, batch.num_steps, stop=stop, **sampling
            )
        else:
            # steps after the length of a sequence are padding, which is not computed
            template = np.where(real, np.float32(0), np.float32(np.nan))[..., None]
            outputs = predict(network.models.unroll, given, _fill_rows(template, batch, np.nan))
            if draw is not None:
                outputs = np.asarray(gumbel_max(outputs, noise, draw.temperature, *columns))
        places = (offsets[:-1][batch.rows][:, None] + np.arange(batch.num_steps))[real]
        values[places] = _to_values(outputs[: len(batch.rows)][real], schema)
    return Sequences(values, offsets, schema=schema)


def forecast(codes: np.ndarray, schema: Schema, network: Network) -> Sequences:
    """Forecast the steps after the sequences of codes.

    Parameters
    ----------
    codes : array of shape (n_sequences, latent_dim)
    schema : Schema
        Schema of the result.
    network : Network
        A network with a forecaster.

    Returns
    -------
    Sequences
        Values as in ``decode``, with as many steps as the network forecasts.
    """
    model: Any = network.forecaster
    steps = network.specification.forecast_steps
    values = np.empty((len(codes), steps, schema.num_columns), np.float32)
    for batch in _batches(np.full(len(codes), steps), network, "forecast"):
        outputs = predict(model, _fill_rows(codes[batch.rows], batch, 0.0))[: len(batch.rows)]
        flat = _to_values(outputs.reshape(-1, outputs.shape[-1]), schema)
        values[batch.rows] = flat.reshape(len(batch.rows), steps, -1)
    offsets = np.arange(len(codes) + 1) * steps
    return Sequences(values.reshape(-1, schema.num_columns), offsets, schema=schema)


def predict_lengths(codes: np.ndarray, network: Network) -> np.ndarray:
    """Predict the length of each sequence from its code.

    Parameters
    ----------
    codes : array of shape (n_sequences, latent_dim)
    network : Network

    Returns
    -------
    array of int of shape (n_sequences,)
        From 0 to twice the longest training length, or to the network's maximum if it has one.
    """
    location = np.empty(len(codes))
    for batch in _batches(np.ones(len(codes), np.int64), network, "lengths"):
        predicted = predict(network.length, _fill_rows(codes[batch.rows], batch, 0.0))
        location[batch.rows] = predicted[: len(batch.rows), 0]
    longest = network.most_steps or 2 * network.specification.max_steps
    return np.clip(np.rint(location), 0, longest).astype(np.int64)


class _Batch(NamedTuple):
    rows: np.ndarray
    num_steps: int
    batch_size: int


def _batches(
    lengths: np.ndarray,
    network: Network,
    what: str,
    *,
    only: int | None = None,
    verbose: int = 0,
) -> Iterator[_Batch]:
    """Split sequences into batches of similar length, with few different shapes.

    The padded lengths are the longest training length multiplied by powers of two, and the batch
    sizes are powers of 8, so that compiled code can be reused for all data. Sequences that fit into
    one batch are padded to the longest of them, because padding costs less than compiling another
    shape.
    """
    # many categories make each step wide
    most_steps = _STEPS * _WIDTH // max(_WIDTH, network.specification.num_outputs)
    by_length = np.argsort(lengths, kind="stable")
    steps = _padded_lengths(lengths[by_length], network.specification.max_steps, only)
    longest = int(steps.max(initial=1))
    if len(steps) <= _most_rows(longest, most_steps):
        steps = np.full_like(steps, longest)
    keep_compiled()
    batches = []
    for num_steps in np.unique(steps):
        rows = by_length[steps == num_steps]
        most = _most_rows(int(num_steps), most_steps)
        for start in range(0, len(rows), most):
            chosen = rows[start : start + most]
            size = next((n for n in _SIZES if len(chosen) <= n < most), most)
            batches.append(_Batch(chosen, int(num_steps), size))
    shown = verbose and len(batches) >= _MANY
    with progress_bar(disable=not shown) as bar:
        yield from bar.track(batches, description=what)


def _most_rows(num_steps: int, most_steps: int) -> int:
    return max(1, min(_MOST_ROWS, most_steps // num_steps))


def _padded_lengths(lengths: np.ndarray, longest: int, only: int | None) -> np.ndarray:
    if only is not None:
        return np.full(len(lengths), only)
    wanted = np.maximum(lengths, min(_SHORTEST, longest))
    return np.ceil(longest * np.exp2(np.ceil(np.log2(wanted / longest)))).astype(np.int64)


def _fill_rows(array: np.ndarray, batch: _Batch, value: float) -> np.ndarray:
    """Fill an array with rows of ``value`` up to the batch size."""
    missing = batch.batch_size - len(array)
    if missing == 0:
        return array
    filling = np.full((missing, *array.shape[1:]), value, array.dtype)
    return np.concatenate([array, filling])


def _to_values(outputs: np.ndarray, schema: Schema) -> np.ndarray:
    values = np.empty((len(outputs), schema.num_columns), np.float32)
    start = 0
    for i, column in enumerate(schema.columns):
        block = outputs[:, start : start + column.width]
        if column.type == "categorical":
            values[:, i] = block.argmax(axis=1) if len(block) else 0
        elif column.type == "binary":
            values[:, i] = block[:, 0] > 0.5
        else:
            values[:, i] = block[:, 0]
        start += column.width
    return values
