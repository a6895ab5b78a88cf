"""Results: pages with tables, commit, machine, versions and date, and records of single runs."""

import argparse
import datetime
import json
import math
import platform
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from benchmarks._process import ROOT, MeasurementError, num_cores

Record = dict[str, Any]

FOLDER = Path(__file__).parent / "results"
DOCS = ROOT / "docs"
PACKAGES = ("refold", "keras", "jax", "numpy", "scikit-learn")
CODE = ("src", "benchmarks", ":(exclude)benchmarks/results")


def environment(packages: Iterable[str] = PACKAGES) -> str:
    """Return date, commit, machine and versions of the installed packages, in two lines."""
    versions = ", ".join(f"{name} {number}" for name in packages if (number := version_of(name)))
    first = f"{today()}, commit {commit()}, {machine()}, Python {platform.python_version()}"
    return f"{first}  \n{versions}"


def commit(*paths: str) -> str:
    """Return the commit of the code, or the last one that changed some paths.

    A ``+`` at the end stands for changes that are not committed.
    """
    name = _git("log", "-1", "--format=%h", "--", *paths) or "unknown"
    changed = bool(_git("status", "--porcelain", "--", *(paths or CODE)))
    return name + "+" * changed


def _git(*arguments: str) -> str:
    done = subprocess.run(
        ["git", *arguments],  # noqa: S607
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    return done.stdout.strip()


def today() -> str:
    """Return today's date."""
    return f"{datetime.datetime.now(tz=datetime.UTC):%Y-%m-%d}"


def machine() -> str:
    """Return the processor, the number of cores and the operating system."""
    return f"{_processor()}, {num_cores()} cores, {platform.system()}"


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    lines = (header, ["---"] * len(header), *rows)
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def section(title: str, *parts: str) -> str:
    """Return a heading and paragraphs or tables below it."""
    return "\n\n".join([f"## {title}", *parts])


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

    ``about`` replaces the date, the commit, the machine and the versions of this process.
    """
    text = "\n\n".join([f"# {title}", about or environment(packages), *parts]) + "\n"
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}.md"
    path.write_text(text, encoding="utf-8")
    print(text)
    print(f"{path} is written")


def results_folder(*, complete: bool) -> Path:
    """Return the folder of results, or a new temporary one for a run that is not complete."""
    return FOLDER if complete else Path(tempfile.mkdtemp(prefix="refold-benchmark-"))


def run_parts(
    name: str,
    title: str,
    parts: dict[str, Callable[[Any, Path], str]],
    sizes: tuple[Any, Any],
    *,
    about: str | None,
    packages: Iterable[str] = PACKAGES,
    in_docs: bool = False,
) -> None:
    """Run the parts that the command line names, and write the page of their texts.

    A part is given the first of ``sizes``, or the second one with ``--quick``, and a folder for its
    files.  If all parts ran in full, the page goes to ``results/`` and to the documentation, and
    otherwise to a temporary folder.
    """
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks.{name}", description=about)
    parser.add_argument("--parts", nargs="+", choices=list(parts), default=list(parts))
    parser.add_argument("--quick", action="store_true", help="only check that everything runs")
    options = parser.parse_args()
    texts = []
    with tempfile.TemporaryDirectory(prefix=f"refold-{name}-") as scratch:
        for part in options.parts:
            print(f"{part} ...", flush=True)
            try:
                texts.append(parts[part](sizes[options.quick], Path(scratch)))
            except MeasurementError as error:
                texts.append(f"**Did not run:** {part}: {error}")
        gaps = any(gap in text for text in texts for gap in ("Did not run", "not measured"))
        complete = len(options.parts) == len(parts) and not options.quick and not gaps
        folder = results_folder(complete=complete)
    write_page(name, title, texts, packages=packages, folder=folder)
    if complete and in_docs:
        text = "\n\n".join([environment(packages), *texts]).replace("## ", "### ")
        replace_results(text, name=name)
    if any("Did not run" in text for text in texts):
        raise SystemExit(1)


def replace_results(text: str, *, name: str) -> None:
    """Replace the text between the two comments of `performance.md` that have this name."""
    page = DOCS / "explanation" / "performance.md"
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
    facts = {name.strip(): value.strip() for name, _, value in entries}
    name = facts.get("model name") or platform.processor() or platform.machine()
    if "cpu family" in facts and "model" in facts:
        return f"{name} (family {facts['cpu family']}, model {facts['model']})"
    return name


def read_records(path: Path) -> list[Record]:
    """Return the records of a file, or an empty list if it does not exist."""
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else []


def replace(path: Path, record: Record, *, same: Iterable[str]) -> Record:
    """Add a record in place of those with the same values of some fields; return what is stored.

    The file has one line for each record. It stays unchanged if writing fails.
    """
    # Processes start from those that import this module, so it imports little.
    from refold._support.atomic_files import atomic_writer

    # JSON has no NaN
    stored = {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in record.items()
    }
    place = {name: stored[name] for name in same}
    kept = (one for one in read_records(path) if not place.items() <= one.items())
    lines = ",\n".join(json.dumps(one) for one in (*kept, stored))
    with atomic_writer(path) as file:
        file.write(f"[\n{lines}\n]\n".encode())
    return stored
