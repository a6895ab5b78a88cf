"""The exceptions that Refold raises for errors that a user can fix.

Each message says in one line what came in, where, what was expected and how to fix it. Each class
also inherits from the matching built-in exception, so ``except ValueError`` works. The command
line prints the message and exits with code 2.
"""

import re
from collections.abc import Callable
from typing import Any, Self

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


# An argument in a message is an option for users of the command line. `argument` and `spelled` put
# it between these marks, and a `Message` removes them. Text of users has none of these characters.
_START, _OR, _END = "\x02", "\x1f", "\x03"
_MARKED = re.compile(f"{_START}([^{_OR}{_END}]*)(?:{_OR}([^{_END}]*))?{_END}")


class Message(str):
    """Text for a user: arguments are spelled as in Python, and `marked` says where they are."""

    __slots__ = ("marked",)

    def __new__(cls, text: str) -> Self:
        """Make a message from marked text, or from another message."""
        marked = getattr(text, "marked", str(text))
        message = super().__new__(cls, _MARKED.sub(r"\1", marked))
        message.marked = marked
        return message

    def __reduce__(self) -> tuple[Any, ...]:
        return Message, (self.marked,)

    @property
    def argument(self) -> str | None:
        """Name of the first argument in the text; None if there is none."""
        names = (match[1].partition("=")[0] for match in _MARKED.finditer(self.marked))
        return next((name for name in names if name.isidentifier()), None)

    def spelled_with(self, option: Callable[[str], str]) -> str:
        """Return the text for the command line, with arguments spelled by a function."""
        return _MARKED.sub(lambda match: match[2] or option(match[1]), self.marked)


def argument(name: str = "", /, **value: Any) -> str:
    """Mark an argument, or one with its value, in a message: ``argument(alpha=0.1)``."""
    for name, content in value.items():
        name = f"{name}={content!r}" if isinstance(content, str) else f"{name}={content}"
    return f"{_START}{name}{_END}"


def spelled(python: str, command_line: str) -> str:
    """Mark one of two spellings in a message: for users of Python and of the command line."""
    return f"{_START}{python}{_OR}{command_line}{_END}"


class RefoldError(Exception):
    """Base class of all errors that a user can cause and fix.

    Attributes
    ----------
    message : str
        What ``str(error)`` returns.
    argument : str or None
        Name of the argument that the error is about, or of the first one; None if there is none.
    """

    def __init__(self, text: str = "") -> None:
        super().__init__(Message(text))

    @property
    def message(self) -> Message:
        """The text, which knows where its arguments are."""
        return Message(self.args[0])

    @property
    def argument(self) -> str | None:
        """Name of the first argument in the text."""
        return self.message.argument


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
