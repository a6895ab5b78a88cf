"""``refold doctor``."""

import json

import pytest

from refold.cli import main


def test_findings_and_errors_are_printed(sines, fit_options, capsys):
    data = str(sines / "train.parquet")
    assert main(["doctor", data, *fit_options]) == 0
    shown = capsys.readouterr()
    [line] = shown.out.splitlines()
    assert line.startswith("too-short: The short fit had only 1 epoch")
    assert "--time-budget" in line
    assert "A short fit of 80 sequences has a held-out NMSE of" in shown.err
    assert main(["doctor", data, *fit_options, "--json", "-q"]) == 0
    shown = capsys.readouterr()
    found = json.loads(shown.out)
    assert shown.err == ""
    assert [one["name"] for one in found["findings"]] == ["too-short"]
    assert found["held_out"]["nmse"] > 0


def test_windows_and_options_for_reading(tmp_path, capsys):
    path = tmp_path / "log.csv"
    rows = [f"{one},{step},{step % 7 + (one == 'b')},7" for one in "ab" for step in range(12)]
    path.write_text("\n".join(["who,at,x,on", *rows]))
    assert main(["doctor", str(path), "--id", "who", "--time", "at"]) == 0
    assert [line.split(":")[0] for line in capsys.readouterr().out.splitlines()] == [
        "few-sequences",
        "constant-column",
    ]
    assert main(["doctor", str(path), "--id", "who", "--window", "12", "--columns", "x", "-q"]) == 0
    assert "few-sequences: 2 sequences" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere.csv"], "There is no file nowhere.csv."),
        (["--units", "0"], "--units must be a positive integer. Got 0."),
        (["--format", "csv"], "is not a csv file"),
    ],
)
def test_a_mistake_is_one_line(sines, arguments, message, capsys):
    data = [] if "nowhere.csv" in arguments else [str(sines / "train.parquet")]
    assert main(["doctor", *data, *arguments]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert message in shown.err
    assert shown.err.count("\n") == 1
