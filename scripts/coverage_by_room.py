"""Print the covered lines and branches of each room from a report of Coverage.py in JSON."""

import json
import sys
from collections import Counter, defaultdict
from pathlib import Path, PurePath

# Number of least covered files to print.
LEAST = 10
COUNTS = ("covered_lines", "num_statements", "covered_branches", "num_branches")


def main(report: Path) -> None:
    """Print a table with a row for each room of the package, and the least covered files."""
    rooms: dict[str, Counter[str]] = defaultdict(Counter)
    files = json.loads(report.read_text(encoding="utf-8"))["files"]
    files = {name: file for name, file in files.items() if name.startswith("src")}  # not copies
    for name, file in files.items():
        inside = PurePath(name).parts
        below = inside[inside.index("refold") + 1 :]
        room = below[0] if len(below) > 1 else "(root)"
        for total in (rooms[room], rooms["total"]):
            total.update({count: file["summary"][count] for count in COUNTS})
    print(f"{'room':<12} {'lines':>12} {'branches':>12}")
    for room in sorted(rooms, key=lambda name: (name == "total", name)):
        lines, branches = (_share(rooms[room], *COUNTS[i : i + 2]) for i in (0, 2))
        print(f"{room:<12} {lines:>12} {branches:>12}")
    print("\nleast covered files")
    for name in sorted(files, key=lambda name: files[name]["summary"]["percent_covered"])[:LEAST]:
        print(f"{files[name]['summary']['percent_covered']:5.1f} %  {name}")


def _share(counts: Counter[str], covered: str, every: str) -> str:
    number = counts[every]
    return f"{100 * counts[covered] / number:.1f} %" if number else "none"


if __name__ == "__main__":
    main(Path(sys.argv[1]))
