"""The command line: ``refold fit``, ``encode``, ``decode``, ``reconstruct``, ``curve`` and so on.

Owns the arguments, the exit codes, and everything written to standard output and standard error.
No heavy package is imported before a command runs, so ``refold --help`` is fast.
"""

from refold.cli._app import main as main

__all__ = ["main"]
