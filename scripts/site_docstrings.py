"""How the documentation site reads docstrings and exports.

This is an extension of Griffe, with which mkdocstrings reads the sources.  ``zensical.toml`` names
it.
"""

import re
from typing import Any

import griffe


class SiteDocstrings(griffe.Extension):
    """Adapts the conventions of numpydoc and type checkers to those of mkdocstrings.

    ``from a import x as x`` makes ``x`` a public name of a package.  References become a list.
    Raised errors link to their page, also if the module does not import them.  A type with strings
    is not parsed as an expression, because mkdocstrings would drop its quotes.
    """

    def on_package(self, *, pkg: griffe.Module, **_: Any) -> None:
        """Change the package after it is read."""
        self._errors = {
            name: error.path for name, error in pkg["errors"].members.items() if not error.is_alias
        }
        self._change(pkg)

    def _change(self, thing: griffe.Object) -> None:
        if thing.docstring is not None:
            thing.docstring.value = _types(_references(thing.docstring.value))
        if isinstance(thing, griffe.Module) and not thing.is_init_module:
            for name in self._errors.keys() - thing.members.keys():
                thing.imports[name] = self._errors[name]
                thing.set_member(name, griffe.Alias(name, self._errors[name]))
        if isinstance(thing, griffe.Module) and thing.exports is None and thing.is_init_module:
            thing.exports = [
                name
                for name, member in thing.members.items()
                if member.is_alias and not name.startswith("_") and name in _source_exports(thing)
            ]
        for member in thing.members.values():
            if not member.is_alias:
                self._change(member)


def _source_exports(module: griffe.Module) -> set[str]:
    """Return names that are imported ``as`` themselves, which makes them public."""
    text = "\n".join(module.lines)
    return {
        name for name, again in re.findall(r"import \(?\s*(\w+) as (\w+)", text) if name == again
    }


def _references(text: str) -> str:
    """Write ``.. [1] Title`` as an item of a list, and ``[1]_`` as ``[1]``."""
    text = re.sub(r"\[(\d+)\]_", r"[\1]", text)
    return re.sub(r"^( *)\.\. \[(\d+)\] ", r"\1\2. ", text, flags=re.MULTILINE)


def _types(text: str) -> str:
    """Put an invisible space before a type like ``{"a", "b"}``, so that it is shown unchanged."""
    return re.sub(r"^( *\w[\w, ]* : )(?=.*\")", "\\1\u200b", text, flags=re.MULTILINE)
