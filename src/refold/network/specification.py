"""Plain specification of a network: what it is built from, before and after saving."""

import math
from dataclasses import dataclass

from refold.sequences.types import number_mask

# Minimum standard deviation of the training lengths, in steps.
_MIN_LENGTH_DEVIATION = 0.1
MIN_LENGTH_SCALE = 0.05
"""Minimum scale of the distribution of a length, in steps."""


@dataclass(frozen=True)
class Specification:
    """Sizes and options that a network is built from, as plain JSON values.

    Attributes
    ----------
    architecture : str
        One of ``ARCHITECTURES``, or ``"custom"`` for a user's own models.
    column_types, num_categories : list
        Type of each column, and its number of categories (0 if it is not categorical).
    observed_flags : bool
        Whether the input has an observed-flag channel for each feature.
    latent_dim, max_steps, units, depth : int
        Number of latent dimensions, longest training length in steps, units of each recurrent layer
        in each direction, and number of recurrent layers in the encoder and in the decoder.
    dropout : float
        Dropout rate of the default model.
    length_mean, length_deviation : float
        Mean and standard deviation of the training lengths, in steps.
    custom : list of str, optional
        The user's encoder and decoder as Keras JSON.
    decoder, variational, patch, linear_path, rocket_dim, cell
        Arguments of `default`.
    length_dim : int
        1 if a latent dimension of the default model holds the length, else 0.
    by_length : bool
        Whether the linear path of the default model's encoder depends on the length.
    forecast_steps : int
        Number of steps that the forecast decoder of the default model writes; 0 for none.
    recent_steps : int
        Number of last steps that the forecast decoder reads beside the code.

    Examples
    --------
    >>> specification = Specification(
    ...     architecture="default",
    ...     column_types=["numeric", "categorical"],
    ...     num_categories=[0, 4],
    ...     observed_flags=False,
    ...     latent_dim=8,
    ...     max_steps=50,
    ...     units=16,
    ...     depth=1,
    ...     dropout=0.0,
    ...     length_mean=40.0,
    ...     length_deviation=5.0,
    ... )
    >>> specification.num_outputs
    5
    """

    architecture: str
    column_types: list[str]
    num_categories: list[int]
    observed_flags: bool
    latent_dim: int
    max_steps: int
    units: int
    depth: int
    dropout: float
    length_mean: float
    length_deviation: float
    custom: list[str] | None = None
    decoder: str = "parallel"
    variational: bool = False
    patch: int = 1
    linear_path: bool | None = None
    rocket_dim: int = 0
    forecast_steps: int = 0
    cell: str = "lstm"
    length_dim: int = 0
    by_length: bool = False
    recent_steps: int = 0

    @property
    def learned_dim(self) -> int:
        """Number of latent dimensions, the first ones, that are learned."""
        return self.latent_dim - self.length_dim - self.rocket_dim

    @property
    def length_index(self) -> int | None:
        """Index of the latent dimension that holds the length; None if there is none."""
        return self.learned_dim if self.length_dim else None

    @property
    def length_scale(self) -> tuple[float, float]:
        """Mean and standard deviation, about, of the logarithm of one plus the length."""
        steps = 1.0 + self.length_mean
        return math.log(steps), length_unit(self.length_deviation) / steps

    @property
    def max_log_length(self) -> float:
        """Maximum of the logarithm that a code may hold, so that a far code does not overflow."""
        return math.log1p(2.0 * self.max_steps) + 1.0

    @property
    def num_channels(self) -> int:
        """Number of input channels: the features, and their observed flags if there are any."""
        return len(self.column_types) * (2 if self.observed_flags else 1)

    @property
    def num_outputs(self) -> int:
        """Number of outputs at each step."""
        return sum(n or 1 for n in self.num_categories)

    @property
    def recent_dim(self) -> int:
        """Number of values that the forecast decoder reads beside the code."""
        return self.recent_steps * self.num_outputs

    @property
    def forecasts_linearly(self) -> bool:
        """Whether the forecast decoder has a linear path."""
        return self.recent_steps > 0 or bool(number_mask(self.column_types).any())


def length_unit(deviation: float) -> float:
    """Return the unit, in steps, in which the length model computes: about one deviation."""
    return max(deviation, _MIN_LENGTH_DEVIATION)


def log_length_scales(deviation: float) -> tuple[float, float, float]:
    """Return the first log-scale of the distribution of a length, its minimum and its maximum."""
    # a logistic distribution of scale s has the standard deviation 1.81 s
    unit = length_unit(deviation)
    return math.log(0.55 * unit), math.log(MIN_LENGTH_SCALE), math.log(2.0 * unit)
