"""The LanceDB table of an index: its place, one writer at a time, and errors of one line."""

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from refold._support.file_lock import sole_use
from refold._support.optional_imports import optional
from refold.errors import FileFormatError, MissingFileError, ParameterError, RefoldError, spelled

TABLE, FEATURES = "codes", "features"
FORMAT, VERSION = b"refold-index", 4
# What LanceDB raises.
ERRORS = (ValueError, RuntimeError, OSError, pa.ArrowException)


@dataclass(frozen=True)
class About:
    """Facts about an index that its table holds as metadata."""

    model: str  # its hash
    distance: str  # name of the vectors that distances are measured on


def load_lancedb() -> Any:
    """Import LanceDB, which takes seconds, so that it is imported only for an index."""
    return optional("lancedb", extra="search", purpose="refold.search")


class Store:
    """Place of an index: a folder, or a URL that LanceDB can open."""

    def __init__(self, place: str | os.PathLike[str], options: dict[str, str] | None) -> None:
        self._lancedb = load_lancedb()
        self.name = os.fspath(place)
        self._options = options  # LanceDB's storage_options, such as credentials
        self.folder = None if "://" in self.name else Path(self.name)

    @property
    def parent(self) -> Path | None:
        """Folder that the folder of the index is in."""
        return None if self.folder is None else self.folder.absolute().parent

    def exists(self) -> bool:
        """Return whether there is an index, complete or not."""
        if self.folder is not None:
            return (self.folder / f"{TABLE}.lance").exists()
        return TABLE in self._names()

    def is_complete(self) -> bool:
        """Return whether there is an index that can be opened."""
        try:
            self.open()
        except (OSError, ValueError):
            return False
        return True

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Lock a folder for one writer. LanceDB itself orders the writes to a URL."""
        if self.folder is None:
            yield
            return
        message = (
            f"Another process is writing to the index {self.name!r}. Wait until it ends, or choose "
            "another folder."
        )
        with sole_use(self.folder, message):
            yield

    def check_free(self) -> None:
        """Raise an error if an index cannot be written here, or there is one already."""
        if self.folder is not None:
            if self.folder.is_file():
                raise ParameterError(f"{self.name!r} is a file. Name a folder that does not exist.")
            if not self.folder.absolute().parent.is_dir():
                raise MissingFileError(
                    f"There is no folder {str(self.folder.parent)!r} for the index {self.name!r}. "
                    "Create it first, or name another."
                )
        if self.is_complete():
            raise ParameterError(
                f"There is an index {self.name!r} already. "
                + spelled(
                    "Add rows with Index.open(...).add(...), or name another folder.",
                    "Add rows with --add or --replace, or name another folder.",
                )
            )

    def create(
        self, rows: pa.RecordBatchReader, about: About, features: dict[str, np.ndarray] | None
    ) -> Any:
        """Write a new table with all its rows in one step."""
        facts = {"version": VERSION, **asdict(about)}
        schema = rows.schema.with_metadata({FORMAT: json.dumps(facts).encode()})
        batches = (one.replace_schema_metadata(schema.metadata) for one in rows)
        with self.errors("written"):
            database = self._connect()
            if features is not None:
                mode = "overwrite" if FEATURES in self._names() else "create"
                database.create_table(FEATURES, _as_table(features), mode=mode)
            return database.create_table(
                TABLE, pa.RecordBatchReader.from_batches(schema, batches), schema=schema
            )

    def open(self) -> tuple[Any, About]:
        """Open the table and read the facts about it."""
        if self.folder is not None and not self.folder.exists():
            raise MissingFileError(
                f"There is no index {self.name!r}. Check the path, or create it with "
                f"{spelled('Index.create', '`refold index`')}."
            )
        if self.folder is not None and not self.exists():
            raise FileFormatError(
                f"{self.name!r} is not an index: it is not a folder that "
                f"{spelled('Index.create', '`refold index`')} wrote."
            )
        with self.errors("read"):
            table = self._connect().open_table(TABLE)
            stored = (table.schema.metadata or {}).get(FORMAT)
        return table, self._about(stored)

    def read_features(self) -> dict[str, np.ndarray]:
        """Read the arrays of the features that distances are measured on."""
        with self.errors("read"):
            rows = self._connect().open_table(FEATURES).to_arrow()
        return {
            name: values.values.to_numpy().reshape(shape)
            for name, shape, values in zip(
                rows["name"].to_pylist(), rows["shape"].to_pylist(), rows["values"], strict=True
            )
        }

    def _about(self, stored: bytes | None) -> About:
        try:
            facts = json.loads(stored or b"")
            version = facts.pop("version")
            about = About(**facts) if version == VERSION else None
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise FileFormatError(
                f"{self.name!r} is a LanceDB table that Refold did not write. Name another folder."
            ) from error
        if about is None:
            raise FileFormatError(
                f"{self.name!r} has index version {version}, and this Refold reads version "
                f"{VERSION}. Use another version of Refold, or create the index again."
            )
        return about

    def _names(self) -> list[str]:
        return list(self._connect().list_tables().tables)

    def _connect(self) -> Any:
        return self._lancedb.connect(self.name, storage_options=self._options)

    @contextmanager
    def errors(self, done: str) -> Iterator[None]:
        """Turn LanceDB's errors into one line; ``done`` is what the index cannot be."""
        try:
            yield
        except RefoldError:
            raise
        except ERRORS as error:
            text = one_line(error)
            if f"'{TABLE}' was not found" in text or f"'{FEATURES}' was not found" in text:
                text = "it is incomplete"
            raise FileFormatError(
                f"The index {self.name!r} cannot be {done} ({text}). Create it again if its files "
                "are missing or damaged."
            ) from error


def _as_table(arrays: dict[str, np.ndarray]) -> pa.Table:
    """Return arrays as a table, one per row."""
    return pa.table(
        {
            "name": list(arrays),
            "shape": [list(one.shape) for one in arrays.values()],
            "values": pa.array(
                [one.ravel().astype(np.float32) for one in arrays.values()],
                pa.list_(pa.float32()),
            ),
        }
    )


def one_line(error: Exception) -> str:
    """Return the message of an error of LanceDB without places in its source code."""
    text = " ".join(str(error).split())
    text = re.sub(r", /\S+?:\d+:\d+", "", text)
    text = re.sub(r"(lance error: |LanceError\(\w+\): |Wrapped error: |Invalid input, )", "", text)
    return text[:300].rstrip(". ") or type(error).__name__
