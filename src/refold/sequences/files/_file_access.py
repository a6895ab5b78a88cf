"""Bytes of a file or stream, compression, and one-line errors for what the system reports."""

import errno
import io
import os
import re
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa

from refold.errors import FileAccessError, FileFormatError, MissingFileError, SchemaError
from refold.sequences._sequences import Sequences
from refold.sequences.files._format import COMPRESSIONS, Format, check_content

# Most bytes of a compressed file, so that a small one cannot fill the memory.
_MOST_BYTES = 1 << 30
_BLOCK_BYTES = 1 << 22


def local_path(path: str | os.PathLike[str]) -> Path:
    """Return a path, and raise ``FileAccessError`` for an address such as s3://bucket/file."""
    # `Path` would drop one of the slashes of an address, and report a file that nobody named.
    if isinstance(path, str) and re.match(r"[A-Za-z][\w+.-]+://", path):
        raise FileAccessError(f"{path} is an address. Name a file of this machine.")
    return Path(path)


def access_error(path: str | os.PathLike[str], error: OSError, *, writing: bool) -> FileAccessError:
    """Return the error of this package for an error of the system."""
    path = Path(path)
    folder = path.parent
    if writing and folder.exists() and not folder.is_dir():
        return FileAccessError(f"{path} cannot be written: {folder} is a file, not a folder.")
    if writing and not folder.exists():
        return MissingFileError(
            f"{path} cannot be written: there is no folder {folder}. Create it."
        )
    if path.is_dir():
        return FileAccessError(f"{path} is a folder. Expected a file.")
    if not writing and error.errno in {errno.ENOENT, errno.ENOTDIR}:
        return MissingFileError(f"There is no file {path}.")
    verb = "written" if writing else "read"
    return FileAccessError(f"{path} cannot be {verb}: {error.strerror or error}.")


def read_content(source: str | os.PathLike[str] | BinaryIO, expected: Format, name: str) -> bytes:
    """Read a whole file or binary stream, and decompress text if its first bytes say so."""
    if isinstance(source, str | os.PathLike):
        try:
            data = Path(source).read_bytes()
        except OSError as error:
            raise access_error(source, error, writing=False) from error
    else:
        data = source.read()
    if not data:
        raise FileFormatError(f"{name} is empty: it holds no bytes.")
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
            content = io.BytesIO()
            while block := stream.read(_BLOCK_BYTES):
                content.write(block)
                if content.tell() > _MOST_BYTES:
                    raise FileFormatError(
                        f"{name} unpacks to more than {_MOST_BYTES >> 30} GiB. If that is right, "
                        "unpack it first, and read the result."
                    )
    except OSError as error:
        reason = " ".join(str(error).split()).rstrip(".")
        raise FileFormatError(
            f"{name} is not a {expected} file that can be read. It seems to be a "
            f"{'bzip2' if codec == 'bz2' else codec} file, cut short or damaged ({reason})."
        ) from error
    if not content.tell():
        raise FileFormatError(f"{name} is empty: it holds no bytes after {codec} decompression.")
    return content.getvalue()


def decode_utf8(data: bytes, name: str, first_line: int = 1) -> str:
    """Decode UTF-8 text and drop a byte-order mark."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + first_line
        raise FileFormatError(
            f"{name}, line {line}: byte 0x{data[error.start]:02x} is not UTF-8. "
            "Save the file as UTF-8."
        ) from error


def check_numbers_only(sequences: Sequences, kind: str) -> None:
    """Raise ``SchemaError`` if a column is categorical, which a kind of file cannot hold."""
    for i in sequences.schema.categorical:
        raise SchemaError(
            f"Column {sequences.schema.names[i]!r} is categorical, and {kind} file holds numbers "
            "only. Write .npz or .parquet."
        )
