"""The exceptions that Refold raises for errors that a user can fix.

Each message says in one line what came in, where, what was expected and how to fix it. Each class
also inherits from the matching built-in exception, so ``except ValueError`` works. The command
line prints the message and exits with code 2.
"""

import traceback
from pathlib import Path

__all__ = [
    "DataError",
    "DivergedError",
    "FileAccessError",
    "FileFormatError",
    "MissingExtraError",
    "MissingFileError",
    "ModelFileError",
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


class MissingExtraError(RefoldError, ImportError):
    """A required optional package is not installed."""


class DivergedError(RefoldError, ArithmeticError):
    """The loss became NaN or infinite before there was a model worth keeping."""
