"""What users pass to a model: types, conversion and checks."""

import os
from collections.abc import Iterable, Mapping
from typing import Any, Protocol, TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike

from refold._support.rules import check, integer_rule, or_auto
from refold.errors import DataError, ParameterError, argument
from refold.network.packed.network import FittedNetwork
from refold.network.packed.resampling import compute_explained_shares
from refold.network.specification import Specification
from refold.sequences import (
    Schema,
    Sequences,
    Windows,
    apply_to_mapped_blocks,
    as_sequences,
    compute_window_positions,
    cut_windows,
    default_window_step,
    has_arrow_interface,
    is_batch_stream,
    read_for,
    read_from_batches,
    table_to_single_series,
    to_arrow_table,
    uncut_windows,
)


class ArrowTable(Protocol):
    """A table or a column of pandas, Polars, PyArrow or DuckDB."""

    def __arrow_c_stream__(self, requested_schema: object | None = None, /) -> object: ...

    def __len__(self) -> int: ...


SequencesLike: TypeAlias = (
    Sequences
    | ArrayLike
    | ArrowTable
    | Iterable[ArrayLike | ArrowTable]
    | Mapping[str, ArrayLike]
    | os.PathLike[str]
)


def read_user_data(
    X: SequencesLike, schema: Schema | None = None, *, as_sequence: bool = False
) -> Sequences:
    """Convert or read a user's data to sequences; large files and batches are memory-mapped."""
    # With ``as_sequence``, a file, a table of steps or an array of one or two axes is one sequence,
    # unless it has ids. Without ``as_sequence``, an array of two axes is a sequence for each row.
    if isinstance(X, Sequences):
        return X
    if is_batch_stream(X):
        return read_from_batches(X)
    if isinstance(X, str | os.PathLike):
        return read_for(schema, X, as_sequence=as_sequence)
    data: Any = X
    columns = getattr(data, "column_names", getattr(data, "columns", None))
    if as_sequence and (
        isinstance(data, Mapping) or (has_arrow_interface(data) and columns is not None)
    ):
        try:
            table = to_arrow_table(data)
        except pa.ArrowException:
            return as_sequences(data, schema=schema)  # raises an error that names the column
        has_ids = schema is not None and schema.id_name in table.column_names
        data = table if has_ids else table_to_single_series(table, schema)
    elif as_sequence and hasattr(data, "__array__") and getattr(data, "ndim", 0) in {1, 2}:
        # an array of objects holds a sequence in each entry
        data = data if data.dtype == object else [np.asarray(data)]
    return as_sequences(data, schema=schema)


def cut_into_windows(
    series: Sequences,
    window: int | None,  # number of steps of a window; None makes each series one window
    step: int | None,  # number of steps from the start of a window to the next
    # A series is cut only if the code of the whole series would lose a larger share of its
    # variance; None cuts all series.
    max_lost_variance: float | None = None,
    curve_dim: int = 0,  # number of learned dimensions of the code, if the model is pretrained
) -> Windows:
    """Cut series into windows; memory-mapped series stay memory-mapped."""
    if window is None or series.lengths.max(initial=0) <= window:
        return uncut_windows(series)
    step = step or default_window_step(window)

    def choose_window_lengths(series_block: Sequences) -> np.ndarray:
        """Return the window length (n_series,) of each series: its own length if it is not cut."""
        if max_lost_variance is None:
            return np.full(len(series_block), window)
        lost_shares = 1.0 - compute_explained_shares(series_block, curve_dim)
        return np.where(lost_shares > max_lost_variance, window, series_block.lengths)

    if not series.is_mapped:
        return cut_windows(series, choose_window_lengths(series), step)
    sequences = apply_to_mapped_blocks(
        series, lambda block: cut_windows(block, choose_window_lengths(block), step).sequences
    )
    # the lengths are chosen again, because `apply_to_mapped_blocks` returns only sequences
    window_lengths = np.concatenate([choose_window_lengths(block) for block in series.blocks()])
    positions = compute_window_positions(series.lengths, window_lengths, step)
    return Windows(sequences, positions.series, positions.starts, series.lengths, series.ids)


def check_encodable_lengths(lengths: np.ndarray, network: FittedNetwork) -> None:
    """Refuse lengths that a network with a fixed number of steps cannot read."""
    if network.fixed_steps is None:
        return
    wrong_indices = np.flatnonzero((lengths == 0) | (lengths > network.fixed_steps))
    if len(wrong_indices):
        i = wrong_indices[0]
        raise DataError(
            f"sequence {i} has length {lengths[i]}, and "
            f"{argument(architecture=network.specification.architecture)} reads 1 to "
            f"{network.fixed_steps} steps, the longest training length. Leave it out, cut it, or "
            f"use {argument(architecture='default')}."
        )


def check_latent_steps(latent_steps: int | str, specification: Specification) -> int:
    """Return the number of steps of latent optimization; refuse steps if the model allows none."""
    check("latent_steps", latent_steps, or_auto(integer_rule(0)))
    required = {"cell": "lstm", "architecture": "default", "variational": False}
    actual = {name: getattr(specification, name) for name in required}
    if latent_steps and actual != required:
        texts = [argument(**{name: value}) for name, value in actual.items()]
        raise ParameterError(
            f"{argument(latent_steps=latent_steps)} needs LSTMs, and the default architecture that "
            f"is not variational. Got {', '.join(texts)}. Use 0."
        )
    return int(latent_steps)
