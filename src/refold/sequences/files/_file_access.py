"""Bytes of a file or stream, and one-line errors for what the operating system reports."""

import errno
import os
from pathlib import Path
from typing import BinaryIO

from refold.errors import FileAccessError, FileFormatError, MissingFileError

__all__ = ["access_error", "decode_utf8", "read_bytes"]


def access_error(path: str | os.PathLike[str], error: OSError, *, writing: bool) -> FileAccessError:
    """Return the error of this package for an error of the system.

    Parameters
    ----------
    path : str or PathLike
        The file to read or write.
    error : OSError
        The error of the system.
    writing : bool
        Whether the file was opened for writing.
    """
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


def read_bytes(source: str | os.PathLike[str] | BinaryIO, name: str) -> bytes:
    """Read a whole file or binary stream.

    Raises
    ------
    MissingFileError
        If the file does not exist.
    FileAccessError
        If the path is a folder or cannot be read.
    FileFormatError
        If the file is empty.
    """
    if isinstance(source, str | os.PathLike):
        try:
            data = Path(source).read_bytes()
        except OSError as error:
            raise access_error(source, error, writing=False) from error
    else:
        data = source.read()
    if not data:
        raise FileFormatError(f"{name} is empty: it holds no bytes.")
    return data


def decode_utf8(data: bytes, name: str) -> str:
    """Decode UTF-8 text and drop a byte-order mark.

    Raises
    ------
    FileFormatError
        If the bytes are not UTF-8; the message names the line.
    """
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise FileFormatError(
            f"{name}, line {line}: byte 0x{data[error.start]:02x} is not UTF-8. "
            "Save the file as UTF-8."
        ) from error
