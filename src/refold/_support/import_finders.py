"""Finders for `sys.meta_path`, which act on the imports of other packages."""

import sys
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

__all__ = ["PostImportFinder", "RefusingFinder"]


class PostImportFinder:
    """A finder for `sys.meta_path` that calls a function with the name of each imported module."""

    def __init__(self, names: Sequence[str], function: Callable[[str], Any]) -> None:
        self._names = frozenset(names)
        self._function = function

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the module specification of the other finders, with a longer ``exec_module``."""
        if name not in self._names:
            return None
        finders: list[Any] = [finder for finder in sys.meta_path if finder is not self]
        specs = (finder.find_spec(name, path, target) for finder in finders)
        spec = next((spec for spec in specs if spec is not None), None)
        if spec is None or spec.loader is None:
            return spec
        loader: Any = spec.loader
        execute = loader.exec_module

        def exec_module(module: ModuleType) -> None:
            execute(module)
            self._function(name)

        loader.exec_module = exec_module
        return spec


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
