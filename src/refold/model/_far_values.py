"""Warning of values far outside of the training data, such as those in other units."""

from collections.abc import Sequence

import numpy as np

from refold._support.output import warn
from refold.sequences import Scaler, Schema

# Standard deviations from the mean of the training data beyond which values outside of its range
# are far away. Its range alone is too narrow, and a heavy tail is wider than the deviations.
_FAR = 10.0
# Share of such values above which they are no ordinary anomalies. Zeros are left out, because they
# are the same in other units.
_SHARE = 0.25
# Number of columns named in a warning.
_LISTED = 5
# Number of deviations above which it is written with an exponent.
_SCIENTIFIC = 1e6


def far_limits(units: Scaler) -> tuple[np.ndarray, np.ndarray]:
    """Return the limits of each column beyond which values are far outside of the training data."""
    varies = units.least_ < units.greatest_  # the deviation of a constant column is unknown
    width = np.where(varies, _FAR * units.scale_, np.inf)
    low = np.minimum(units.least_, units.mean_ - width)
    return low, np.maximum(units.greatest_, units.mean_ + width)


def count_far(values: np.ndarray, units: Scaler) -> np.ndarray:
    """Count values (n_steps, n_columns) far outside of the training data, (4, n_columns)."""
    # The rows: values far away, values that are far away or not zero, observed values, and the
    # largest distance of a value from the mean in standard deviations.
    low, high = (limit.astype(values.dtype) for limit in far_limits(units))
    far = (values < low) | (values > high)
    if not far.any():  # the usual case, where counting would take longer than all else here
        clean = np.array([0, len(values), len(values), 0])
        return np.repeat(clean[:, None], values.shape[1], axis=1)
    observed = ~np.isnan(values)
    counts = [far, far | (observed & (values != 0)), observed]
    least, greatest = (end.reduce(values, axis=0) for end in (np.fmin, np.fmax))
    with np.errstate(over="ignore"):
        distance = np.fmax(greatest - units.mean_, units.mean_ - least) / units.scale_
    return np.stack([*(mask.sum(axis=0) for mask in counts), distance])


def describe_far(counts: Sequence[np.ndarray], schema: Schema) -> str | None:
    """Describe values that are probably in other units, in one line; None if there are few."""
    if not counts:
        return None
    far, comparable, observed, _ = np.sum(counts, axis=0)
    distance = np.max(counts, axis=0)[3]
    wrong = np.flatnonzero(far > _SHARE * comparable)
    if not len(wrong):
        return None
    furthest = distance[wrong].max()
    deviations = f"{furthest:.0f}" if furthest < _SCIENTIFIC else f"{furthest:.3g}"
    names = ", ".join(repr(schema.names[i]) for i in wrong[:_LISTED])
    others = f" and {len(wrong) - _LISTED} others" if len(wrong) > _LISTED else ""
    return (
        f"{100 * far[wrong].sum() / observed[wrong].sum():.0f} % of the values of "
        f"column{'s' * (len(wrong) > 1)} {names}{others} are far outside of the training data, up "
        f"to {deviations} standard deviations from its mean. Check their units: the "
        "results mean little for such values."
    )


def warn_of_far(counts: Sequence[np.ndarray], schema: Schema) -> None:
    """Warn of values far outside of the training data, with the text of `describe_far`."""
    if text := describe_far(counts, schema):
        warn(text)
