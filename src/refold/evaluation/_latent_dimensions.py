"""What the numbers of a code do: how far each moves what is decoded, and in which way."""

import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from refold.errors import DataError, ParameterError
from refold.evaluation._entry_errors import errors_by_feature
from refold.sequences import Sequences

__all__ = ["DEVIATIONS", "LatentDimensions", "latent_dimensions", "sweep"]

DEVIATIONS = (-2.0, -4 / 3, -2 / 3, 0.0, 2 / 3, 4 / 3, 2.0)
"""Standard deviations from its mean to which `sweep` moves a latent dimension."""

# Codes at most from which numbers are moved, at least, and values that are decoded for all of it.
_MOST, _FEWEST, _MOST_VALUES = 32, 4, 1 << 24


class LatentDimensions(NamedTuple):
    """How much each number of a code varies, and how far it moves what is decoded.

    Attributes
    ----------
    names : tuple of str
        ``"0"``, ``"1"``, ...; with ``scale="sequence"`` the last are a column's level and spread.
    deviation : array of shape (width,)
        Deviation of each number over the codes.
    effect : array of shape (width, n_features)
        What a step of one deviation changes in what is decoded: the mean squared change of a
        numeric column, in the units of the model's errors, and the share of changed entries of
        another.
    """

    names: tuple[str, ...]
    deviation: np.ndarray
    effect: np.ndarray

    @property
    def total(self) -> np.ndarray:
        """Mean effect over the columns, array of shape (width,)."""
        return self.effect.mean(axis=1)

    @property
    def order(self) -> np.ndarray:
        """Indices of the numbers, those of the largest effect first."""
        return np.argsort(-self.total, kind="stable")


def latent_dimensions(model: Any, codes: np.ndarray, *, seed: int = 0) -> LatentDimensions:
    """Measure what each number of a code does, by moving it alone and decoding.

    Parameters
    ----------
    model : SequenceAutoencoder
        Fitted.
    codes : array of shape (n_sequences, width)
        As ``transform`` gives them. Numbers are moved up and down by their deviation from some of
        these.
    seed : int, default=0
        Draws those.

    Returns
    -------
    LatentDimensions

    Raises
    ------
    DataError
        If there is no code, or they are not of the model's width.

    Examples
    --------
    >>> import refold
    >>> sines = refold.datasets.noisy_sines(40, seed=0, max_steps=30)
    >>> settings = {"units": 8, "latent_steps": 0, "max_epochs": 2, "random_state": 0}
    >>> model = refold.SequenceAutoencoder(4, **settings).fit(sines)
    >>> latent_dimensions(model, model.transform(sines)).effect.shape
    (4, 1)
    """
    codes = _checked(codes)
    num_codes, width = codes.shape
    deviation = codes.std(axis=0)
    values = max(1, 2 * width * int(model.max_steps_) * model.schema_.output_width)
    count = min(num_codes, max(_FEWEST, min(_MOST, _MOST_VALUES // values)))
    chosen = np.random.default_rng(seed).choice(num_codes, count, replace=False)
    start = codes[np.sort(chosen)]
    shifts = np.concatenate([np.diag(deviation), -np.diag(deviation)])
    moved = (start[None] + shifts[:, None]).reshape(-1, width)
    decoded = _decoded(model, np.concatenate([start, moved]))
    before = Sequences.from_list(decoded[:count], schema=model.schema_)
    effect = np.zeros((2 * width, model.schema_.num_columns))
    for i in range(2 * width):
        after = decoded[count * (i + 1) : count * (i + 2)]
        effect[i] = np.nan_to_num(errors_by_feature(before, after, model.error_scaler_))
    return LatentDimensions(_names(model), deviation, (effect[:width] + effect[width:]) / 2)


def sweep(
    model: Any,
    codes: np.ndarray,
    number: int,
    deviations: Sequence[float] = DEVIATIONS,
    *,
    start: np.ndarray | None = None,
) -> Sequences:
    """Decode a code while one of its numbers goes from low to high.

    Parameters
    ----------
    model : SequenceAutoencoder
        Fitted.
    codes : array of shape (n_sequences, width)
        They say what the mean of the number is, and its deviation.
    number : int
        Which one.
    deviations : sequence of float, default from -2 to 2
        How far from its mean, in deviations.
    start : array of shape (width,), optional
        The other numbers; by default the mean code.

    Returns
    -------
    Sequences of shape (len(deviations),)
        Of the lengths that the codes hold.

    Raises
    ------
    DataError
        If there is no code, or they are not of the model's width.
    ParameterError
        If there is no such number.

    Examples
    --------
    >>> import refold
    >>> sines = refold.datasets.noisy_sines(40, seed=0, max_steps=30)
    >>> settings = {"units": 8, "latent_steps": 0, "max_epochs": 2, "random_state": 0}
    >>> model = refold.SequenceAutoencoder(4, **settings).fit(sines)
    >>> len(sweep(model, model.transform(sines), 0))
    7
    """
    codes = _checked(codes)
    if not 0 <= number < codes.shape[1]:
        raise ParameterError(f"There is no number {number} in codes of {codes.shape[1]} numbers.")
    mean, deviation = codes.mean(axis=0), codes[:, number].std()
    moved = np.tile(mean if start is None else start, (len(deviations), 1))
    moved[:, number] = mean[number] + np.asarray(deviations) * deviation
    return Sequences.from_list(_decoded(model, moved), schema=model.schema_)


def _checked(codes: np.ndarray) -> np.ndarray:
    codes = np.asarray(codes, float)
    if codes.ndim != 2 or not len(codes):
        raise DataError(f"Expected codes of shape (n, width), n at least 1. Got {codes.shape}.")
    return codes


def _decoded(model: Any, codes: np.ndarray) -> list[Any]:
    with warnings.catch_warnings():
        # a number that is moved may hold the length, and move it beyond training
        warnings.simplefilter("ignore", UserWarning)
        return model.inverse_transform(codes.astype(np.float32))


def _names(model: Any) -> tuple[str, ...]:
    names = [str(i) for i in range(model.latent_dim_)]
    if model.scaler_.num_statistics:
        columns = [column.name for column in model.schema_.columns if column.type == "numeric"]
        names += [f"{what} of {name}" for what in ("level", "spread") for name in columns]
    return tuple(names)
