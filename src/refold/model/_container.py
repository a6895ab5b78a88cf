"""File format of models: JSON and arrays as safetensors, with a version and a checksum.

The file's metadata holds, under the format's name, a version, the configuration as JSON and a
SHA-256 digest of configuration and arrays. `refold.model` and `refold.training` define the content.
"""

import hashlib
import json
import os
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load as load_arrays
from safetensors.numpy import save as save_arrays

from refold.errors import MissingFileError, ModelFileError
from refold.sequences import atomic_writer, local_path

FORMAT = "refold-model"
VERSION = 1
_LENGTH_BYTES = 8


def pack_container(config: dict[str, Any], arrays: dict[str, np.ndarray]) -> bytes:
    """Serialize a configuration and arrays."""
    text = json.dumps(config, sort_keys=True, allow_nan=False)
    arrays = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    about = {"version": VERSION, "config": text, "sha256": _digest(text, arrays)}
    # one entry, because the order of several would differ from file to file
    return save_arrays(arrays, {FORMAT: json.dumps(about)})


def unpack_container(data: bytes, source: str) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Deserialize a configuration and arrays, and check them."""
    about = _read_metadata(data, source)
    version = about.get("version")
    if not isinstance(version, int) or version > VERSION:
        raise ModelFileError(
            f"{source} has format version {version}, and this Refold reads up to {VERSION}. "
            "Upgrade Refold, or save the model again with this version."
        )
    try:
        arrays = load_arrays(data)
    except SafetensorError as error:
        raise ModelFileError(
            f"{source} is cut short or damaged ({error}). Copy or save it again."
        ) from error
    text = str(about.get("config"))
    if about.get("sha256") != _digest(text, arrays):
        raise ModelFileError(
            f"{source} was changed since it was saved: its checksum does not match. Copy or save "
            "it again."
        )
    return json.loads(text), arrays


def write_container(path: str | os.PathLike[str], data: bytes) -> None:
    """Write bytes atomically."""
    with atomic_writer(path) as file:
        file.write(data)


def read_container(path: str | os.PathLike[str]) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Read a model file."""
    try:
        data = local_path(path).read_bytes()
    except IsADirectoryError as error:
        raise ModelFileError(f"{path} is a folder. A model is one file.") from error
    except FileNotFoundError as error:
        raise MissingFileError(f"There is no model file {path}.") from error
    return unpack_container(data, str(path))


def _read_metadata(data: bytes, source: str) -> dict[str, Any]:
    not_a_model = f"{source} is not a Refold model"
    if not data:
        raise ModelFileError(f"{not_a_model}: it is empty.")
    length = int.from_bytes(data[:_LENGTH_BYTES], "little")
    if data[_LENGTH_BYTES : _LENGTH_BYTES + 1] != b"{":
        raise ModelFileError(f"{not_a_model}. Expected a file that `save` or `refold fit` wrote.")
    if length > len(data) - _LENGTH_BYTES:
        raise ModelFileError(
            f"{source} is cut short or damaged: its header claims {length} bytes, and there are "
            f"{len(data) - _LENGTH_BYTES}. Copy or save it again."
        )
    try:
        header = json.loads(data[_LENGTH_BYTES : _LENGTH_BYTES + length])
    except ValueError as error:
        raise ModelFileError(f"{source} is damaged: its header is not JSON.") from error
    try:
        about = json.loads(header["__metadata__"][FORMAT])
    except (KeyError, TypeError, ValueError) as error:
        raise ModelFileError(
            f"{not_a_model}: it is another safetensors file. Expected a file that `save` or "
            "`refold fit` wrote."
        ) from error
    if not isinstance(about, dict):
        raise ModelFileError(f"{source} is damaged: its metadata is not an object.")
    return about


def _digest(text: str, arrays: dict[str, np.ndarray]) -> str:
    digest = hashlib.sha256(text.encode())
    for name in sorted(arrays):
        array = arrays[name]
        digest.update(f"\0{name}\0{array.dtype.str}\0{array.shape}\0".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
