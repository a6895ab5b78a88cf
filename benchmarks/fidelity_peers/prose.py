"""English prose that ships with Python: docstrings of the standard library, and help topics."""

import ast
import sysconfig
import warnings
from collections.abc import Iterator
from pathlib import Path

__all__ = ["prose"]

LEFT_OUT = {"test", "tests", "idle_test", "site-packages", "dist-packages"}
WITH_DOCSTRING = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def prose() -> Iterator[str]:
    """Yield texts of printable ASCII with single spaces."""
    from pydoc_data.topics import topics

    for text in (*_docstrings(), *topics.values()):
        if plain := " ".join(text.encode("ascii", "ignore").decode().split()):
            yield "".join(sign for sign in plain if sign.isprintable())


def _docstrings() -> Iterator[str]:
    library = Path(sysconfig.get_paths()["stdlib"])
    for file in sorted(library.rglob("*.py")):
        if LEFT_OUT.isdisjoint(file.relative_to(library).parts):
            for node in ast.walk(_parsed(file)):
                if isinstance(node, WITH_DOCSTRING) and (found := ast.get_docstring(node)):
                    yield found


def _parsed(file: Path) -> ast.AST:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return ast.parse(file.read_bytes())
        except (SyntaxError, ValueError):  # test files with invalid syntax
            return ast.Module([], [])
