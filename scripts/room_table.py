"""The import table as an import-linter contract: a room imports only the names in its row.

A room is a subpackage or a module of the package.  A row of ``[tool.importlinter]`` in
``pyproject.toml`` reads ``"room: names"``.  The names are other rooms, ``refold`` for the public
names that ``refold/__init__.py`` loads lazily, and third-party packages.  Imports of the standard
library and of a room's own files are always allowed.  Every room has a row, and all imports that a
row does not name are forbidden.  Files whose names start with an underscore are private to their
room, and to rooms whose rows name it with ``.*``, as in ``sequences.*``.  A dotted row stands for
one module of a folder.  Such a folder has a row for each module.
"""

import sys
from typing import Any

from grimp import ImportGraph
from importlinter import Contract, ContractCheck, fields, output

__all__ = ["RoomTable"]


class RoomTable(Contract):
    """Contract of type ``room_table``, with its rows as ``rows``."""

    type_name = "room_table"

    rows = fields.ListField(subfield=fields.StringField())

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:  # noqa: ARG002, FBT001
        """Compare all imports of the package with the table."""
        package = str(self.session_options["root_packages"][0])
        table = _parse_rows(self.rows)  # pyright: ignore[reportArgumentType]
        modules = _modules_with_rows(graph, package, table)
        rooms = {package, *(module.partition(".")[2] for module in modules)}
        problems = [f"{room} has no row." for room in sorted(rooms - set(table))]
        problems += [
            f"{room} has a row, but does not exist." for room in sorted(set(table) - rooms)
        ]
        for importer in sorted(graph.modules):
            room = _room_of(importer, package, table)
            if room not in table:
                continue
            for imported in sorted(graph.find_modules_directly_imported_by(importer)):
                reason = _reason_forbidden(imported, room, table, package)
                if reason:
                    details = graph.get_import_details(importer=importer, imported=imported)
                    lines = ", ".join(str(detail["line_number"]) for detail in details)
                    problems.append(f"{importer} imports {imported} (line {lines}): {reason}.")
        return ContractCheck(kept=not problems, metadata={"problems": problems})

    def render_broken_contract(self, check: ContractCheck) -> None:
        """Print each import that the table does not allow."""
        for problem in check.metadata["problems"]:
            output.print_error(problem)


def _parse_rows(rows: list[str]) -> dict[str, set[str]]:
    """Return the names that each room may import."""
    table = {}
    for row in rows:
        room, _, names = row.partition(":")
        table[room.strip()] = {name.strip() for name in names.split(",")} - {""}
    return table


def _modules_with_rows(graph: ImportGraph, package: str, table: dict[str, set[str]]) -> set[str]:
    """Return the modules that need a row, in the package and in folders with dotted rows."""
    children = set(graph.find_children(package))
    for folder in {room.partition(".")[0] for room in table if "." in room}:
        children |= set(graph.find_children(f"{package}.{folder}"))
    return children


def _room_of(module_name: str, package_name: str, table: dict[str, set[str]]) -> str | None:
    """Return the room of a module; for the public names it is the name of the package."""
    path = module_name.split(".")
    if path[0] != package_name:
        return None
    if ".".join(path[1:3]) in table:
        return ".".join(path[1:3])
    return path[1] if len(path) > 1 else package_name


def _reason_forbidden(
    imported_module: str, room: Any, table: dict[str, set[str]], package_name: str
) -> str | None:
    """Return why a room may not import a module, or None if it may."""
    allowed_names = table[room]
    imported_room = _room_of(imported_module, package_name, table)
    if imported_room is None:
        if imported_module in allowed_names or imported_module in sys.stdlib_module_names:
            return None
        return f"the row of {room} does not name the package {imported_module}"
    if imported_room == room or f"{imported_room}.*" in allowed_names:
        return None
    if imported_room not in allowed_names:
        return f"the row of {room} does not name {imported_room}"
    if any(part.startswith("_") for part in imported_module.split(".")[2:]):
        return f"it is private to {imported_room}; import a name that {imported_room} exports"
    return None
