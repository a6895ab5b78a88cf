"""Plain text: one sequence per line."""

import io

import pytest

from refold.errors import FileFormatError
from refold.sequences import Sequences, read


def read_text(text: str | bytes, form: str, **options) -> Sequences:
    data = text.encode() if isinstance(text, str) else text
    return read(io.BytesIO(data), format=form, **options)


def test_text_lines():
    assert read_text(" a\n\nb\r\nc", "txt").to_list() == [" a", "", "b", "c"]
    assert read_text("\n", "txt").to_list() == [""]
    # Only a line feed ends a line. Other line separators of Unicode are characters.
    assert read_text("a\u2028b\x0bc\n", "txt").to_list() == ["a\u2028b\x0bc"]
    assert read_text("to  be\n\nor\n", "txt", unit="words").to_list() == [["to", "be"], [], ["or"]]
    with pytest.raises(FileFormatError, match="line 2: byte 0xff is not UTF-8"):
        read_text(b"a\n\xff\n", "txt")
