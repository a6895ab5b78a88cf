"""The option ``--lengths`` of decoded sequences."""

from pathlib import Path
from typing import Annotated

import typer

from refold.errors import ParameterError

Lengths = Annotated[
    str | None,
    typer.Option(
        metavar="LENGTHS",
        help="Lengths of the sequences: 10, or 3,5,7, or a text file with one per line. "
        r"\[default: decoded from the code]",
    ),
]


def read_lengths(text: str | None, num_codes: int) -> list[int] | None:
    """Parse the value of ``--lengths``."""
    if text is None:
        return None
    try:
        lengths = [int(part) for part in text.split(",")]
    except ValueError:
        lengths = _lengths_of(text)
    if any(length < 0 for length in lengths):
        raise ParameterError(f"--lengths cannot be negative. Got {min(lengths)}.")
    if len(lengths) == 1:
        return lengths * num_codes
    if len(lengths) != num_codes:
        raise ParameterError(
            f"--lengths has {len(lengths)} lengths for {num_codes} codes. Give one, or {num_codes}."
        )
    return lengths


def _lengths_of(file: str) -> list[int]:
    try:
        return [int(part) for part in Path(file).read_text(encoding="utf-8-sig").split()]
    except PermissionError:
        raise
    except (ValueError, OSError) as error:
        raise ParameterError(
            f"--lengths must be comma-separated integers or a file with one per line. Got {file!r}."
        ) from error
