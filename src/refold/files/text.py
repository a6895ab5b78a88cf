"""Text files: one sequence per line, as characters or words. Empty lines are empty sequences."""

from typing import Any

import numpy as np

from refold.errors import DataError, SchemaError
from refold.files.formats import Format, decode_utf8
from refold.sequences._encoding import ColumnTypes, StepLocator, capitalize_first
from refold.sequences._sequences import Sequences
from refold.sequences.types import CATEGORICAL


def sequences_from_text(content: bytes, file_name: str, text_unit: str = "characters") -> Sequences:
    r"""Read one sequence per line; lines end in ``\n`` or ``\r\n``."""
    lines = decode_utf8(content, file_name).split("\n")
    if lines[-1] == "":
        lines.pop()
    return sequences_from_lines([line.removesuffix("\r") for line in lines], text_unit)


def sequences_from_lines(
    lines: list[str],
    text_unit: str,
    *,
    ids: list[Any] | None = None,
    feature_name: str = "token",
    column_types: ColumnTypes = None,
) -> Sequences:
    """Convert lines to sequences of characters or words, with one feature that has this name."""
    types = CATEGORICAL.name if column_types is None else column_types
    options: dict[str, Any] = {"ids": ids, "column_types": types, "names": [feature_name]}
    if text_unit == "characters":
        return Sequences.from_list(lines, output_layout="characters", **options)
    return Sequences.from_list([line.split() for line in lines], output_layout="words", **options)


def sequences_to_text(sequences: Sequences) -> bytes:
    """Return sequences of characters, words or tokens as text."""
    layout = sequences.schema.layout
    if layout not in {"characters", "words", "tokens"}:
        raise SchemaError(
            f"A .txt file holds characters or words; these sequences have the layout {layout!r}. "
            "Write .parquet, .csv, .jsonl or .npz."
        )
    column = sequences.schema.columns[0]
    for token in map(str, column.categories):
        # a reader splits words at spaces and sequences at line ends
        tokens_of_reader = [token] if layout == "characters" else token.split()
        if tokens_of_reader != [token] or not token or "\n" in token or "\r" in token:
            raise DataError(
                f"The token {token!r} would be ambiguous in a .txt file. Write .jsonl or .parquet."
            )
    # a missing value is NaN, and an unknown category has the number after the last category
    has_no_token = ~(sequences.values[:, 0] < len(column.categories))
    if has_no_token.any():
        location = StepLocator(sequences.offsets)(int(np.argmax(has_no_token)))
        raise DataError(
            f"{capitalize_first(location)} is missing or unknown, which a .txt file cannot hold. "
            "Write .jsonl or .parquet."
        )
    tokens = [str(column.categories[int(index)]) for index in sequences.values[:, 0]]
    separator = "" if layout == "characters" else " "
    bounds = zip(sequences.offsets[:-1], sequences.offsets[1:], strict=True)
    return "".join(f"{separator.join(tokens[start:stop])}\n" for start, stop in bounds).encode()


TXT = Format("txt", (".txt",), sequences_from_text, frozenset({"text_unit"}), sequences_to_text)
