"""What users pass to a model: its types, what is refused, and what is unlike the training data."""

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, Protocol, TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike

from refold._support.output import LONGER, warn
from refold._support.rules import check, or_auto, whole
from refold.errors import DataError, Message, ParameterError, argument, spelled
from refold.network.packed.curves import shares_held
from refold.network.packed.network import FittedNetwork
from refold.network.specification import Specification
from refold.sequences import (
    Scaler,
    Schema,
    Sequences,
    Windows,
    as_sequences,
    cut_windows,
    default_step,
    fingerprints,
    is_batches,
    is_table,
    mapped_blocks,
    read,
    read_batches,
    read_for,
    series_from_table,
    whole_windows,
    window_places,
)


class ArrowTable(Protocol):
    """A table or a column of pandas, Polars, PyArrow or DuckDB."""

    def __arrow_c_stream__(self, requested_schema: object | None = None, /) -> object:
        """Export the data as an Arrow stream."""
        ...

    def __len__(self) -> int: ...


SequencesLike: TypeAlias = (
    Sequences
    | ArrayLike
    | ArrowTable
    | Iterable[ArrayLike | ArrowTable]
    | Mapping[str, ArrayLike]
    | os.PathLike[str]
)


def open_source(
    X: SequencesLike, schema: Schema | None = None, *, as_series: bool = False
) -> Sequences:
    """Convert or read a user's data; large files and batches are mapped into memory."""
    # with as_series, a file, a table or an array without ids is one series
    if isinstance(X, Sequences):
        return X
    if is_batches(X):
        return read_batches(X)
    if isinstance(X, str | os.PathLike):
        return read_for(schema, X, as_series=as_series) if schema else read(X, as_series=as_series)
    return as_sequences(_as_series(X, schema) if as_series else X, schema=schema)


def _as_series(X: Any, schema: Schema | None) -> Any:
    """Convert a table of steps without ids, and put an array of one or two axes into a list."""
    columns = getattr(X, "column_names", getattr(X, "columns", None))
    if isinstance(X, Mapping) or (is_table(X) and columns is not None):
        try:
            table = pa.table(X)
        except pa.ArrowException:  # of which the conversion tells the column
            return X
        has_ids = schema is not None and schema.id_name in table.column_names
        return table if has_ids else series_from_table(table, schema)
    is_array = hasattr(X, "__array__") and getattr(X, "ndim", 0) in {1, 2}
    return [np.asarray(X)] if is_array and X.dtype != object else X


def cut(
    series: Sequences,
    window: int | None,
    step: int | None,
    max_loss: float | None = None,  # cut only series that lose a larger share of their variance
    dims: int = 0,  # in a code of as many dimensions
) -> Windows:
    """Cut series into windows; without a window, each is its own. Mapped ones stay mapped."""
    if window is None or series.lengths.max(initial=0) <= window:
        return whole_windows(series)
    step = step or default_step(window)

    def length_in(block: Sequences) -> np.ndarray:
        if max_loss is None:
            return np.full(len(block), window)
        return np.where(1.0 - shares_held(block, dims) > max_loss, window, block.lengths)

    if not series.is_mapped:
        return cut_windows(series, length_in(series), step)
    sequences = mapped_blocks(
        series, lambda block: cut_windows(block, length_in(block), step).sequences
    )
    length = np.concatenate([length_in(block) for block in series.blocks()])
    places = window_places(series.lengths, length, step)
    return Windows(sequences, places.series, places.starts, series.lengths, series.ids)


# Lengths, codes and latent steps that a network can use

# Maximum distance of a code from those of training, in standard deviations of each dimension.
MAX_DISTANCE = 1000.0


def check_fits(lengths: np.ndarray, network: FittedNetwork) -> None:
    """Refuse lengths that a network with a fixed number of steps cannot read."""
    if network.fixed_steps is None:
        return
    wrong = np.flatnonzero((lengths == 0) | (lengths > network.fixed_steps))
    if len(wrong):
        raise DataError(
            f"sequence {wrong[0]} has length {lengths[wrong[0]]}, and "
            f"{argument(architecture=network.specification.architecture)} reads 1 to "
            f"{network.fixed_steps} steps, the longest training length. Leave it out, cut it, or "
            f"use {argument(architecture='default')}."
        )


def check_codes(codes: Any, width: int) -> np.ndarray:
    """Return codes as float32 (n_sequences, width)."""
    try:
        with np.errstate(over="ignore"):
            array = np.asarray(codes, dtype=np.float32)
        got = str(array.shape)
    except (TypeError, ValueError, OverflowError):
        array, got = np.empty(0), "no array of numbers"
    if array.shape[1:] != (width,):
        raise DataError(
            f"codes must have shape (n_sequences, {width}), as transform returns them. Got {got}."
        )
    finite = np.isfinite(array)
    if not finite.all():
        row, dimension = np.argwhere(~finite)[0]
        raise DataError(
            f"codes must be finite in float32. The code of sequence {row} is not, in dimension "
            f"{dimension}."
        )
    return array


def check_lengths(lengths: Any, num_codes: int, network: FittedNetwork) -> np.ndarray:
    """Return lengths to decode to as int64 (num_codes,)."""
    try:
        array = np.asarray(lengths)
        got = str(array.shape)
    except ValueError:
        array, got = np.empty(()), "lists of different lengths"
    if array.shape != (num_codes,):
        raise DataError(
            f"{argument('lengths')} must have one entry per code, shape ({num_codes},). Got {got}."
        )
    if num_codes and (not np.issubdtype(array.dtype, np.integer) or array.min() < 0):
        raise DataError(f"{argument('lengths')} must be integers of at least 0.")
    longest = network.most_steps
    if longest is not None and array.max(initial=0) > longest:
        raise DataError(
            f"this architecture writes at most {longest} steps. Got the length {array.max()}; "
            f"use {argument(architecture='default')} for more."
        )
    return array.astype(np.int64)


def check_latent_steps(latent_steps: int | str, specification: Specification) -> int:
    """Return a number of steps of latent optimization; refuse one that the model cannot use."""
    check("latent_steps", latent_steps, or_auto(whole(0)))
    usable = specification.architecture == "default" and specification.cell == "lstm"
    if latent_steps and (not usable or specification.variational):
        sizes = ("cell", "architecture", "variational")
        got = ", ".join(argument(**{name: getattr(specification, name)}) for name in sizes)
        raise ParameterError(
            f"{argument(latent_steps=latent_steps)} needs LSTMs, and the default architecture that "
            f"is not variational. Got {got}. Use 0."
        )
    return int(latent_steps)


# Sequences longer than any in training. Neither the decoder nor the length model has seen steps
# after the longest training length. So `reconstruct` uses the true lengths of longer sequences, and
# predicted lengths for all others. `encode`, `decode`, `score`, `detect` and the report share this
# warning.

# What is too long: sequences, lengths that a user asks for, or lengths that codes hold.
Noun = Literal["sequence", "length", "predicted length"]
# Relative excess of a predicted length, or one step if that is larger, without a warning.
_SLACK = 0.1


def describe_longer(lengths: np.ndarray, trained: int, noun: Noun = "sequence") -> str | None:
    """Describe in one line how many lengths exceed the longest in training; None if none does."""
    slack = max(1.0, _SLACK * trained) if noun == "predicted length" else 0.0
    count = int((lengths > trained + slack).sum())
    if count == 0:
        return None
    remedy = f"ask for at most {trained} steps with {argument('lengths=')}"
    if noun == "sequence":
        remedy = f"on windows of them, with {argument(window=trained)}"
    return Message(
        f"{count} of {len(lengths)} {noun}{'' if len(lengths) == 1 else 's'} "
        f"{'is' if count == 1 else 'are'} {LONGER}: {'' if count == 1 else 'up to '}"
        f"{int(lengths.max())} steps against {trained}. The model never saw the steps after step "
        f"{trained}, so the results may be far off. Fit on sequences as long as these, or {remedy}."
    )


# Series that vary faster than a code of cosines can tell

# Shares of the variance of all sequences, and of one, that codes hold without a warning.
_MIN_HELD, _MIN_OF_ONE = 0.9, 0.5


def describe_held(shares: Sequence[np.ndarray], dims: int, *, is_cut: bool) -> str | None:
    """Describe in one line how much of sequences codes can hold; None if it is nearly all."""
    held = np.concatenate([*shares, []])
    if not len(held) or (held.mean() >= _MIN_HELD and held.min() >= _MIN_OF_ONE):
        return None
    remedy = "They vary too fast for a code"
    if not is_cut:
        in_python, in_shell = "adapt(X, max_loss=0.1)", "refold adapt --max-loss 0.1"
        remedy += f". Windows of the fastest keep more: {spelled(in_python, in_shell)}"
    return Message(
        f"{dims} numbers explain {100 * held.mean():.0f} % of your series, and "
        f"{100 * held.min():.0f} % of one. {remedy}."
    )


# Values far outside of the training data, such as those in other units

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


# Sequences that a model was trained on, by their hashes

# Cap on stored fingerprints. The smallest are kept, so the choice does not depend on the order.
MAX_FINGERPRINTS = 1 << 15
# Standard deviations above the expected number of chance matches that are still accepted.
_DEVIATIONS = 3.0


def check_untrained(normal: Sequences, trained: np.ndarray | None) -> None:
    """Refuse aligned normal sequences that are all training sequences; warn if some are."""
    count, total = _count_trained(normal, trained)
    if 0 < count == total:
        raise DataError(
            "The normal sequences are those that the model was trained on. Their errors are "
            "smaller than those of new ones, so normal new ones would look anomalous. Give others, "
            f"or fit with {argument(calibration_fraction=0.2)}."
        )
    warn(describe_trained(normal, trained, "normal sequences"))


def describe_trained(
    sequences: Sequences, trained: np.ndarray | None, noun: str = "sequences"
) -> str | None:
    """Describe in one line how many aligned sequences a model was trained on; None if none."""
    count, total = _count_trained(sequences, trained)
    if trained is None or not count:
        return None
    all_compared = len(trained) < MAX_FINGERPRINTS
    share = f"{count} of {total}" if all_compared else f"{100 * count / total:.0f} % of the"
    verb = "is" if all_compared and count == 1 else "are"
    return (
        f"{share} {noun} {verb} among those that the model was trained on. Their errors are "
        "smaller than those of new ones. Leave them out."
    )


def _count_trained(sequences: Sequences, trained: np.ndarray | None) -> tuple[int, int]:
    """Return how many of how many sequences a model was trained on; none if by chance."""
    # If sequences repeat in the data, some equal a training sequence by chance. Matches up to the
    # number expected from repeats among the training sequences are no matches.
    if trained is None or not len(trained):
        return 0, 0
    hashes = fingerprints(sequences)[sequences.lengths > 0]  # all empty ones are equal
    if len(trained) == MAX_FINGERPRINTS:  # larger ones were not kept
        hashes = hashes[hashes <= trained[-1]]
    count, total = int(np.isin(hashes, trained).sum()), len(hashes)
    _, copies = np.unique(trained, return_counts=True)
    twins = copies[copies > 1].sum() / len(trained)  # the chance that a new one equals another
    expected = twins * total + _DEVIATIONS * np.sqrt(twins * (1 - twins) * total)
    return count if count > expected else 0, total


def first_of_each(hashes: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Mark (n,) the wanted hashes, each at most as often as it is wanted."""
    if not len(wanted):
        return np.zeros(len(hashes), bool)
    values, counts = np.unique(wanted, return_counts=True)
    order = np.argsort(hashes, kind="stable")
    ordered = hashes[order]
    occurrence = np.arange(len(hashes)) - np.searchsorted(ordered, ordered)
    place = np.minimum(np.searchsorted(values, ordered), len(values) - 1)
    marked = np.empty(len(hashes), bool)
    marked[order] = (values[place] == ordered) & (occurrence < counts[place])
    return marked
