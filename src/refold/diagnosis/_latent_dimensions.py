"""The effect of each latent dimension, and sequences that are decoded while a dimension changes."""

import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from refold._support.arrays import check_array
from refold._support.messages import pluralize
from refold._support.rules import check, check_counts_match, check_not_empty, integer_rule
from refold.evaluation import errors_by_feature
from refold.model import Model, ModelLike, model_of
from refold.sequences import Sequences

DEVIATIONS = (-2.0, -4 / 3, -2 / 3, 0.0, 2 / 3, 4 / 3, 2.0)
"""Values of a latent dimension in a `decode_sweep`, in standard deviations from its mean."""

# Effects are averaged over at most this many codes. Each code is decoded twice per dimension.
_MAX_SAMPLE_CODES = 32
# Effects are averaged over at least this many codes, because a single one may be unusual.
_MIN_SAMPLE_CODES = 4
# If sequences are large, there are fewer codes, so that at most this many decoded values are in
# memory. The decoded values of `_MIN_SAMPLE_CODES` codes may be more.
_MAX_DECODED_VALUES = 1 << 24


class LatentDimensions(NamedTuple):
    """Variation of each latent dimension, and its effect on the decoded sequence.

    Attributes
    ----------
    names : tuple of str
        ``"0"``, ``"1"``, ...; with ``scale="sequence"``, then the level and spread of each column.
    deviation : array of shape (width,)
        Standard deviation of each dimension over the codes. ``width`` is the size of a code.
    effect : array of shape (width, n_features)
        Change of the decoded sequence if the dimension changes by one standard deviation. For a
        numeric column, it is the mean squared change, in the units of the model's errors. For any
        other column, it is the share of changed entries. At a step that is added or lost, a numeric
        column counts as a change from the training mean, and any other column as changed.
    """

    names: tuple[str, ...]
    deviation: np.ndarray
    effect: np.ndarray

    def __repr__(self) -> str:
        width, num_columns = self.effect.shape
        dimensions, columns = pluralize(width, "dimension"), pluralize(num_columns, "column")
        return f"LatentDimensions({dimensions}, effects on {columns})"

    def to_table(self) -> pa.Table:
        """Return one row per dimension: ``dimension``, ``deviation`` and mean ``effect``."""
        columns = {"deviation": self.deviation, "effect": self.mean_effect}
        return pa.table({"dimension": pa.array(self.names, pa.string()), **columns})

    @property
    def mean_effect(self) -> np.ndarray:
        """Mean effect over the columns, array of shape (width,)."""
        return self.effect.mean(axis=1)

    @property
    def order_by_effect(self) -> np.ndarray:
        """Indices of the dimensions, largest effect first."""
        return np.argsort(-self.mean_effect, kind="stable")


def measure_latent_effects(
    model: ModelLike, codes: np.ndarray, *, seed: int = 0
) -> LatentDimensions:
    """Measure the effect of each latent dimension, by changing it alone and decoding.

    Parameters
    ----------
    model : Model or SequenceAutoencoder
        Fitted model.
    codes : array of shape (n_sequences, width)
        Output of ``transform``. In a random sample of these codes, each dimension is changed up and
        down by its standard deviation.
    seed : int, default=0
        Seed of the sample.

    Examples
    --------
    >>> import refold
    >>> sines = refold.datasets.noisy_sines(40, seed=0, max_steps=30)
    >>> model = refold.SequenceAutoencoder(4, units=8, max_epochs=2, random_state=0).fit(sines)
    >>> measure_latent_effects(model, model.transform(sines)).effect.shape
    (4, 1)
    """
    model, codes = model_of(model), _check_codes_and_cast(codes)
    num_codes, width = codes.shape
    stds = codes.std(axis=0)
    # each dimension of a sampled code is changed up and down, so 2 * width sequences are decoded
    values_per_code = max(1, 2 * width * model.max_training_length * model.schema.output_width)
    max_sampled = min(_MAX_SAMPLE_CODES, _MAX_DECODED_VALUES // values_per_code)
    num_sampled = min(num_codes, max(_MIN_SAMPLE_CODES, max_sampled))
    sampled_rows = np.random.default_rng(seed).choice(num_codes, num_sampled, replace=False)
    sample = codes[np.sort(sampled_rows)]
    # (2 * width, width): each dimension up by its standard deviation, then each dimension down
    shifts = np.concatenate([np.diag(stds), -np.diag(stds)])
    shifted_codes = (sample[None] + shifts[:, None]).reshape(-1, width)
    decoded = _decode_without_warnings(model, np.concatenate([sample, shifted_codes]))
    # effect of each shift; at the end, the effect of a dimension is the mean of its two shifts
    unshifted, effect = decoded[:num_sampled], np.zeros((2 * width, model.schema.num_columns))
    for i in range(2 * width):
        shifted = decoded[num_sampled * (i + 1) : num_sampled * (i + 2)]
        # `errors_by_feature` ignores steps that only its second argument has. So its first argument
        # has the longer sequence of each pair. Then added steps count like lost steps.
        pairs = [sorted(pair, key=len) for pair in zip(unshifted, shifted, strict=True)]
        shorter, longer = zip(*pairs, strict=True)
        longer_sequences = Sequences.from_list(longer, schema=model.schema)
        errors = errors_by_feature(longer_sequences, shorter, model.error_scaler)
        effect[i] = np.nan_to_num(errors)  # NaN if all sequences are empty
    names = [str(i) for i in range(model.specification.latent_dim)]
    if model.scaler.num_statistics:
        columns = [column.name for column in model.schema.columns if column.column_type.is_number]
        names += [f"{statistic} of {name}" for statistic in ("level", "spread") for name in columns]
    return LatentDimensions(tuple(names), stds, (effect[:width] + effect[width:]) / 2)


def decode_sweep(
    model: ModelLike,
    codes: np.ndarray,
    dimension: int,
    deviations: Sequence[float] = DEVIATIONS,
    *,
    base_code: np.ndarray | None = None,
) -> Sequences:
    """Decode a code while one of its dimensions goes from low to high.

    Parameters
    ----------
    model : Model or SequenceAutoencoder
        Fitted model.
    codes : array of shape (n_sequences, width)
        Codes that define the mean and the standard deviation of the dimension.
    dimension : int
        Index of the dimension.
    deviations : sequence of float, default from -2 to 2
        Values of the dimension, in standard deviations from its mean.
    base_code : array of shape (width,), optional
        Code whose other dimensions are kept; by default the mean code.

    Returns
    -------
    Sequences of shape (len(deviations),)
        Decoded sequences, each of the length that its code holds.

    Examples
    --------
    >>> import refold
    >>> sines = refold.datasets.noisy_sines(40, seed=0, max_steps=30)
    >>> model = refold.SequenceAutoencoder(4, units=8, max_epochs=2, random_state=0).fit(sines)
    >>> len(decode_sweep(model, model.transform(sines), 0))
    7
    """
    model, codes = model_of(model), _check_codes_and_cast(codes)
    check("dimension", dimension, integer_rule(0, codes.shape[1] - 1))
    mean, std = codes.mean(axis=0), codes[:, dimension].std()
    if base_code is not None:
        base_code = check_array("base_code", base_code, ("width",)).astype(float)
        check_counts_match(len(base_code), "numbers in base_code", len(mean), "numbers in a code")
    swept_codes = np.tile(mean if base_code is None else base_code, (len(deviations), 1))
    swept_codes[:, dimension] = mean[dimension] + np.asarray(deviations) * std
    return Sequences.from_list(_decode_without_warnings(model, swept_codes), schema=model.schema)


def _check_codes_and_cast(codes: np.ndarray) -> np.ndarray:
    """Return codes (n_sequences, width) as floats, or raise an error for a wrong shape."""
    codes = check_array("codes", codes, ("n_sequences", "width")).astype(float)
    check_not_empty(len(codes), "code", "to decode")
    return codes


def _decode_without_warnings(model: Model, codes: np.ndarray) -> list[Any]:
    """Decode codes without warnings about lengths."""
    with warnings.catch_warnings():
        # a changed dimension may make a decoded length exceed all lengths in the training
        warnings.simplefilter("ignore", UserWarning)
        return model.decode(codes.astype(np.float32))
