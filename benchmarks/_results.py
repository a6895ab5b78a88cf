"""Pages of results: Markdown tables with the machine, the versions and the date."""

import datetime
import os
import platform
from collections.abc import Iterable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

FOLDER = Path(__file__).parent / "results"
DOCS = Path(__file__).parents[1] / "docs"
PACKAGES = ("refold", "keras", "jax", "numpy", "scikit-learn")


def environment(packages: Iterable[str] = PACKAGES) -> str:
    """Return the date, the machine and the versions of the installed packages, in two lines."""
    versions = ", ".join(f"{name} {found}" for name in packages if (found := version_of(name)))
    return f"{today()}, {machine()}, Python {platform.python_version()}  \n{versions}"


def today() -> str:
    """Return today's date."""
    return f"{datetime.datetime.now(tz=datetime.UTC):%Y-%m-%d}"


def machine() -> str:
    """Return the processor, the number of cores and the operating system."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{_processor()}, {cores} cores, {platform.system()}"


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    lines = (header, ["---"] * len(header), *rows)
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def write_table(name: str, title: str, header: list[str], rows: list[list[str]]) -> None:
    """Write ``results/NAME.md`` and print it."""
    write_page(name, title, [table(header, rows)])


def write_page(
    name: str,
    title: str,
    parts: Iterable[str],
    *,
    packages: Iterable[str] = PACKAGES,
    about: str | None = None,
    folder: Path = FOLDER,
) -> None:
    """Write ``NAME.md`` with paragraphs, headings and tables to a folder, and print it.

    ``about`` replaces the date, the machine and the versions of this process.
    """
    text = "\n\n".join([f"# {title}", about or environment(packages), *parts]) + "\n"
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.md").write_text(text, encoding="utf-8")
    print(text)


def replace_results(page: Path, text: str, *, name: str) -> None:
    """Replace the text between the two comments of a page that have this name."""
    begin, end = f"<!-- {name}: begin -->\n", f"<!-- {name}: end -->\n"
    before, _, rest = page.read_text(encoding="utf-8").partition(begin)
    _, found, after = rest.partition(end)
    if not found:
        raise SystemExit(f"{page} has no lines {begin.strip()} and {end.strip()}.")
    whole = f"{before}{begin}{text.rstrip()}\n{end}{after}"
    page.write_text(whole, encoding="utf-8")


def version_of(name: str) -> str | None:
    """Return the version of a package, or None if it is not installed."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _processor() -> str:
    """Return the name of the processor, with its family and model if they are known.

    On rented machines, several generations of processors can have the same name.
    """
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    entries = (line.partition(":") for line in lines)
    found = {name.strip(): value.strip() for name, _, value in entries}
    name = found.get("model name") or platform.processor() or platform.machine()
    if "cpu family" in found and "model" in found:
        return f"{name} (family {found['cpu family']}, model {found['model']})"
    return name
