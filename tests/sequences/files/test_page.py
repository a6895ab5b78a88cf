"""Data in docs/how-to/files.md is read as the page describes."""

import re
from pathlib import Path

import numpy as np

from refold.sequences import read

PAGE = (Path(__file__).parents[3] / "docs" / "how-to" / "files.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)


def test_the_table_is_read_as_described(tmp_path):
    text = next(text for _, text in BLOCKS if text.startswith("id,time"))
    (tmp_path / "table.csv").write_text(text)
    back = read(tmp_path / "table.csv")
    assert back.ids.tolist() == ["a", "b", "c"]
    assert back.lengths.tolist() == [2, 0, 1]
    assert np.isnan(back[2][0, 0])


def test_every_line_of_the_page_is_read_in_its_layout(tmp_path):
    text = next(text for _, text in BLOCKS if text.startswith("[["))
    layouts = []
    for line in text.splitlines():
        (tmp_path / "line.jsonl").write_text(line.split("   ")[0] + "\n")
        layouts.append(read(tmp_path / "line.jsonl").schema.layout)
    assert layouts == ["array", "series", "tokens", "characters", "array"]


def test_the_wide_table_is_read_as_described(tmp_path):
    text = next(text for _, text in BLOCKS if text.startswith("id,t0"))
    (tmp_path / "wide.csv").write_text(text)
    back = read(tmp_path / "wide.csv", layout="wide")
    assert back.ids.tolist() == ["a", "b", "c"]
    assert back.lengths.tolist() == [3, 3, 1]
    assert np.isnan(back[1][1])


def test_events_are_read_as_described(tmp_path):
    text = next(text for _, text in BLOCKS if text.startswith('{"user"'))
    (tmp_path / "events.jsonl").write_text(text)
    back = read(tmp_path / "events.jsonl", id="user", time="at")
    assert back.ids.tolist() == ["a", "b"]
    assert back.lengths.tolist() == [2, 1]
    assert np.isnan(back[1][0, 1])
