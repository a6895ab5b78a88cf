"""Commands of this version of Refold and of an older one, each in its own process."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.training_peers.process import ROOT, START, MeasurementError, run

__all__ = ["PACKAGE", "Version", "default_environment", "older_version"]

PACKAGE = "benchmarks.inference_peers"
# Variables that change the number of threads or the location of compiled code.
VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "XLA_FLAGS",
    "PYTHONDONTWRITEBYTECODE",
)


class Version(NamedTuple):
    """A version of Refold: its title, and its folder, or None for the current version."""

    title: str
    folder: Path | None = None

    def measure(self, module: str, *arguments: object, cache: Path) -> dict[str, Any]:
        """Run a module, such as ``refold``, and measure its process."""
        command = [sys.executable, "-c", START, "jax", module, *map(str, arguments)]
        with _environment({"XDG_CACHE_HOME": str(cache)} | self._path()):
            try:
                return run("launcher", json.dumps(command), package=PACKAGE)
            except MeasurementError as error:
                reason = str(error).removeprefix(f"launcher {json.dumps(command)}: ")
                words = " ".join(command[command.index(module) :])
                raise MeasurementError(f"{self.title}, {words}: {reason}") from None

    def check(self) -> None:
        """Check that Refold is imported from the folder."""
        if self.folder is None:
            return
        with _environment(self._path()):
            found = subprocess.run(
                [sys.executable, "-c", "import refold; print(refold.__file__)"],
                capture_output=True,
                text=True,
                cwd=ROOT,
                check=False,
            )
        if not Path(found.stdout.strip()).is_relative_to(self.folder):
            last = "\n".join(found.stderr.splitlines()[-1:])
            raise MeasurementError(f"the baseline cannot be imported: {last or found.stdout}")

    def _path(self) -> dict[str, str]:
        if self.folder is None:
            return {}
        others = [one for one in [os.environ.get("PYTHONPATH")] if one]
        return {"PYTHONPATH": os.pathsep.join([str(self.folder), *others])}


def older_version(given: str, scratch: Path) -> Version:
    """Return the version of a checkout, or install a commit of this repository into a folder.

    The kernel of a checkout must have been built. The kernel of a commit is built here.
    """
    checkout = Path(given)
    if checkout.is_dir():
        checkout = checkout.resolve()
        found = _git("-C", str(checkout), "rev-parse", "--short", "HEAD", check=False)
        version = Version(found.stdout.strip() or checkout.name, checkout / "src")
        if not list((version.folder / "refold" / "kernels").glob("librefold_kernels.*")):
            raise MeasurementError(f"{version.title} has no kernel, see CONTRIBUTING.md")
    else:
        sources, installed = scratch / "sources", scratch / "installed"
        sources.mkdir()
        commit = _git("rev-parse", "--short", f"{given}^{{commit}}").stdout.strip()
        archive = scratch / "sources.tar"
        _git("archive", "--output", str(archive), commit)
        subprocess.run(["tar", "-xf", str(archive), "-C", str(sources)], check=True)  # noqa: S607
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target"]
        subprocess.run([*pip, str(installed), str(sources)], check=True)
        version = Version(commit, installed)
    version.check()
    return version


@contextmanager
def default_environment(threads: int, cache: Path) -> Iterator[None]:
    """Limit the number of cores, remove settings of libraries, and use a cache folder."""
    usual = os.environ.copy()
    cores = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None
    if cores is not None:
        os.sched_setaffinity(0, sorted(cores)[:threads])
    elif threads != os.cpu_count():
        raise SystemExit("--threads needs Linux, because it limits the cores of all processes.")
    for name in list(os.environ):
        if name in VARIABLES or name.startswith("JAX_"):
            del os.environ[name]
    os.environ["XDG_CACHE_HOME"] = str(cache)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(usual)
        if cores is not None:
            os.sched_setaffinity(0, cores)


@contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    usual = os.environ.copy()
    os.environ.update(values)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(usual)


def _git(*arguments: str, check: bool = True) -> Any:
    return subprocess.run(
        ["git", *arguments],  # noqa: S607
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=check,
    )
