"""Warnings that name the line of the user's code."""

import os
import sys
import warnings
from pathlib import Path

from refold.errors import Message

__all__ = ["warn"]

_PACKAGE = str(Path(__file__).parent.parent) + os.sep
# scikit-learn's module between a user's line and ``transform``
_WRAPPER = "sklearn.utils._set_output"


def warn(message: str | None) -> None:
    """Issue a ``UserWarning`` at the first line outside of the package, if there is a message."""
    if message is None:
        return
    level, frame = 1, sys._getframe()
    while frame is not None and (
        frame.f_code.co_filename.startswith(_PACKAGE) or frame.f_globals.get("__name__") == _WRAPPER
    ):
        level, frame = level + 1, frame.f_back
    warnings.warn(Message(message), UserWarning, stacklevel=level)
