"""Findings about data: lengths, copies and levels of sequences, and those about columns."""

import itertools
import re
from collections.abc import Iterator

import numpy as np

from refold._support.display import short_number
from refold.diagnosis._column_findings import column_findings
from refold.diagnosis._finding import Finding, by_importance
from refold.errors import DataError, argument, spelled
from refold.model import SequencesLike
from refold.sequences import (
    Sequences,
    as_sequences,
    data_warnings,
    fingerprints,
    sequence_moments,
)

# Cap on values that are looked at, and seed of the sample.
MOST_VALUES, _SEED = 2_000_000, 0
# Sequences for each latent dimension that are few.
_FEW_PER_DIMENSION = 4
# Length of a long sequence; length that suits windows; ratio of lengths that is wide.
_LONG, _WINDOW, _WIDE = 1000, 100, 10
# Share of steps in the longest tenth of the sequences that is most of them.
_MOST_STEPS = 0.6
# Share of copies, of empty sequences and of repeated ends worth a word.
_COPIES, _EMPTY, _REPEATED = 0.01, 0.1, 0.2
# Ids of `refold.sequences.windows`, and how many of them are looked at.
_WINDOW_ID, _MOST_IDS = re.compile(r"(.*)\[(\d+):(\d+)\]"), 20_000
# Number of equal steps at the end that is no accident.
_RUN = 3
# Ratio of standard deviations of columns or sequences that differ wildly, and of levels to swings.
_SCALES, _LEVELS = 100.0, 10.0


def data_findings(
    X: SequencesLike, *, latent_dim: int = 16, scale: str | None = "features"
) -> tuple[Finding, ...]:
    """Check data for what often makes a fit poor.

    Parameters
    ----------
    X : Sequences, list of arrays, array or table
        Data to check. Of much data, a random sample is checked.
    latent_dim : int, default=16
        Number of latent dimensions of the planned fit.
    scale : {"features", "sequence"} or None, default="features"
        Scaling of the planned fit.

    Returns
    -------
    tuple of Finding
        The most important ones first; empty if nothing looks wrong.

    Raises
    ------
    DataError
        If there is no sequence, or all are empty.

    Examples
    --------
    >>> waves = [[0.1 * i + 0.01 * j * j for j in range(12)] for i in range(70)]
    >>> data_findings(waves)
    ()
    >>> [one.name for one in data_findings(waves + waves[:7])]
    ['duplicates']
    """
    source = X if isinstance(X, Sequences) else as_sequences(X)
    if not len(source) or not source.lengths.any():
        raise DataError("There is nothing to check: all sequences are empty. Give some with steps.")
    warned = data_warnings(source)
    sample = sampled(source)
    found = [Finding("suspicious-values", message) for message in warned]
    found += _few_sequences(source, latent_dim)
    found += _lengths(source)
    found += _repeated_end(sample, " ".join(warned))
    found += _copies(sample)
    found += _overlap(source.ids[:_MOST_IDS])
    found += _scales(sample, scale)
    found += column_findings(sample, " ".join(warned))
    return by_importance(found)


def sampled(source: Sequences, most: int = MOST_VALUES) -> Sequences:
    """Return all sequences, or a random sample of about as many values as given."""
    values = int(source.lengths.sum()) * source.schema.num_columns
    rows = np.arange(len(source))
    if values > most:
        count = max(1, int(len(source) * most / values))
        rows = np.sort(np.random.default_rng(_SEED).choice(rows, count, replace=False))
    return source[rows]


def _windows(length: int = _WINDOW) -> str:
    return spelled(f"refold.sequences.windows(x, {length})", f"--window {length}")


def _few_sequences(source: Sequences, latent_dim: int) -> Iterator[Finding]:
    if len(source) >= _FEW_PER_DIMENSION * latent_dim:
        return
    long = np.median(source.lengths) > 2 * _WINDOW
    fewer = argument(latent_dim=max(1, len(source) // (2 * _FEW_PER_DIMENSION)))
    advice = f"Cut them into windows, {_windows()}, or use" if long else "Collect more, or use"
    yield Finding(
        "few-sequences",
        f"{len(source)} sequences are few for {latent_dim} latent dimensions. {advice} fewer "
        f"dimensions, such as {fewer}.",
    )


def _lengths(source: Sequences) -> Iterator[Finding]:
    lengths = source.lengths
    empty = int((lengths == 0).sum())
    if empty > _EMPTY * len(lengths):
        yield Finding(
            "empty-sequences",
            f"{empty} of {len(lengths)} sequences are empty, and all get the same code. Leave them "
            "out.",
        )
    longest, median = int(lengths.max()), float(np.median(lengths[lengths > 0]))
    weighted = float(np.square(lengths.astype(float)).sum() / lengths.sum())
    tenth = np.sort(lengths)[-max(1, len(lengths) // 10) :].sum() / lengths.sum()
    if longest > _WIDE * median and tenth > _MOST_STEPS:
        yield Finding(
            "spread-lengths",
            f"Lengths are very different (median {median:g}, longest {longest}), and a tenth of "
            f"the sequences has {tenth:.0%} of the steps, so the loss is mostly about them. Cut "
            f"long sequences into windows, {_windows(max(2, int(2 * median)))}, or fit them apart.",
        )
    elif weighted > _LONG:
        yield Finding(
            "long-sequences",
            f"Sequences are long (up to {longest} steps): one code cannot hold so many details, "
            f"and steps take long. Cut them into windows, {_windows()}, or use more latent "
            f"dimensions ({argument('latent_dim')}).",
        )


def _repeated_end(sample: Sequences, warned: str) -> Iterator[Finding]:
    """Find equal lengths with ends that repeat one step, which padding and filling leave."""
    lengths = sample.lengths
    if lengths.min() != lengths.max() or lengths[0] <= _RUN or "padded" in warned:
        return
    values = sample.values.reshape(len(sample), int(lengths[0]), -1)
    same = ((values == values[:, -1:]) | (np.isnan(values) & np.isnan(values[:, -1:]))).all(axis=2)
    runs = np.argmin(same[:, ::-1], axis=1)  # 0 if all steps are the same
    padded = runs >= _RUN
    if padded.mean() < _REPEATED or len(np.unique(runs[padded])) < 2:
        return
    yield Finding(
        "repeated-end",
        f"All sequences have {lengths[0]} steps, and {padded.sum()} of {len(sample)} end with "
        f"{_RUN} or more equal steps, as padded ones do. If this is padding, give the true "
        "lengths: Sequences.from_array(x, lengths=...), or from_padded(x, padding_value=...).",
    )


def _copies(sample: Sequences) -> Iterator[Finding]:
    real = sample[np.flatnonzero(sample.lengths > 0)]
    copies = len(real) - len(np.unique(fingerprints(real)))
    advice = "" if sample.schema.numeric.any() else "If the same record is there twice, remove it."
    if copies > _COPIES * len(real):
        yield Finding(
            "duplicates",
            f"{copies} of {len(real)} sequences are exact copies of others. Copies end up in the "
            "training and in the validation split, so held-out errors look too good. "
            + (advice or "Remove them."),
        )


def _overlap(ids: np.ndarray) -> Iterator[Finding]:
    """Find windows that share steps with the one before, which the last of a series always may."""
    if ids.dtype.kind not in "OUT":
        return
    parts = [_WINDOW_ID.fullmatch(one) for one in ids.tolist()]
    spans = [(part[1], int(part[2]), int(part[3])) for part in parts if part]
    shared = sum(
        name == other and first < end
        for (name, _, end), (other, first, _) in itertools.pairwise(spans)
    )
    if shared > 0.5 * len(ids):
        apart = spelled("windows(x, length, stride=length)", "--stride, as many as --window")
        yield Finding(
            "overlapping-windows",
            f"{shared} of {len(ids)} windows share steps with the one before, and so do training "
            "and validation: held-out errors look too good. For honest errors, cut windows without "
            f"overlap, {apart}, or hold out whole series.",
        )


def _scales(sample: Sequences, scale: str | None) -> Iterator[Finding]:
    numeric = sample.schema.numeric
    if not numeric.any() or scale == "sequence":
        return
    values = sample.values[:, numeric].astype(np.float64)
    if scale is None:
        with np.errstate(invalid="ignore"):
            spread = np.nanstd(values, axis=0)
        spread = spread[spread > 0]
        if len(spread) and spread.max() > _SCALES * spread.min():
            yield Finding(
                "different-scales",
                f"Columns have standard deviations from {short_number(spread.min())} to "
                f"{short_number(spread.max())}, and nothing is scaled, so the loss is about the "
                f"largest ones. Use {argument(scale='features')}.",
            )
        return
    long = sample[np.flatnonzero(sample.lengths > _RUN)]
    if len(long) < _WIDE:
        return
    mean, std = sequence_moments(long.values[:, numeric], long)
    for name, means, stds in zip(_names(sample, numeric), mean.T, std.T, strict=True):
        stds, means = stds[stds > 0], means[~np.isnan(means)]
        if len(stds) < _WIDE:
            continue
        low, high = np.quantile(stds, [0.1, 0.9])
        level = float(np.std(means) / np.median(stds))
        if high > _SCALES * low or level > _LEVELS:
            what = (
                f"levels of the sequences differ {level:.0f} times as much as values within one"
                if level > _LEVELS
                else f"standard deviations of the sequences range from {short_number(low)} to "
                f"{short_number(high)}"
            )
            yield Finding(
                "different-levels",
                f"In column {name!r}, the {what}, so their shapes are hardly in the loss. Use "
                f"{argument(scale='sequence')}.",
            )
            return


def _names(sample: Sequences, chosen: np.ndarray) -> list[str]:
    return [name for name, use in zip(sample.schema.names, chosen, strict=True) if use]
