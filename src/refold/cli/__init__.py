"""The command line: ``refold fit``, ``encode``, ``decode``, ``reconstruct``, ``curve`` and so on.

Owns the arguments, what goes to standard output and standard error, and exit codes. Every
command is a few calls to the estimator, the readers and writers, the figures or the page.
Nothing heavy is imported before a command runs, so that ``refold --help`` answers at once.
"""

from refold.cli._app import main as main

__all__ = ["main"]
