"""Types of arguments that users pass as sequences."""

import os
from collections.abc import Iterable, Mapping
from typing import Protocol, TypeAlias

from numpy.typing import ArrayLike

from refold.sequences import Sequences


class ArrowTable(Protocol):
    """A table or a column of pandas, Polars, PyArrow or DuckDB."""

    def __arrow_c_stream__(self, requested_schema: object | None = None, /) -> object:
        """Export the data as an Arrow stream."""
        ...

    def __len__(self) -> int: ...


SequencesLike: TypeAlias = (
    Sequences
    | ArrayLike
    | ArrowTable
    | Iterable[ArrayLike | ArrowTable]
    | Mapping[str, ArrayLike]
    | os.PathLike[str]
)
