"""NumPy files: ``.npz`` keeps everything, ``.npy`` one array padded with NaN. Never a pickle."""

import io
import json
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np

from refold.errors import DataError, FileFormatError, SchemaError
from refold.sequences._columns import Kinds
from refold.sequences._schema import Schema
from refold.sequences._sequences import Sequences

__all__ = ["read_npy", "read_npz", "write_npy", "write_npz"]

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


def read_npz(data: bytes, name: str, *, kinds: Kinds = None) -> Sequences:
    """Read what `write_npz` wrote, or an archive with one array of 2 or 3 dimensions.

    A plain array may have an array ``lengths`` beside it; without, it is padded with NaN.

    Raises
    ------
    FileFormatError
        If the archive is cut short or damaged, or holds neither.
    """
    arrays = _load_arrays(data, name)
    if set(OWN) <= set(arrays):
        if kinds is not None:
            raise SchemaError(f"{name} has kinds of its own. Leave kinds= out.")
        return _from_own(arrays, name)
    plain = [key for key, array in arrays.items() if array.ndim in {2, 3}]
    if len(plain) != 1 or set(arrays) - {plain[0], "lengths"}:
        found = ", ".join(f"{key} {array.shape}" for key, array in arrays.items()) or "nothing"
        raise FileFormatError(
            f"{name} holds {found}. Expected one array of shape (n, steps, features) or "
            "(n, steps), perhaps with 'lengths', or values, offsets, ids and schema as Refold "
            "writes them."
        )
    return Sequences.from_array(arrays[plain[0]], arrays.get("lengths"), kinds=kinds)


def write_npy(sequences: Sequences) -> bytes:
    """Return an ``.npy`` array of shape (n, T, F), or (n, T) for series, padded with NaN.

    Raises
    ------
    SchemaError
        If a column is categorical.
    DataError
        If a sequence ends in a step with everything missing.
    """
    if len(sequences.schema.categorical):
        column = sequences.schema.columns[sequences.schema.categorical[0]]
        raise SchemaError(
            f"Column {column.name!r} is categorical, and an .npy file holds numbers only. "
            "Write .npz or .parquet."
        )
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


def read_npy(data: bytes, name: str, *, kinds: Kinds = None) -> Sequences:
    """Read an array of shape (n, T, F) or (n, T), padded with NaN.

    Raises
    ------
    FileFormatError
        If the file is cut short, holds Python objects, or has another number of dimensions.
    """
    array = _parse(io.BytesIO(data), name)
    if array.ndim not in {2, 3}:
        raise FileFormatError(
            f"{name} holds an array of shape {array.shape}. "
            "Expected (n, steps, features) or (n, steps)."
        )
    return Sequences.from_array(array, kinds=kinds)


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
                member.removesuffix(".npy"): _parse(io.BytesIO(archive.read(member)), name)
                for member in members
            }
    except (zipfile.BadZipFile, EOFError, zipfile.zlib.error) as error:
        raise FileFormatError(f"{name} is cut short or damaged: {error}") from error


def _parse(buffer: io.BytesIO, name: str) -> np.ndarray:
    """Parse one array in NumPy's format, whose header must agree with its size."""
    try:
        array = np.lib.format.read_array(buffer, allow_pickle=False)
    except ValueError as error:
        if "allow_pickle" in str(error):
            raise FileFormatError(
                f"{name} holds Python objects as a pickle, which is never loaded. Save numbers: "
                "a padded array, or a list through refold.sequences.write."
            ) from error
        raise FileFormatError(f"{name} is cut short or damaged: {_line(error)}") from error
    except (EOFError, SyntaxError, MemoryError, OverflowError) as error:
        raise FileFormatError(f"{name} is cut short or damaged: {_line(error)}") from error
    if buffer.read(1):
        raise FileFormatError(f"{name} has bytes after the end of its array.")
    return array


def _from_own(arrays: Mapping[str, np.ndarray], name: str) -> Sequences:
    try:
        state: Any = json.loads(str(arrays["schema"]))
        schema = Schema.from_dict(state)
        return Sequences(arrays["values"], arrays["offsets"], arrays["ids"], schema)
    except (ValueError, TypeError, IndexError) as error:
        raise FileFormatError(f"{name} does not hold sequences: {_line(error)}") from error


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200]
