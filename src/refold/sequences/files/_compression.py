"""Bytes of a file of sequences: reading, decompression and a check of the format."""

import os
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa

from refold.errors import FileFormatError
from refold.sequences.files._file_access import read_bytes
from refold.sequences.files._format import COMPRESSIONS, Format, check_content

__all__ = ["compress_for", "read_content"]


def read_content(source: str | os.PathLike[str] | BinaryIO, expected: Format, name: str) -> bytes:
    """Read a whole file or binary stream, and decompress text if its first bytes say so.

    Raises
    ------
    FileAccessError
        If it cannot be read.
    FileFormatError
        If it is empty, a damaged compressed file, or of another format.
    """
    data = read_bytes(source, name)
    if expected.is_text and (codec := _codec(data)) is not None:
        data = _decompress(data, codec, expected.name, name)
    check_content(data, expected, name)
    return data


def compress_for(path: object, data: bytes) -> bytes:
    """Compress the bytes to write if the file has the suffix of a compression."""
    suffix = Path(path).suffix.lower() if isinstance(path, str | os.PathLike) else ""
    if suffix not in COMPRESSIONS:
        return data
    buffer = pa.BufferOutputStream()
    with pa.CompressedOutputStream(buffer, COMPRESSIONS[suffix]) as stream:
        stream.write(data)
    return buffer.getvalue().to_pybytes()


def _codec(data: bytes) -> str | None:
    if data.startswith(b"\x1f\x8b"):
        return "gzip"
    if data.startswith(b"\x28\xb5\x2f\xfd"):
        return "zstd"
    # Text may begin with BZh, so the signature of the first block is checked, too.
    return "bz2" if data.startswith(b"BZh") and data[4:10] == b"1AY&SY" else None


def _decompress(data: bytes, codec: str, expected: str, name: str) -> bytes:
    try:
        with pa.input_stream(pa.BufferReader(data), compression=codec) as stream:
            content = stream.read()
    except OSError as error:
        reason = " ".join(str(error).split()).rstrip(".")
        raise FileFormatError(
            f"{name} is not a {expected} file that can be read. It seems to be a "
            f"{'bzip2' if codec == 'bz2' else codec} file, cut short or damaged ({reason})."
        ) from error
    if not content:
        raise FileFormatError(f"{name} is empty: it holds no bytes after {codec} decompression.")
    return content
