"""NumPy files: ``.npz`` keeps everything, ``.npy`` one array padded with NaN. No pickles."""

import io
import json
import math
import tokenize
import zipfile
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from refold.errors import DataError, FileFormatError, SchemaError, argument
from refold.sequences._sequences import Sequences
from refold.sequences.files._file_access import check_numbers_only
from refold.sequences.schema._column_types import ColumnTypes
from refold.sequences.schema._schema import Schema

HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}
# Errors of a damaged archive: a wrong offset, an unknown method, a flag for a password.
DAMAGED_ARCHIVE = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    ValueError,
    NotImplementedError,
    RuntimeError,
)
OWN = ("values", "offsets", "ids", "schema")


def write_npz(sequences: Sequences) -> bytes:
    """Return an ``.npz`` archive of values, offsets, ids and the schema as JSON text."""
    buffer = io.BytesIO()
    schema = np.array(json.dumps(sequences.schema.to_dict()))
    np.savez(
        buffer,
        values=sequences.values,
        offsets=sequences.offsets,
        ids=sequences.ids,
        schema=schema,
    )
    return buffer.getvalue()


def read_npz(data: bytes, name: str, *, column_types: ColumnTypes = None) -> Sequences:
    """Read what `write_npz` wrote, or an archive with one array of 2 or 3 dimensions."""
    arrays = _load_arrays(data, name)
    if set(OWN) <= set(arrays):
        if column_types is not None:
            raise SchemaError(
                f"{name} has column types of its own. Leave {argument('column_types=')} out."
            )
        return _from_own(arrays, name)
    plain = [key for key, array in arrays.items() if array.ndim in {2, 3}]
    if len(plain) != 1 or set(arrays) - {plain[0], "lengths"}:
        found = ", ".join(f"{key} {array.shape}" for key, array in arrays.items()) or "nothing"
        raise FileFormatError(
            f"{name} holds {found}. Expected one array of shape (n, steps, features) or "
            "(n, steps), optionally with 'lengths', or values, offsets, ids and schema as Refold "
            "writes them."
        )
    # without lengths, a plain array is padded with NaN
    return Sequences.from_array(arrays[plain[0]], arrays.get("lengths"), column_types=column_types)


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


def read_npy(data: bytes, name: str, *, column_types: ColumnTypes = None) -> Sequences:
    """Read an array of shape (n, T, F) or (n, T), padded with NaN."""
    array = _parse(data, name)
    if array.ndim not in {2, 3}:
        raise FileFormatError(
            f"{name} holds an array of shape {array.shape}. "
            "Expected (n, steps, features) or (n, steps)."
        )
    return Sequences.from_array(array, column_types=column_types)


def _load_arrays(data: bytes, name: str) -> dict[str, np.ndarray]:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = archive.namelist()
            others = [member for member in members if not member.endswith(".npy")]
            if others:
                raise FileFormatError(
                    f"{name} is a zip archive with {others[0]!r} in it, not an .npz file."
                )
            return {
                member.removesuffix(".npy"): _parse(archive.read(member), name)
                for member in members
            }
    except FileFormatError:
        raise
    except DAMAGED_ARCHIVE as error:
        reason = str(error).replace("File is not a zip file", "its end is missing")
        raise FileFormatError(f"{name} is cut short or damaged: {reason}") from error


def _parse(data: bytes, name: str) -> np.ndarray:
    """Parse one array in NumPy's format, whose header must match the bytes that follow."""
    # Not by `numpy.load`, which allocates what the header announces before it checks the size.
    buffer = io.BytesIO(data)
    try:
        version = np.lib.format.read_magic(buffer)
        read_header = HEADERS[version]
        shape, fortran, dtype = read_header(buffer)
    except (ValueError, KeyError, SyntaxError, tokenize.TokenError, TypeError) as error:
        raise FileFormatError(f"{name} is cut short or damaged: {_line(error)}") from error
    if dtype.hasobject:
        raise FileFormatError(
            f"{name} holds Python objects as a pickle, which is never loaded. Save numbers: "
            "a padded array, or a list through refold.sequences.write."
        )
    announced, found = math.prod(shape) * dtype.itemsize, len(data) - buffer.tell()
    if min(shape, default=0) < 0 or announced != found or not dtype.itemsize:
        state = "is cut short" if announced > found else "is damaged"
        raise FileFormatError(
            f"{name} {state}: its header announces {announced} bytes for shape {shape}, "
            f"but {found} follow."
        )
    array = np.frombuffer(data, dtype, offset=buffer.tell())
    return array.reshape(shape, order="F" if fortran else "C").copy()


def _from_own(arrays: Mapping[str, np.ndarray], name: str) -> Sequences:
    try:
        state: Any = json.loads(str(arrays["schema"]))
        schema = Schema.from_dict(state)
        return Sequences(arrays["values"], arrays["offsets"], arrays["ids"], schema)
    except (ValueError, TypeError, IndexError) as error:
        raise FileFormatError(f"{name} does not hold sequences: {_line(error)}") from error


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200]
