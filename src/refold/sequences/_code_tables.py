"""Conversion of codes to and from Arrow tables, for use in other tools.

A table can store the hash of the model of its codes, so that no other model decodes them.
"""

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike

from refold._support.arrays import check_array
from refold._support.messages import warn
from refold._support.rules import check, check_counts_match, one_of
from refold.errors import DataError, SchemaError, argument, python_or_cli
from refold.sequences._encoding import to_id_array
from refold.sequences._tables import (
    flatten_with_lengths,
    has_lists,
    ids_to_arrow,
    to_arrow_columns,
)
from refold.sequences._windows import Windows

# Name of the hash of a model in the metadata of a table, and in the attributes of a pandas frame.
MODEL_HASH_KEY = "refold.model"


def codes_to_arrow(
    codes: Any, ids: ArrayLike | Windows | None = None, dtype: str = "float32", model: Any = None
) -> pa.Table:
    """Convert codes to an Arrow table, which DuckDB, polars and pandas can read.

    Parameters
    ----------
    codes : array of shape (n_sequences, width)
        Codes (latent vectors, embeddings) from ``transform``.
    ids : array of shape (n_sequences,) or Windows, optional
        Integers or strings, such as ``Sequences.ids``; by default ``0`` to ``n - 1``. For codes of
        windows, what ``windows`` of the model returns.
    dtype : {"float32", "float16"}
        Type of the stored values.
    model : Model or SequenceAutoencoder, optional
        Model of the codes, whose ``hash`` is stored, so that no other model decodes them.

    Returns
    -------
    pyarrow.Table
        One row per sequence: ``id``, and ``code``, a fixed-size list of the type ``dtype``. For
        codes of windows, ``id`` is that of the series, and ``start`` and ``end`` follow it.

    Examples
    --------
    >>> table = codes_to_arrow([[0.5, 1.0], [2.0, -1.0]], ids=["a", "b"])
    >>> table["code"].to_pylist()
    [[0.5, 1.0], [2.0, -1.0]]
    """
    check_stored_code_dtype(dtype)
    codes = check_array("codes", codes, ("n_sequences", "width"))
    codes = np.ascontiguousarray(codes, dtype=np.float32)
    if dtype == "float16":
        too_large = np.flatnonzero((np.abs(codes) > np.finfo(np.float16).max).any(axis=1))
        if len(too_large):
            raise DataError(
                f"The code of row {too_large[0]} has a value that is too large for float16. Use "
                f"{argument(dtype='float32')}."
            )
        codes = codes.astype(np.float16)
    if isinstance(ids, Windows):
        check_counts_match(len(codes), "codes", len(ids.starts), "windows")
        rows = ids.to_table()
    else:
        rows = pa.table({"id": ids_to_arrow(to_id_array(ids, len(codes)))})
    metadata = None if model is None else {MODEL_HASH_KEY: _get_model(model).hash}
    return rows.append_column("code", vectors_to_arrow(codes)).replace_schema_metadata(metadata)


def vectors_to_arrow(vectors: np.ndarray) -> pa.FixedSizeListArray:
    """Return an array (n, width) as an Arrow array of n lists of fixed size."""
    item = pa.field("item", pa.from_numpy_dtype(vectors.dtype))
    flat = pa.array(vectors.reshape(-1), item.type)
    return pa.FixedSizeListArray.from_arrays(flat, type=pa.list_(item, vectors.shape[1]))


def codes_from_arrow(
    table: Any,
    id: str = "id",  # noqa: A002
    code: str = "code",
    model: Any = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the codes and ids of a table, for ``inverse_transform``.

    Parameters
    ----------
    table : pyarrow.Table, pandas or polars data frame, DuckDB relation, dict of columns
        A table with a column of lists of equal length.
    id, code : str
        Names of the two columns. Without a column ``id``, rows are numbered from 0.
    model : Model or SequenceAutoencoder, optional
        Model that is to decode the codes. Codes of another model are refused. There is a warning
        if the table has no hash of the model of its codes.

    Returns
    -------
    codes : array of float32 of shape (n_sequences, width)
    ids : array of shape (n_sequences,)

    Examples
    --------
    >>> codes, ids = codes_from_arrow({"id": ["a", "b"], "code": [[0.5, 1.0], [2.0, -1.0]]})
    >>> codes
    array([[ 0.5,  1. ],
           [ 2. , -1. ]], dtype=float32)
    """
    if model is not None:
        warn(check_model_hash(stored_model_hash(table), model, "This table"))
    arrow_table = to_arrow_columns(table)
    column = arrow_table.get_or_raise(code, "code")
    # the type null stands for a column without lists, which is refused
    item_type = column.type.value_type if has_lists(column) else pa.null()
    if not (pa.types.is_floating(item_type) or pa.types.is_integer(item_type)):
        raise SchemaError(
            f"Column {code!r} holds {column.type}. Expected lists of numbers, one per sequence."
        )
    widths, numbers = flatten_with_lengths(column)  # lengths of codes, and all numbers
    # the width of the first code that is not empty; without one, the size of fixed-size lists
    width = next(iter(widths[widths > 0].tolist()), getattr(column.type, "list_size", 0))
    row_indices = np.repeat(np.arange(len(widths)), widths)  # of each number
    is_complete = (widths == width) & (widths > 0)
    # a code with a null in it is not complete
    is_complete[row_indices[numbers.is_null().to_numpy()]] = False
    if not is_complete.all():
        row = int(np.argmin(is_complete))
        got = "a missing value" if widths[row] == width else f"{widths[row]} entries"
        raise DataError(
            f"The code of row {row} has {got}. Expected {width} numbers. Pass codes of one model; "
            "drop the row or encode it again."
        )
    codes = numbers.to_numpy().reshape(len(widths), width)
    with np.errstate(over="ignore"):  # decoding refuses infinite codes
        codes = np.asarray(codes, dtype=np.float32)
    ids = arrow_table.columns.get(id)
    return codes, to_id_array(None if ids is None else ids.to_pylist(), len(codes))


def check_stored_code_dtype(dtype: str) -> None:
    """Raise ``ParameterError`` if codes cannot be stored in this dtype."""
    check("dtype", dtype, one_of("float32", "float16"))


def stored_model_hash(table: Any) -> str | None:
    """Return the hash that a table of codes stores for its model, or None if it has no hash."""
    schema: Any = getattr(table, "schema", None)
    if isinstance(schema, pa.Schema):  # a table of Arrow
        stored = (schema.metadata or {}).get(MODEL_HASH_KEY.encode())
        # latin-1 decodes any bytes, also those that another program wrote under this key
        return None if stored is None else stored.decode("latin-1")
    # a pandas frame
    attributes: Any = getattr(table, "attrs", None)
    stored = attributes.get(MODEL_HASH_KEY) if isinstance(attributes, dict) else None
    return None if stored is None else str(stored)


def check_model_hash(stored_hash: str | None, model: Any, subject: str) -> str | None:
    """Raise ``DataError`` for codes of another model; return a warning if no hash is stored."""
    # subject: first words of the messages, such as "This table"
    if stored_hash is None:
        fix = python_or_cli(
            "Tables of codes_to_arrow(..., model=) have its hash.",
            "Parquet files of `refold encode` have its hash.",
        )
        return (
            f"{subject} does not tell the model of its codes, so they may be those of another "
            f"model. {fix}"
        )
    fitted_model = _get_model(model)
    if not fitted_model.has_hash(stored_hash):
        model_hash = fitted_model.hash
        # The hash of a pretrained model is the hash of its weights, followed by the hash of the
        # column names. If the first 12 characters are equal, the weights are equal, too.
        if stored_hash[:12] == model_hash[:12]:
            raise DataError(
                f"{subject} holds codes of columns of other names, or in another order. Encode the "
                "sequences again with this model."
            )
        raise DataError(
            f"{subject} holds codes of another model (hash {stored_hash[:12]}, and this model has "
            f"{model_hash[:12]}). Use the model that encoded them, or encode the sequences "
            "again."
        )
    return None


def _get_model(fitted: Any) -> Any:
    """Return the model of a fitted estimator; a model is returned as it is."""
    # `getattr` with a default would hide the error of an estimator that is not fitted
    return fitted.model_ if hasattr(type(fitted), "model_") else fitted
