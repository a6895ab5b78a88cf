"""Parquet files of a path, and stamps that show whether they have changed."""

import os
from pathlib import Path
from typing import Any, NamedTuple

from refold.errors import FileAccessError, FileFormatError, MissingFileError, ParameterError
from refold.sequences.files._file_access import access_error
from refold.sequences.files._format import check_content
from refold.sequences.files._format_registry import FORMATS

__all__ = ["Stamp", "find_files", "stamp_of"]

PARQUET = FORMATS["parquet"]
SUFFIXES, MAGIC = PARQUET.suffixes, PARQUET.magic


class Stamp(NamedTuple):
    """Size and modification time of a file, which show whether it has changed."""

    size: int
    modified: int  # nanoseconds

    def check(self, path: Path) -> None:
        """Raise ``FileAccessError`` if the file is not the one that was stamped."""
        try:
            same = stamp_of(path) == self
        except MissingFileError as error:
            raise MissingFileError(
                f"{path} has disappeared since it was opened. Open the data again."
            ) from error
        if not same:
            raise FileAccessError(f"{path} has changed since it was opened. Open the data again.")


def stamp_of(path: Path) -> Stamp:
    """Return the stamp of a file.

    Raises
    ------
    FileAccessError
        If the file does not exist or cannot be accessed.
    """
    try:
        found = path.stat()
    except OSError as error:
        raise access_error(path, error, writing=False) from error
    return Stamp(found.st_size, found.st_mtime_ns)


def find_files(path: Any) -> list[Path]:
    """Return the Parquet file, or those of a folder and its subfolders, sorted by name.

    As in Arrow, names that begin with ``.`` or ``_`` are skipped.

    Raises
    ------
    MissingFileError
        If the path does not exist.
    FileFormatError
        If there is no Parquet file, or a file is empty, cut short or of another format.
    ParameterError
        If ``path`` is not a path.
    """
    if not isinstance(path, str | os.PathLike):
        raise ParameterError(
            f"Expected the path of a Parquet file or folder. Got a {type(path).__name__}; "
            "refold.sequences.read takes streams."
        )
    root = Path(path)
    if not root.exists():
        raise MissingFileError(f"There is no file or folder {root}.")
    files = _in_folder(root) if root.is_dir() else [_checked_name(root)]
    for file in files:
        _check_ends(file, advice="" if file == root else " Write it again, or move it elsewhere.")
    return files


def _in_folder(root: Path) -> list[Path]:
    try:
        found = sorted(file for file in root.rglob("*") if file.is_file())
    except OSError as error:
        raise access_error(root, error, writing=False) from error
    shown = [file for file in found if not _is_hidden(file.relative_to(root))]
    files = [file for file in shown if file.suffix.lower() in SUFFIXES]
    if not files:
        others = ", ".join(file.name for file in shown[:3]) + (", ..." if len(shown) > 3 else "")
        raise FileFormatError(
            f"The folder {root} holds no Parquet file ({' or '.join(SUFFIXES)}), only "
            f"{others or 'nothing'}. Convert the data with refold.sequences.read and write."
        )
    return files


def _is_hidden(path: Path) -> bool:
    return any(part.startswith((".", "_")) for part in path.parts)


def _checked_name(path: Path) -> Path:
    suffix = path.suffix.lower()
    if suffix in SUFFIXES:
        return path
    message = f"{path} cannot be read in blocks: only Parquet files ({', '.join(SUFFIXES)}) can."
    if any(suffix in one.suffixes for one in FORMATS.values()):
        message += (
            " Convert it with refold.sequences.write(refold.sequences.read(path), "
            f"'{path.stem}.parquet')."
        )
    raise FileFormatError(message)


def _check_ends(path: Path, advice: str) -> None:
    """Raise ``FileFormatError`` if the first or last bytes are not those of a Parquet file."""
    try:
        with path.open("rb") as file:
            first = file.read(4096)
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - len(MAGIC)))
            last = file.read()
    except OSError as error:
        raise access_error(path, error, writing=False) from error
    if not first:
        raise FileFormatError(f"{path} is empty: it holds no bytes.{advice}")
    try:
        check_content(first, PARQUET, str(path))
    except FileFormatError as error:
        raise FileFormatError(f"{error}{advice}") from error
    if size < 12 or last != MAGIC:
        raise FileFormatError(
            f"{path} is cut short: it lacks the end of a Parquet file."
            f"{advice or ' Write it again.'}"
        )
