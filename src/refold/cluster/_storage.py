"""Files of any store, by path or URL: names, listing, attempts, and complete writes."""

import functools
import os
import re
import secrets
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, TypeVar

import pyarrow as pa
from pyarrow import fs

from refold._support.optional_imports import optional
from refold.errors import (
    FileAccessError,
    FileFormatError,
    MissingFileError,
    ParameterError,
    RefoldError,
)

# Seconds between attempts to reach a store.
WAITS = (0.5, 1.0, 2.0, 4.0)
SUFFIXES = (".parquet", ".pq")
# Stores in which a file appears when it is closed, and where renaming would be a copy.
_OBJECT_STORES = ("s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "adl", "oss", "memory")

Result = TypeVar("Result")


# Size and time of a file in nanoseconds, which show whether it has changed. The time is None if the
# store does not tell.
FileStamp = tuple[int, int | None]


class Place(NamedTuple):
    """A file or folder of any store."""

    system: Any  # pyarrow.fs.FileSystem
    path: str  # in the file system
    # Before and after a path of the file system, they give a URL that another process can open.
    prefix: str = ""
    query: str = ""

    @property
    def name(self) -> str:
        """The path or URL, as a user would write it."""
        return f"{self.prefix}{self.path}{self.query}"

    def info(self) -> Any:
        """Return size, time and type; the type says if there is nothing."""
        return self.system.get_file_info(self.path)

    def beside(self, name: str) -> "Place":
        """Return a file in this folder."""
        return self.at(f"{self.path.rstrip('/')}/{name}")

    def at(self, path: str) -> "Place":
        """Return another path of the same store."""
        return self._replace(path=path)


def place_of(name: str | os.PathLike[str]) -> Place:
    """Return the place of a path or URL."""
    text = absolute(name)
    return _place_of_url(text) if "://" in text else Place(fs.LocalFileSystem(), text)


def absolute(name: str | os.PathLike[str]) -> str:
    """Return a path or URL that means the same in every working directory."""
    text = os.fspath(name)
    return text if "://" in text else str(Path(text).absolute())


# Arrow asks a bucket for its region each time.
@functools.lru_cache(1024)
def _place_of_url(text: str) -> Place:
    """Return the place of a URL that Arrow knows, else of one that fsspec knows."""
    scheme, _, rest = text.partition("://")
    rest, mark, query = rest.partition("?")
    try:
        system, path = fs.FileSystem.from_uri(text)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        try:
            handler, path = _fsspec("fsspec").core.url_to_fs(f"{scheme}://{rest}")
        except (ValueError, ImportError) as error:
            raise ParameterError(
                f"The URL {text!r} cannot be opened: {one_line(error)}."
            ) from error
        system = fs.PyFileSystem(fs.FSSpecHandler(handler))
    return Place(system, path, f"{scheme}://", mark + query)


def _fsspec(module: str) -> Any:
    return optional(module, extra="ray", purpose="A store of files")


def attempted(places: str, task: Callable[[], Result]) -> Result | RefoldError:
    """Do a task, again after a pause while a store cannot be reached; return its error if any."""
    waits = iter(WAITS)
    while True:
        try:
            return task()
        except RefoldError as error:
            return error
        except (OSError, pa.ArrowInvalid) as error:
            is_final = isinstance(error, FileNotFoundError | PermissionError | pa.ArrowInvalid)
            wait = None if is_final else next(waits, None)
            if wait is None:
                tries = "" if is_final else f" after {len(WAITS) + 1} attempts"
                return FileAccessError(
                    f"{places} cannot be read or written{tries}: {one_line(error)}. Check the "
                    "name, the connection and the access rights, and run the same again: what is "
                    "done stays done."
                )
            time.sleep(wait)


def one_line(error: BaseException) -> str:
    """Return the first line of an error, without the full stop."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0].rstrip(".") if lines else type(error).__name__


def stamp_of(info: Any) -> FileStamp:
    """Return the stamp of a file."""
    return info.size, info.mtime_ns


def find_parquet(name: str) -> list[tuple[Place, FileStamp]]:
    """Return the Parquet files of a path, URL, glob or folder, sorted by name."""
    place = place_of(name)
    system, path, info = place.system, place.path, place.info()
    if info.type == fs.FileType.File:
        infos = [info]
    elif info.type == fs.FileType.Directory:
        inside = system.get_file_info(fs.FileSelector(path, recursive=True))
        hidden = re.compile("/[._]")
        infos = [info for info in inside if not hidden.search(info.path, len(path))]
    elif any(character in path for character in "*?["):
        store = _fsspec("fsspec.implementations.arrow").ArrowFSWrapper(system)
        infos = system.get_file_info(store.glob(path))
    else:
        raise MissingFileError(f"There is no file or folder {name}.")
    files = [
        (place.at(info.path), stamp_of(info))
        for info in sorted(infos, key=lambda info: info.path)
        if info.type == fs.FileType.File and info.path.lower().endswith(SUFFIXES)
    ]
    if not files:
        raise FileFormatError(
            f"{name} holds no Parquet file by its name ({' or '.join(SUFFIXES)}), and a cluster "
            "reads no other. Convert the data with refold.sequences.read and write."
        )
    return files


@contextmanager
def replaced(place: Place) -> Iterator[BinaryIO]:
    """Open a file that takes its name only once it is complete, in any store."""
    folder, _, name = place.path.rpartition("/")
    target = place
    # In an object store, renaming would be a copy, and an upload appears when it is complete.
    if place.prefix.partition(":")[0] not in _OBJECT_STORES:
        target = place.at(f"{folder}/.{name}.{secrets.token_hex(8)}")
    with tempfile.TemporaryFile() as local:
        yield local
        size = local.tell()
        local.seek(0)
        try:
            with place.system.open_output_stream(target.path) as stream:
                shutil.copyfileobj(local, stream, 1 << 20)
            if target.info().size != size:
                raise OSError(f"only a part of it arrived at {target.name}")
            if target != place:
                place.system.move(target.path, place.path)
        except BaseException:
            # in an object store, an incomplete upload must not stay under the name of a part
            if target.info().type == fs.FileType.File:
                place.system.delete_file(target.path)
            raise


def make_folder(place: Place) -> list[str]:
    """Create a folder if it is not there, and return the names of the files in it."""
    info = place.info()
    if info.type == fs.FileType.File:
        raise ParameterError(
            f"The output {place.name} is a file. A cluster writes a folder of parts; name a new "
            "folder."
        )
    if info.type == fs.FileType.NotFound:
        place.system.create_dir(place.path, recursive=True)
        return []
    return [file.base_name for file in place.system.get_file_info(fs.FileSelector(place.path))]
