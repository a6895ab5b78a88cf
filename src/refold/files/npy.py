"""NumPy files: an ``.npz`` file holds all but times, an ``.npy`` file holds one padded array.

The shape of an array is (n, T, F), for n sequences, T steps and F features. In an ``.npy`` file,
shorter sequences are padded with NaN.

A pickle is never loaded, because it can run any code.
"""

import io
import json

import numpy as np

from refold.errors import DataError, FileFormatError, SchemaError, argument
from refold.files.formats import Format, check_no_categorical_columns
from refold.sequences._encoding import ColumnTypes
from refold.sequences._schema import Schema
from refold.sequences._sequences import Sequences


def sequences_to_npz(sequences: Sequences) -> bytes:
    """Return an ``.npz`` archive of values, offsets, ids and the schema as JSON text."""
    buffer = io.BytesIO()
    np.savez(
        buffer,
        values=sequences.values,
        offsets=sequences.offsets,
        ids=sequences.ids,
        schema=np.array(json.dumps(sequences.schema.to_dict())),
    )
    return buffer.getvalue()


def sequences_from_npz(
    content: bytes, file_name: str, *, column_types: ColumnTypes = None, as_sequence: bool = False
) -> Sequences:
    """Read an archive that `sequences_to_npz` wrote, or one that holds a single array."""
    arrays = _load_arrays(content, file_name)
    if {"values", "offsets", "ids", "schema"} <= set(arrays):  # Refold wrote it
        if column_types is not None:
            raise SchemaError(
                f"{file_name} has column types of its own. Leave {argument('column_types=')} out."
            )
        try:
            schema = Schema.from_dict(json.loads(str(arrays["schema"])))
            return Sequences(arrays["values"], arrays["offsets"], arrays["ids"], schema)
        except (ValueError, TypeError, IndexError) as error:
            reason = " ".join(str(error).split())[:200]
            raise FileFormatError(f"{file_name} does not hold sequences: {reason}") from error
    # an array with one axis holds the lengths or, with `as_sequence`, a single series
    min_axes = 1 if as_sequence and len(arrays) == 1 else 2
    data_keys = [key for key, array in arrays.items() if min_axes <= np.ndim(array) <= 3]
    if len(data_keys) != 1 or set(arrays) - {data_keys[0], "lengths"}:
        contents = ", ".join(f"{key} {np.shape(array)}" for key, array in arrays.items())
        raise FileFormatError(
            f"{file_name} holds {contents or 'nothing'}. Expected one array of shape (n, steps, "
            "features) or (n, steps), optionally with 'lengths', or values, offsets, ids and "
            "schema as Refold writes them."
        )
    array, lengths = arrays[data_keys[0]], arrays.get("lengths")
    if as_sequence and array.ndim < 3 and lengths is None:
        return Sequences.from_list([array], column_types=column_types)
    # without lengths, a sequence ends where only NaN follows
    return Sequences.from_array(array, lengths, column_types=column_types)


def sequences_to_npy(sequences: Sequences) -> bytes:
    """Return an ``.npy`` array (n, T, F), or (n, T) for the layout of series, padded with NaN."""
    check_no_categorical_columns(sequences, "an .npy")
    nonempty = sequences[sequences.lengths > 0]
    last_steps = nonempty.values[nonempty.offsets[1:] - 1]  # (num_nonempty, num_features)
    is_ambiguous = np.isnan(last_steps).all(axis=1)
    if is_ambiguous.any():
        raise DataError(
            f"The sequence with id {nonempty.ids[is_ambiguous][0]!s} ends in a step with "
            "everything missing, which an .npy file cannot tell from padding. Write .npz or "
            ".parquet."
        )
    padded = sequences.to_padded()
    buffer = io.BytesIO()
    np.save(buffer, padded[:, :, 0] if sequences.schema.layout == "series" else padded)
    return buffer.getvalue()


def sequences_from_npy(
    content: bytes, file_name: str, *, column_types: ColumnTypes = None, as_sequence: bool = False
) -> Sequences:
    """Read an array (n, T, F) or (n, T) padded with NaN; with ``as_sequence``, (T, F) or (T,)."""
    array = _load_arrays(content, file_name)["array"]
    if as_sequence and array.ndim in {1, 2}:
        return Sequences.from_list([array], column_types=column_types)
    return Sequences.from_array(array, column_types=column_types)


def _load_arrays(content: bytes, file_name: str) -> dict[str, np.ndarray]:
    """Return the arrays of an archive by name, or the array of an ``.npy`` file as ``array``."""
    try:
        loaded = np.load(io.BytesIO(content), allow_pickle=False)
        return dict(loaded) if isinstance(loaded, np.lib.npyio.NpzFile) else {"array": loaded}
    except Exception as error:  # damaged bytes cause errors of many types
        reason = " ".join(str(error).split())[:200]  # on one line
        raise FileFormatError(
            f"{file_name} is cut short, damaged or not an array of numbers: {reason}. A pickle is "
            "never loaded; save lists with refold.sequences.write."
        ) from error


_READ_OPTIONS = frozenset({"column_types", "as_sequence"})
# an .npz file is a zip archive, so it begins with the signature of the first file in it
NPZ = Format(
    "npz", (".npz",), sequences_from_npz, _READ_OPTIONS, sequences_to_npz, signature=b"PK\x03\x04"
)
NPY = Format(
    "npy", (".npy",), sequences_from_npy, _READ_OPTIONS, sequences_to_npy, signature=b"\x93NUMPY"
)
