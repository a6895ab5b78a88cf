"""Figures as files, whole or not at all."""

from typing import Any

from refold.cli._io import Output

__all__ = ["write_picture"]


def write_picture(figure: Any, target: Output) -> None:
    """Write a matplotlib figure to where an output was planned."""
    from refold.sequences import atomic_writer

    with target.writing() as path, atomic_writer(path) as file:
        figure.savefig(file, format=target.format, dpi=160)
