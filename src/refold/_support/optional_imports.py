"""Imports of packages that may be missing, with an error that says what to install."""

import importlib
import importlib.util
from collections.abc import Sequence
from types import ModuleType

from refold.errors import MissingExtraError

# The packages of a report.
_REPORT_PACKAGES = ("jinja2", "matplotlib", "plotly")
# The packages that only training needs, among the dependencies in pyproject.toml. A small
# installation, which applies models and cannot train them, may lack them.
TRAINING_PACKAGES = ("jax", "keras", "scipy", "sklearn", "threadpoolctl")


# Commands that train call this first, so that the error comes before any work is done.
def check_training_packages(purpose: str) -> None:
    """Raise a ``MissingExtraError``, such as "Training needs Keras", if a package is missing."""
    if not all(is_installed(package) for package in TRAINING_PACKAGES):
        raise MissingExtraError(f"{purpose} needs Keras, JAX and scikit-learn. {how_to_install()}")


def check_report_packages() -> None:
    """Raise a ``MissingExtraError`` if a package of a report is missing."""
    for package in _REPORT_PACKAGES:
        check_installed(package, extra="plots", purpose="The report")


def check_installed(package: str, *, extra: str, purpose: str) -> None:
    """Raise an error that names the extra of Refold if a package is missing; do not import it."""
    if not is_installed(package):
        raise _make_missing_extra_error(package, extra, purpose)


def how_to_install(extra: str = "") -> str:
    """Return a sentence that says how to install an extra, or all of Refold."""
    # the command installs from a clone, because no package index has Refold yet
    requirement = f"'.[{extra}]'" if extra else "."
    return f"In your clone of Refold, run: python -m pip install {requirement}"


def import_optional(package: str, *, extra: str, purpose: str) -> ModuleType:
    """Import a package, or raise an error that names the extra of Refold that installs it."""
    try:
        return importlib.import_module(package)
    except ModuleNotFoundError as error:
        # the package is installed, but imports another one that is missing: the extra cannot help
        if error.name is None or error.name.split(".")[0] != package.split(".")[0]:
            raise
        raise _make_missing_extra_error(package, extra, purpose) from error


def _make_missing_extra_error(module: str, extra: str, purpose: str) -> MissingExtraError:
    """Return the error that a package is missing, from the name of one of its modules."""
    return MissingExtraError(
        f"{purpose} needs the package {module.split('.')[0]!r}, which is not installed. "
        f"{how_to_install(extra)}"
    )


def is_installed(package: str) -> bool:
    """Return whether a top-level package is installed, without importing it."""
    try:
        return importlib.util.find_spec(package) is not None
    except ModuleNotFoundError:  # a `HiddenPackageFinder` raises it
        return False


class HiddenPackageFinder:
    """A finder for `sys.meta_path` that makes a package look as if it were not installed.

    Some libraries import a slow package if it is installed. A command hides it to save the time.
    """

    def __init__(self, package: str) -> None:
        self._package = package

    def find_spec(
        self,
        name: str,
        path: Sequence[str] | None = None,  # noqa: ARG002 - Python calls it with these arguments
        target: ModuleType | None = None,  # noqa: ARG002
    ) -> None:
        """Raise ``ModuleNotFoundError`` for the package and its modules."""
        if name.partition(".")[0] == self._package:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
