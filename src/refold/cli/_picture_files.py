"""Atomic writing of figures to image files."""

from typing import Any

import refold
from refold.cli._files_and_streams import PICTURE_FORMATS, Output, plan_file


def plan_picture(name: str | None) -> Output | None:
    """Check the image file of a figure before the work; None if no figure is requested."""
    if name is None:
        return None
    from refold._support.optional_imports import optional

    reason = "The table goes to standard output. Name a file for the picture, such as picture.png."
    target = plan_file(name, PICTURE_FORMATS, reason)
    optional("matplotlib", extra="plots", purpose="A picture")
    return target


def write_picture(figure: Any, target: Output) -> None:
    """Write a matplotlib figure to a checked output."""
    with target.writing() as path, refold.sequences.atomic_writer(path) as file:
        figure.savefig(file, format=target.format, dpi=160)
