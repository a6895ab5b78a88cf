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
        self._adapt(pkg)

    def _adapt(self, item: griffe.Object) -> None:
        """Change the docstrings and the exports of an object and of its members."""
        if item.docstring is not None:
            item.docstring.value = _protect_types(_list_references(item.docstring.value))
        if isinstance(item, griffe.Module) and not item.is_init_module:
            # a docstring may name an error that the module does not import
            for name in self._errors.keys() - item.members.keys():
                item.imports[name] = self._errors[name]
                item.set_member(name, griffe.Alias(name, self._errors[name]))
        if isinstance(item, griffe.Module) and item.exports is None and item.is_init_module:
            item.exports = [
                name
                for name, member in item.members.items()
                if member.is_alias and not name.startswith("_") and name in _exported_names(item)
            ]
        for member in item.members.values():
            if not member.is_alias:
                self._adapt(member)


def _exported_names(module: griffe.Module) -> set[str]:
    """Return names that are imported ``as`` themselves, which makes them public."""
    text = "\n".join(module.lines)
    pairs = re.findall(r"import \(?\s*(\w+) as (\w+)", text)
    return {name for name, new_name in pairs if name == new_name}


def _list_references(text: str) -> str:
    """Write ``.. [1] Title`` as an item of a list, and ``[1]_`` as ``[1]``."""
    text = re.sub(r"\[(\d+)\]_", r"[\1]", text)
    return re.sub(r"^( *)\.\. \[(\d+)\] ", r"\1\2. ", text, flags=re.MULTILINE)


def _protect_types(text: str) -> str:
    """Put an invisible space before a type like ``{"a", "b"}``, so that it is shown unchanged."""
    return re.sub(r"^( *\w[\w, ]* : )(?=.*\")", "\\1\u200b", text, flags=re.MULTILINE)
