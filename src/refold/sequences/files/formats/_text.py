"""Text files: one sequence a line, as characters or words; an empty line is an empty sequence."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from refold.errors import DataError, SchemaError
from refold.sequences._sequences import Sequences
from refold.sequences.files._file_access import decode_utf8
from refold.sequences.schema._decoding import decode_column
from refold.sequences.schema._schema import UNKNOWN

__all__ = ["read_text", "text_sequences", "write_text"]


def read_text(data: bytes, name: str, *, unit: str = "characters") -> Sequences:
    r"""Read one sequence a line; lines end in ``\n`` or ``\r\n``.

    Examples
    --------
    >>> read_text(b"ab\n\nb\n", "letters.txt").to_list()
    ['ab', '', 'b']
    """
    lines = decode_utf8(data, name).split("\n")
    if lines[-1] == "":
        lines.pop()
    return text_sequences([line.removesuffix("\r") for line in lines], unit=unit)


def text_sequences(
    lines: list[str], *, unit: str, ids: np.ndarray | None = None, name: str = "token"
) -> Sequences:
    """Turn lines into sequences of characters or of words."""
    options: dict[str, Any] = {"ids": ids, "column_types": "categorical", "names": [name]}
    if unit == "characters":
        return Sequences.from_list(lines, layout="characters", **options)
    return Sequences.from_list([line.split() for line in lines], layout="words", **options)


def write_text(sequences: Sequences) -> bytes:
    r"""Return the text of sequences of characters, words or tokens.

    Raises
    ------
    SchemaError
        If the sequences are arrays.
    DataError
        If a label cannot be told apart in text: it holds a line break, or is a word with a
        space, or an entry is missing.
    """
    layout = sequences.schema.layout
    if layout not in {"characters", "words", "tokens"}:
        raise SchemaError(
            f"A .txt file holds characters or words; these sequences have the layout {layout!r}. "
            "Write .parquet, .csv, .jsonl or .npz."
        )
    column = sequences.schema.columns[0]
    _check_labels(column.categories, layout)
    steps = decode_column(sequences.values[:, 0], column)
    joint = "" if layout == "characters" else " "
    return "".join(joint.join(line) + "\n" for line in _lines(steps, sequences)).encode()


def _check_labels(labels: tuple[str, ...] | tuple[int, ...], layout: str) -> None:
    for label in map(str, labels):
        kept = [label] if layout == "characters" else label.split()
        if kept != [label] or not label or "\n" in label or "\r" in label:
            raise DataError(
                f"The label {label!r} cannot be told apart in a .txt file. "
                "Write .jsonl or .parquet."
            )


def _lines(steps: np.ndarray, sequences: Sequences) -> Iterator[list[str]]:
    for i, (start, stop) in enumerate(
        zip(sequences.offsets[:-1], sequences.offsets[1:], strict=True)
    ):
        line = list(steps[start:stop])
        for step, label in enumerate(line):
            if label is None or label == UNKNOWN or label != label:
                raise DataError(
                    f"Sequence {i}, step {step} is missing or unknown, which a .txt file cannot "
                    "hold. Write .jsonl or .parquet."
                )
        yield [str(label) if isinstance(label, str) else str(int(label)) for label in line]
