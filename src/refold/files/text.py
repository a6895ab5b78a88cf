"""Text files: one sequence per line, as characters or words. Empty lines are empty sequences."""

from typing import Any

import numpy as np

from refold.errors import DataError, SchemaError
from refold.files.formats import Format, decode_utf8
from refold.sequences._schema import decode_column
from refold.sequences._sequences import Sequences
from refold.sequences.types import CATEGORICAL, UNKNOWN


def read_text(data: bytes, name: str, *, unit: str = "characters") -> Sequences:
    r"""Read one sequence per line; lines end in ``\n`` or ``\r\n``."""
    lines = decode_utf8(data, name).split("\n")
    if lines[-1] == "":
        lines.pop()
    return text_sequences([line.removesuffix("\r") for line in lines], unit=unit)


def text_sequences(
    lines: list[str], *, unit: str, ids: np.ndarray | None = None, name: str = "token"
) -> Sequences:
    """Convert lines to sequences of characters or words."""
    options: dict[str, Any] = {"ids": ids, "column_types": CATEGORICAL.name, "names": [name]}
    if unit == "characters":
        return Sequences.from_list(lines, layout="characters", **options)
    return Sequences.from_list([line.split() for line in lines], layout="words", **options)


def write_text(sequences: Sequences) -> bytes:
    """Return sequences of characters, words or tokens as text."""
    layout = sequences.schema.layout
    if layout not in {"characters", "words", "tokens"}:
        raise SchemaError(
            f"A .txt file holds characters or words; these sequences have the layout {layout!r}. "
            "Write .parquet, .csv, .jsonl or .npz."
        )
    column = sequences.schema.columns[0]
    for token in map(str, column.categories):
        kept = [token] if layout == "characters" else token.split()
        if kept != [token] or not token or "\n" in token or "\r" in token:
            raise DataError(
                f"The token {token!r} would be ambiguous in a .txt file. Write .jsonl or .parquet."
            )
    steps = decode_column(sequences.values[:, 0], column)
    lines, joint = [], "" if layout == "characters" else " "
    bounds = zip(sequences.offsets[:-1], sequences.offsets[1:], strict=True)
    for i, (start, stop) in enumerate(bounds):
        line = list(steps[start:stop])
        for step, token in enumerate(line):
            if token is None or token == UNKNOWN or token != token:
                raise DataError(
                    f"Sequence {i}, step {step} is missing or unknown, which a .txt file cannot "
                    "hold. Write .jsonl or .parquet."
                )
        # categories that are integers are decoded as floats
        lines.append(joint.join(t if isinstance(t, str) else str(int(t)) for t in line))
    return "".join(f"{line}\n" for line in lines).encode()


TEXT = Format("txt", (".txt",), read_text, frozenset({"unit"}), write_text)
