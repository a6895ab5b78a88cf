"""Print the covered lines and branches of each room from a report of Coverage.py in JSON."""

import json
import sys
from collections import Counter, defaultdict
from pathlib import Path, PurePath

# Number of least covered files to print, which is enough to find the next one to test.
NUM_FILES_SHOWN = 10
# Counts of a file in the report: of lines, then of branches.
COUNT_NAMES = ("covered_lines", "num_statements", "covered_branches", "num_branches")


def main(report: Path) -> None:
    """Print a table with a row for each room of the package, and the least covered files."""
    rooms: dict[str, Counter[str]] = defaultdict(Counter)
    files = json.loads(report.read_text(encoding="utf-8"))["files"]
    # the report may also have installed copies of the package
    files = {name: file for name, file in files.items() if name.startswith("src")}
    for name, file in files.items():
        path_parts = PurePath(name).parts
        parts_in_package = path_parts[path_parts.index("refold") + 1 :]
        room = parts_in_package[0] if len(parts_in_package) > 1 else "(root)"
        for total in (rooms[room], rooms["total"]):
            total.update({count: file["summary"][count] for count in COUNT_NAMES})
    print(f"{'room':<12} {'lines':>12} {'branches':>12}")
    for room in sorted(rooms, key=lambda name: (name == "total", name)):
        lines, branches = (_format_share(rooms[room], *COUNT_NAMES[i : i + 2]) for i in (0, 2))
        print(f"{room:<12} {lines:>12} {branches:>12}")
    print("\nleast covered files")
    percents = {name: file["summary"]["percent_covered"] for name, file in files.items()}
    for name in sorted(percents, key=percents.__getitem__)[:NUM_FILES_SHOWN]:
        print(f"{percents[name]:5.1f} %  {name}")


def _format_share(counts: Counter[str], covered: str, total: str) -> str:
    """Return the covered share in percent; ``"none"`` if there is nothing to cover."""
    num_total = counts[total]
    return f"{100 * counts[covered] / num_total:.1f} %" if num_total else "none"


if __name__ == "__main__":
    main(Path(sys.argv[1]))
