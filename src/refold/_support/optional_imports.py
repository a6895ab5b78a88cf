"""Import of optional packages, with an error that names the missing extra."""

import importlib
import importlib.util
from types import ModuleType

from refold.errors import MissingExtraError

__all__ = ["is_installed", "optional"]


def optional(package: str, *, extra: str, purpose: str) -> ModuleType:
    """Import ``package``, or raise an error that names the extra to install.

    Parameters
    ----------
    package : str
        Name of the module to import, such as ``"matplotlib.pyplot"``.
    extra : str
        Extra of Refold that installs it, such as ``"plots"``.
    purpose : str
        Subject of the error message, such as ``"A picture"``.

    Raises
    ------
    MissingExtraError
        If the package is not installed.

    Examples
    --------
    >>> optional("json", extra="plots", purpose="This example").__name__
    'json'
    """
    try:
        return importlib.import_module(package)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] != package.split(".")[0]:
            raise
        raise MissingExtraError(
            f"{purpose} needs the package {package.split('.')[0]!r}, which is not installed. "
            f"Install it with: pip install 'refold[{extra}]'"
        ) from error


def is_installed(package: str) -> bool:
    """Return whether a package is installed, without importing it.

    Parameters
    ----------
    package : str
        Name of the top-level package.

    Examples
    --------
    >>> is_installed("json")
    True
    """
    return importlib.util.find_spec(package) is not None
