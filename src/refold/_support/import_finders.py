"""A finder for `sys.meta_path` that acts on the imports of other packages."""

from collections.abc import Sequence
from types import ModuleType

__all__ = ["RefusingFinder"]


class RefusingFinder:
    """A finder for `sys.meta_path` that makes a package look as if it were not installed."""

    def __init__(self, package: str) -> None:
        self._package = package

    def find_spec(
        self,
        name: str,
        path: Sequence[str] | None = None,  # noqa: ARG002 - Python calls it with these arguments
        target: ModuleType | None = None,  # noqa: ARG002
    ) -> None:
        """Raise ``ModuleNotFoundError`` for the package and its modules."""
        if name.partition(".")[0] == self._package:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
