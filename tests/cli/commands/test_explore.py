"""``refold explore --export``: a page in a file, and mistakes."""

import base64
import json
import re
import zlib

import pytest

from refold.cli import main


def test_a_page_is_written(sines, tmp_path, capsys):
    page = tmp_path / "page.html"
    model, data = str(sines / "sines.refold"), str(sines / "normal.parquet")
    given = ["explore", model, data, "--export", str(page), "--max-sequences", "30", "-n", "2"]
    assert main(given) == 0
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "Showing 30 of 40 sequences, drawn at random." in shown.err
    assert "page.html has 0." in shown.err
    content = page.read_text()
    (about,) = re.findall(r'data-name="about" data-type="json">([^<]*)<', content)
    info = json.loads(zlib.decompress(base64.b64decode(about)))["info"]
    assert info["count"] == 30
    assert info["model"] == "sines"
    names = [field["name"] for field in info["fields"]]
    assert names == ["length", "error", "anomaly p-value", "cluster"]
    assert info["fields"][3]["categories"] == ["0", "1"]
    assert "https://" not in content


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--export", "page.txt"], "must end in .html"),
        (["--export", "no/page.html"], "there is no folder"),
        (["--export", "-"], "--export cannot be standard output. Name a file."),
        (["--export", "p.html", "--max-sequences", "0"], "for --max-sequences"),
        (["--export", "p.html", "--max-megabytes", "0"], "for --max-megabytes"),
    ],
)
def test_a_mistake_is_one_line(sines, capsys, monkeypatch, tmp_path, arguments, message):
    monkeypatch.chdir(tmp_path)
    files = [str(sines / "bare.refold"), str(sines / "new.parquet")]
    assert main(["explore", *files, *arguments]) == 2
    shown = capsys.readouterr()
    assert message in shown.err
    assert shown.out == ""
    assert list(tmp_path.iterdir()) == []
