"""The exceptions that Refold raises for errors that a user can fix.

Each message says in one line what the input was, where it was, what was expected and how to fix it.
Each class also inherits from the matching built-in exception, so ``except ValueError`` works. The
command line prints the message and exits with code 2.

A message names arguments as Python spells them, ``latent_dim=8``. The command line prints the same
message with its own options, ``--latent-dim 8``. For this, `argument` and `python_or_cli` put
invisible marks around the arguments in a text, and `Message` keeps the text with the marks, too.
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


# The mark before an argument. All marks are control characters, so no text of a user has them.
_ARGUMENT_START_MARK = "\x02"
# The mark between the spelling in Python and the spelling on the command line, if both are given.
_SPELLING_SEPARATOR = "\x1f"
# The mark after an argument.
_ARGUMENT_END_MARK = "\x03"
# Group 1 is the spelling in Python. Group 2 is the spelling on the command line, if `python_or_cli`
# marked both.
_ARGUMENT_PATTERN = re.compile(
    f"{_ARGUMENT_START_MARK}([^{_SPELLING_SEPARATOR}{_ARGUMENT_END_MARK}]*)"
    f"(?:{_SPELLING_SEPARATOR}([^{_ARGUMENT_END_MARK}]*))?{_ARGUMENT_END_MARK}"
)


class Message(str):
    """The text of an error with arguments spelled as in Python; `marked` also has the marks."""

    __slots__ = ("marked",)

    def __new__(cls, text: str) -> Self:
        """Make a message from marked text, or from another message."""
        marked = getattr(text, "marked", str(text))  # only a message has the attribute
        message = super().__new__(cls, _ARGUMENT_PATTERN.sub(r"\1", marked))
        message.marked = marked
        return message

    # `pickle` calls this method, for example to send an error from another process. The method of
    # `str` would lose the marks.
    def __reduce__(self) -> tuple[Any, ...]:
        return Message, (self.marked,)

    @property
    def first_argument_name(self) -> str | None:
        """Name of the first argument in the text, or None."""
        names = (match[1].partition("=")[0] for match in _ARGUMENT_PATTERN.finditer(self.marked))
        # some marked texts do not begin with a name: `python_or_cli` can mark a call
        return next((name for name in names if name.isidentifier()), None)

    def spell_for_command_line(self, spell_option: Callable[[str], str]) -> str:
        """Return the text with options; `spell_option` makes ``--units 8`` of ``units=8``."""
        # group 2 is the spelling on the command line, if it was given
        return _ARGUMENT_PATTERN.sub(lambda match: match[2] or spell_option(match[1]), self.marked)


def argument(name: str = "", /, **value: Any) -> str:
    """Return a marked argument for a message: ``argument("alpha")`` or ``argument(alpha=0.1)``."""
    # in the second form, `value` has one entry, which maps the name to the value: {"alpha": 0.1}
    for name, content in value.items():
        name = f"{name}={content!r}" if isinstance(content, str) else f"{name}={content}"
    return f"{_ARGUMENT_START_MARK}{name}{_ARGUMENT_END_MARK}"


def python_or_cli(python_text: str, cli_text: str) -> str:
    """Return marked text for a message: one wording for Python, another for the command line."""
    return f"{_ARGUMENT_START_MARK}{python_text}{_SPELLING_SEPARATOR}{cli_text}{_ARGUMENT_END_MARK}"


class RefoldError(Exception):
    """Base class of all errors that a user can cause and fix.

    Attributes
    ----------
    message : str
        What ``str(error)`` returns.
    argument_name : str or None
        Name of the first argument in the message; None if the message names no argument.
    """

    def __init__(self, text: str = "") -> None:
        super().__init__(Message(text))

    @property
    def message(self) -> Message:
        """The text of the error, which `Message.spell_for_command_line` spells with options."""
        return Message(self.args[0])

    @property
    def argument_name(self) -> str | None:
        """Name of the first argument in the message; None if there is none."""
        return self.message.first_argument_name


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
