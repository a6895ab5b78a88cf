"""What a user can get wrong, each with its own error.

Every message says what came in, where, what was expected and how to mend it, in one line.
The classes inherit from the built-in error that Python programmers expect, so that
``except ValueError`` keeps working; the command line turns each into one line and exit code 2.
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
    """Base of every error that a user can cause and mend."""

    def _render_traceback_(self) -> list[str]:
        """Return the lines that IPython shows in a notebook: your call, then the message.

        The frames inside Refold say nothing about a mistake in the input, so they are left out.
        Errors of other classes, which may be bugs, keep all their frames.
        ``traceback.print_exception`` shows those of this one, too.
        """
        package = str(Path(__file__).parent)
        frames = []
        for frame in traceback.extract_tb(self.__traceback__):
            if frame.filename.startswith(package):
                break
            if "IPython" not in Path(frame.filename).parts:
                frames.append(frame)
        shown = [line.rstrip("\n") for line in traceback.format_list(frames)]
        return [*shown, f"{type(self).__name__}: {self}"]


class DataError(RefoldError, ValueError):
    """The sequences themselves cannot be used: empty, infinite, of differing width and so on."""


class SchemaError(DataError):
    """Data does not have the columns, kinds or layout that were expected."""


class FileAccessError(RefoldError, OSError):
    """A file or folder cannot be read or written."""


class MissingFileError(FileAccessError, FileNotFoundError):
    """A file or folder is not there."""


class FileFormatError(RefoldError, ValueError):
    """A data file is empty, cut short, or not what its name says."""


class ModelFileError(RefoldError, ValueError):
    """A model file is cut short, changed, from a newer version, or not a model at all."""


class ParameterError(RefoldError, ValueError):
    """An argument has a value that it cannot have."""


class MissingExtraError(RefoldError, ImportError):
    """An optional package is needed and is not installed."""


class DivergedError(RefoldError, ArithmeticError):
    """The loss became NaN or infinite before there was anything worth keeping."""
