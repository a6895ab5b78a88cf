"""Write the table of rooms in docs/explanation/design.md: ``python scripts/design_rooms.py``.

The imports come from the import table in ``pyproject.toml``, which ``lint-imports`` enforces. What
is in each room stays as the page has it. `tests/test_repository.py` compares both.
"""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "explanation" / "design.md"
# Line of the page before the table.
BEGIN_MARK = "<!-- rooms: begin -->\n"
# Line of the page after the table.
END_MARK = "<!-- rooms: end -->"
TABLE_HEADER = "| room | contents | rooms that it imports | packages |\n| --- | --- | --- | --- |\n"
# Rooms that are not named among the imports, because nearly all rooms have them.
COMMON_ROOMS = ("errors", "_support")


def main() -> None:
    """Write the page with the table of today."""
    PAGE.write_text(updated_page(), encoding="utf-8")


def updated_page() -> str:
    """Return the page with the imports that are enforced."""
    before, _, after_mark = PAGE.read_text(encoding="utf-8").partition(BEGIN_MARK)
    table, _, after = after_mark.partition(END_MARK)
    contents = dict(re.findall(r"^\| `([\w.]+)` \| (.*?) \|", table, re.MULTILINE))
    return before + BEGIN_MARK + TABLE_HEADER + "".join(table_rows(contents)) + END_MARK + after


def table_rows(contents_by_room: dict[str, str]) -> list[str]:
    """Return a row for each room, the modules of `_support` together."""
    imports = enforced_imports()
    all_rooms = {"refold", *(room.partition(".")[0] for room in imports)}
    lines = []
    for room, names in imports.items():
        is_room = {name: name.partition(".")[0] in all_rooms for name in names}
        imported_rooms = [name for name in names if is_room[name] and name not in COMMON_ROOMS]
        packages = sorted((name for name in names if not is_room[name]), key=str.lower)
        contents, imported = contents_by_room.get(room, ""), ", ".join(imported_rooms)
        cells = f"`{room}`", contents, imported, ", ".join(packages)
        lines.append(f"| {' | '.join(cells)} |\n")
    return lines


def enforced_imports() -> dict[str, list[str]]:
    """Return what each room may import, by the contract `rooms`."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    contracts = tomllib.loads(text)["tool"]["importlinter"]["contracts"]
    [contract] = [contract for contract in contracts if contract["id"] == "rooms"]
    imports: dict[str, list[str]] = {}
    for row in contract["rows"]:
        room, _, names = row.partition(":")
        room = COMMON_ROOMS[1] if room.startswith(f"{COMMON_ROOMS[1]}.") else room
        for name in filter(None, map(str.strip, names.split(","))):
            name = COMMON_ROOMS[1] if name.startswith(f"{COMMON_ROOMS[1]}.") else name
            if name not in imports.setdefault(room, []):
                imports[room].append(name)
        imports.setdefault(room, [])
    return {room: names for room, names in imports.items() if room not in ("refold", "network")}


if __name__ == "__main__":
    main()
