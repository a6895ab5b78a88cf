"""``--time-gaps`` in a fit, and its effect on later commands."""

import csv
import json

import numpy as np
import pytest

import refold
from refold.cli import main
from refold.errors import DataError
from refold.sequences import read
from small_data import fits_without_epochs

OPTIONS = ["--latent-dim", "2", "--units", "4", "--max-epochs", "1", "--latent-steps", "0"]
OPTIONS += ["--seed", "0", "--no-refit", "-q"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("gaps")
    rng = np.random.default_rng(0)
    rows = [
        {"user": name, "at": float(at), "x": float(rng.normal()), "kind": "known"}
        for name in "abcdefgh"
        for at in np.cumsum(rng.integers(1, 9, 5))
    ]
    with (folder / "data.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    (folder / "data.jsonl").write_text("\n".join(map(json.dumps, rows)))
    given = ["--id", "user", "--time", "at", "--columns", "x", "--time-gaps"]
    model = str(folder / "m.refold")
    with fits_without_epochs():
        assert main(["fit", str(folder / "data.csv"), "-o", model, *given, *OPTIONS]) == 0
    return folder


def run(folder, command, data, output, *options):
    path = folder / output
    given = [str(folder / "m.refold"), str(folder / data), "-o", str(path)]
    assert main([command, *given, *options, "-q"]) == 0
    return path


def test_later_commands_compute_the_column(folder):
    found = read(folder / "data.csv", id="user", time="at", columns=["x"], time_gaps=True)
    model = refold.load(folder / "m.refold")
    assert model.schema.names == ("x", "time_gap")
    for data, options in (("data.csv", []), ("data.jsonl", []), ("data.csv", ["--time-gaps"])):
        path = run(folder, "encode", data, "codes.npy", *options)
        assert np.load(path).tobytes() == model.encode(found).tobytes()


def test_a_column_of_the_file_has_priority(folder):
    path = run(folder, "reconstruct", "data.csv", "back.csv")
    with path.open(encoding="utf-8", newline="") as file:
        assert next(csv.reader(file)) == ["user", "at", "x", "time_gap"]
    again = np.load(run(folder, "encode", "back.csv", "again.npy"))
    back = read(path, id="user", time="at")
    assert again.tobytes() == refold.load(folder / "m.refold").encode(back).tobytes()


def test_a_file_without_times_is_an_error(folder, capsys):
    (folder / "bare.csv").write_text("user,x\na,1\na,2\n")
    assert main(["encode", str(folder / "m.refold"), str(folder / "bare.csv")]) == 2
    message = capsys.readouterr().err
    assert message.count("\n") == 1
    assert "no time column 'at'" in message


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_a_stream_computes_the_column(folder, suffix, capsys):
    given = [str(folder / "m.refold"), str(folder / f"data.{suffix}"), "--id", "user", "-q"]
    assert main(["stream", *given, "--every", "5"]) == 0
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    data = read(folder / "data.csv", id="user", time="at", columns=["x"], time_gaps=True)
    codes = refold.load(folder / "m.refold").encode(data)
    assert [one["code"] for one in found] == codes.tolist()


def test_a_stream_of_times(folder):
    stream = refold.load(folder / "m.refold").stream()
    stream.push({"x": 1, "at": "2024-01-01T10:00"})
    stream.push([{"x": 1, "at": "2024-01-01T10:00:02.5"}])
    stream.push({"x": 0, "at": "2024-01-02T10:00:02.5"})
    assert stream.sequence.values[:, 1].tolist() == [0, 2.5, 86_400]
    with pytest.raises(DataError, match="Step 3 has the time '2024' after '2024-01-02T10"):
        stream.push({"x": 1, "at": "2024"})
    stream.push([2, 30])
    assert stream.sequence[0][-1].tolist() == [2, 30]
