"""What a user can get wrong, each with its own error.

Every message says what came in, where, what was expected and how to mend it, in one line.
The classes inherit from the built-in error that Python programmers expect, so that
``except ValueError`` keeps working; the command line turns each into one line and exit code 2.
"""

__all__ = [
    "DataError",
    "DivergedError",
    "FileFormatError",
    "MissingExtraError",
    "ModelFileError",
    "ParameterError",
    "RefoldError",
    "SchemaError",
]


class RefoldError(Exception):
    """Base of every error that a user can cause and mend."""


class DataError(RefoldError, ValueError):
    """The sequences themselves cannot be used: empty, infinite, of differing width and so on."""


class SchemaError(DataError):
    """Data does not have the columns, kinds or layout that were expected."""


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
