"""Data in docs/how-to/files.md is read as the page describes."""

import re
from pathlib import Path

import numpy as np
import pytest

from refold.sequences import read

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "files.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```\w*\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)


def block(begin):
    return next(text for text in BLOCKS if text.startswith(begin))


@pytest.mark.parametrize(
    ("begin", "name", "options", "lengths", "missing"),
    [
        ("id,time", "table.csv", {}, {"a": 2, "b": 0, "c": 1}, (2, 0, 0)),
        ("id,t0", "wide.csv", {"layout": "wide"}, {"a": 3, "b": 3, "c": 1}, (1, 1)),
        ('{"user"', "events.jsonl", {"id": "user", "time": "at"}, {"a": 2, "b": 1}, (1, 0, 1)),
    ],
)
def test_tables_are_read_as_described(tmp_path, begin, name, options, lengths, missing):
    (tmp_path / name).write_text(block(begin))
    back = read(tmp_path / name, **options)
    assert dict(zip(back.ids.tolist(), back.lengths.tolist(), strict=True)) == lengths
    assert np.isnan(back[missing[0]][missing[1:]])


def test_every_line_of_the_page_is_read_in_its_layout(tmp_path):
    layouts = []
    for line in block("[[").splitlines():
        (tmp_path / "line.jsonl").write_text(line.split("   ")[0] + "\n")
        layouts.append(read(tmp_path / "line.jsonl").schema.layout)
    assert layouts == ["array", "series", "tokens", "characters", "array"]
