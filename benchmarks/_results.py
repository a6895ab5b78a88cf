"""Results on disk: a table in Markdown, with the machine, the versions and the date."""

import datetime
import os
import platform
from importlib.metadata import version
from pathlib import Path

FOLDER = Path(__file__).parent / "results"
PACKAGES = ("refold", "keras", "jax", "numpy", "scikit-learn")


def surroundings() -> str:
    """Describe machine, versions and date in two lines."""
    versions = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return (
        f"{datetime.datetime.now(tz=datetime.UTC):%Y-%m-%d}, {_processor()}, {cores} cores, "
        f"{platform.system()}, Python {platform.python_version()}  \n{versions}"
    )


def write_table(name: str, title: str, header: list[str], rows: list[list[str]]) -> None:
    """Write ``results/NAME.md`` and print it."""
    lines = [f"# {title}", "", surroundings(), ""]
    lines += ["| " + " | ".join(cells) + " |" for cells in (header, ["---"] * len(header), *rows)]
    text = "\n".join(lines) + "\n"
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / f"{name}.md").write_text(text, encoding="utf-8")
    print(text)


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
