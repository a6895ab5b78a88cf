"""Imports of packages that may be missing, with an error that says what to install."""

import importlib
import importlib.util
from collections.abc import Sequence
from types import ModuleType

from refold.errors import MissingExtraError

# The packages that pyproject.toml names and a small installation does not have.
TRAINING_PACKAGES = ("jax", "keras", "scipy", "sklearn", "threadpoolctl")


# Commands that need these packages call it before they start, so that the error comes at once and
# says what to install.
def check_training_packages(purpose: str) -> None:
    """Raise an error about this purpose in a small installation, which cannot train."""
    if not all(is_installed(package) for package in TRAINING_PACKAGES):
        raise MissingExtraError(f"{purpose} needs Keras, JAX and scikit-learn. {how_to_install()}")


def how_to_install(extra: str = "") -> str:
    """Return how to install an extra, or all of Refold; no package index has it."""
    what = f"'.[{extra}]'" if extra else "."
    return f"In your clone of Refold, run: python -m pip install {what}"


def optional(package: str, *, extra: str, purpose: str) -> ModuleType:
    """Import a package, or raise an error that names the extra of Refold that installs it."""
    try:
        return importlib.import_module(package)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] != package.split(".")[0]:
            raise
        raise MissingExtraError(
            f"{purpose} needs the package {package.split('.')[0]!r}, which is not installed. "
            f"{how_to_install(extra)}"
        ) from error


def is_installed(package: str) -> bool:
    """Return whether a top-level package is installed, without importing it."""
    try:
        return importlib.util.find_spec(package) is not None
    except ModuleNotFoundError:  # from a finder that refuses the package
        return False


class RefusingFinder:
    """A finder for `sys.meta_path` that makes a package look as if it were not installed."""

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
