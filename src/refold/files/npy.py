"""NumPy files: ``.npz`` keeps everything, ``.npy`` one array padded with NaN. No pickles."""

import io
import json

import numpy as np

from refold.errors import DataError, FileFormatError, SchemaError, argument
from refold.files.formats import Format, check_numbers_only
from refold.sequences._parts import ColumnTypes
from refold.sequences._schema import Schema
from refold.sequences._sequences import Sequences


def write_npz(sequences: Sequences) -> bytes:
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


def read_npz(
    data: bytes, name: str, *, column_types: ColumnTypes = None, as_series: bool = False
) -> Sequences:
    """Read what `write_npz` wrote, or an archive with one array, as `read_npy` does."""
    arrays = _load(data, name)
    if {"values", "offsets", "ids", "schema"} <= set(arrays):
        if column_types is not None:
            raise SchemaError(
                f"{name} has column types of its own. Leave {argument('column_types=')} out."
            )
        try:
            schema = Schema.from_dict(json.loads(str(arrays["schema"])))
            return Sequences(arrays["values"], arrays["offsets"], arrays["ids"], schema)
        except (ValueError, TypeError, IndexError) as error:
            raise FileFormatError(f"{name} does not hold sequences: {_line(error)}") from error
    dimensions = {1, 2, 3} if as_series and len(arrays) == 1 else {2, 3}
    plain = [key for key, array in arrays.items() if np.ndim(array) in dimensions]
    if len(plain) != 1 or set(arrays) - {plain[0], "lengths"}:
        contents = ", ".join(f"{key} {np.shape(array)}" for key, array in arrays.items())
        raise FileFormatError(
            f"{name} holds {contents or 'nothing'}. Expected one array of shape (n, steps, "
            "features) or (n, steps), optionally with 'lengths', or values, offsets, ids and "
            "schema as Refold writes them."
        )
    array, lengths = arrays[plain[0]], arrays.get("lengths")
    if as_series and array.ndim < 3 and lengths is None:
        return Sequences.from_list([array], column_types=column_types)
    # without lengths, a plain array is padded with NaN
    return Sequences.from_array(array, lengths, column_types=column_types)


def write_npy(sequences: Sequences) -> bytes:
    """Return an ``.npy`` array of shape (n, T, F), or (n, T) for series, padded with NaN."""
    check_numbers_only(sequences, "an .npy")
    full = sequences[sequences.lengths > 0]
    lost = np.isnan(full.values[full.offsets[1:] - 1]).all(axis=1)
    if lost.any():
        raise DataError(
            f"The sequence with id {full.ids[lost][0]!s} ends in a step with everything missing, "
            "which an .npy file cannot tell from padding. Write .npz or .parquet."
        )
    padded = sequences.to_padded()
    buffer = io.BytesIO()
    np.save(buffer, padded[:, :, 0] if sequences.schema.layout == "series" else padded)
    return buffer.getvalue()


def read_npy(
    data: bytes, name: str, *, column_types: ColumnTypes = None, as_series: bool = False
) -> Sequences:
    """Read an array (n, T, F) or (n, T), padded with NaN; or a series, (T, F) or (T,)."""
    array = _load(data, name)["array"]
    if as_series and array.ndim in {1, 2}:
        return Sequences.from_list([array], column_types=column_types)
    return Sequences.from_array(array, column_types=column_types)


def _load(data: bytes, name: str) -> dict[str, np.ndarray]:
    """Return the arrays of an archive by name, or the array of an ``.npy`` file as ``array``."""
    try:
        loaded = np.load(io.BytesIO(data), allow_pickle=False)
        return dict(loaded) if isinstance(loaded, np.lib.npyio.NpzFile) else {"array": loaded}
    except Exception as error:  # damaged bytes cause errors of many types
        raise FileFormatError(
            f"{name} is cut short, damaged or not an array of numbers: {_line(error)}. A pickle is "
            "never loaded; save lists with refold.sequences.write."
        ) from error


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200]


_OPTIONS = frozenset({"column_types", "as_series"})
NPZ = Format("npz", (".npz",), read_npz, _OPTIONS, write_npz, magic=b"PK\x03\x04")
NPY = Format("npy", (".npy",), read_npy, _OPTIONS, write_npy, magic=b"\x93NUMPY")
