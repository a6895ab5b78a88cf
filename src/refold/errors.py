"""The exceptions that Refold raises for errors that a user can fix.

Each message says in one line what came in, where, what was expected and how to fix it. Each class
also inherits from the matching built-in exception, so ``except ValueError`` works. The command
line prints the message and exits with code 2.
"""

import traceback
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

__all__ = [
    "ClusterError",
    "DataError",
    "DivergedError",
    "FileAccessError",
    "FileFormatError",
    "MissingExtraError",
    "MissingFileError",
    "ModelFileError",
    "NotFittedError",
    "ParameterError",
    "RefoldError",
    "SchemaError",
]


class RefoldError(Exception):
    """Base class of all errors that a user can cause and fix."""

    def _render_traceback_(self) -> list[str]:
        """Return the lines that IPython shows in a notebook: the user's call and the message.

        The frames inside Refold do not help with an error in the input, so they are left out.
        Other exceptions may be bugs and keep all frames. ``traceback.print_exception`` still
        shows every frame.
        """
        package = Path(__file__).parent
        frames = []
        for frame in traceback.extract_tb(self.__traceback__):
            if Path(frame.filename).is_relative_to(package):
                break
            if "IPython" not in Path(frame.filename).parts:
                frames.append(frame)
        shown = [line.rstrip("\n") for line in traceback.format_list(frames)]
        return [*shown, f"{type(self).__name__}: {self}"]


class DataError(RefoldError, ValueError):
    """The sequences are invalid: empty, infinite, with differing numbers of features and so on."""


class SchemaError(DataError):
    """The data have other columns, column types or another layout than expected."""


class FileAccessError(RefoldError, OSError):
    """A file or folder cannot be read or written."""


class MissingFileError(FileAccessError, FileNotFoundError):
    """A file or folder does not exist."""


class FileFormatError(RefoldError, ValueError):
    """A data file is empty, truncated, or does not have the format of its suffix."""


class ModelFileError(RefoldError, ValueError):
    """A model file is truncated, corrupt, from a newer version, or not a model file."""


class ParameterError(RefoldError, ValueError):
    """An argument has an invalid value."""


class NotFittedError(RefoldError, ValueError, AttributeError):
    """A method needs a fitted model, and ``fit`` was not called.

    If scikit-learn is imported, the error is also a ``sklearn.exceptions.NotFittedError``.
    """


class MissingExtraError(RefoldError, ImportError):
    """A required optional package is not installed."""


class ClusterError(RefoldError, RuntimeError):
    """A Ray cluster cannot be reached, or it lost what a run needs."""


class DivergedError(RefoldError, ArithmeticError):
    """The loss became NaN or infinite before there was a model worth keeping."""


# An argument in a message is an option for users of the command line, so messages spell it with
# `argument`. The spelling holds for the whole process, as a language does in gettext, because
# threads raise errors too.
_as_options = False


def spelled_as_options() -> AbstractContextManager[None]:
    """Spell the arguments in messages as options of the command line inside the block.

    Examples
    --------
    >>> with spelled_as_options():
    ...     f"{argument('latent_dim')} must be positive."
    '--latent-dim must be positive.'
    """
    return _spelling(as_options=True)


def spelled_as_arguments() -> AbstractContextManager[None]:
    """Spell the arguments in messages as in Python inside the block, also below a command.

    Examples
    --------
    >>> with spelled_as_options(), spelled_as_arguments():
    ...     f"{argument('latent_dim')} must be positive."
    'latent_dim must be positive.'
    """
    return _spelling(as_options=False)


@contextmanager
def _spelling(*, as_options: bool) -> Iterator[None]:
    global _as_options
    before, _as_options = _as_options, as_options
    try:
        yield
    finally:
        _as_options = before


def spelled(python: str, command_line: str) -> str:
    """Return one of two spellings, for a message that users of both can read.

    Examples
    --------
    >>> spelled("give some to calibrate()", "give --normal DATA")
    'give some to calibrate()'
    """
    return command_line if _as_options else python


def argument(name: str = "", /, **value: Any) -> str:
    """Spell an argument in a message, as in Python or as an option of the command line.

    Parameters
    ----------
    name : str
        Name without a value: ``"latent_dim"``, or ``"id="`` to ask for a value.
    **value : object
        Instead of a name, one argument with its value: ``alpha=0.1``.

    Examples
    --------
    >>> argument("latent_dim"), argument("id="), argument(sort=True), argument(scale="features")
    ('latent_dim', 'id=', 'sort=True', "scale='features'")
    >>> with spelled_as_options():
    ...     argument("latent_dim"), argument("id="), argument(sort=True), argument(scale="features")
    ('--latent-dim', '--id', '--sort', '--scale features')
    >>> with spelled_as_options():
    ...     argument(column_types={"page": "categorical", "x": "numeric"})
    '--column-types page=categorical,x=numeric'
    """
    if not value:
        return spelled(name, f"--{name.rstrip('=').replace('_', '-')}")
    [(name, given)] = value.items()
    option = argument(name)
    if not _as_options:
        return f"{option}={given!r}" if isinstance(given, str) else f"{option}={given}"
    if isinstance(given, Mapping):
        given = ",".join(f"{key}={one}" for key, one in given.items())
    return option if given is True else f"{option} {given}"
