"""``refold curve``, and ``refold fit`` with a share as latent dimensions."""

import json

import pytest

import refold
from refold.cli import main
from refold.sequences import write
from test_error_curve import interrupted_after
from training.test_held_out_error import curves

SHORT = ["--units", "6", "--max-epochs", "1", "--seed", "0"]
FIT = [*SHORT, "--latent-steps", "0", "--no-refit"]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    path = tmp_path_factory.mktemp("curve") / "curves.npz"
    write(curves(), path)
    return str(path)


def test_a_table_and_a_picture(data, tmp_path, capsys):
    picture = tmp_path / "curve.png"
    assert main(["curve", data, "--sizes", "4,1", "-o", str(picture), *SHORT]) == 0
    shown = capsys.readouterr()
    head, *rows = shown.out.splitlines()
    assert head.split() == ["latent", "dimensions", "Refold,", "NMSE", "PCA,", "NMSE"]
    table = [[float(number) for number in row.split()] for row in rows]
    assert [row[0] for row in table] == [1, 4]
    assert table[1][1] < table[0][1]
    assert "2 of 2: size 4" in shown.err
    assert shown.err.endswith(f"Wrote the figure to {picture}\n")
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert [path.name for path in tmp_path.iterdir()] == ["curve.png"]


def test_json_agrees_with_python(data, capsys):
    assert main(["curve", data, "--sizes", "1,4", "--json", "--quiet", *SHORT]) == 0
    shown = capsys.readouterr()
    short = refold.SequenceAutoencoder(units=6, max_epochs=1, random_state=0)
    expected = refold.error_curve(curves(), (1, 4), estimator=short)
    assert refold.ErrorCurve(*map(_tuple, json.loads(shown.out).values())) == expected
    assert shown.err == ""


def _tuple(value):
    return tuple(value) if isinstance(value, list) else value


@pytest.mark.usefixtures("ctrl_c")
def test_ctrl_c_shows_the_finished_fits(data, tmp_path, capsys, monkeypatch):
    interrupted_after(monkeypatch, 1)
    picture = tmp_path / "curve.svg"
    assert main(["curve", data, "--sizes", "1,4,8", "-o", str(picture), "-q", *SHORT]) == 130
    shown = capsys.readouterr()
    assert [row.split()[0] for row in shown.out.splitlines()[1:]] == ["1"]
    assert shown.err == "Interrupted: Stopped by Ctrl-C after 1 of 3 sizes.\n"
    assert "<svg" in picture.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--sizes", "2,x"], "--sizes must be comma-separated integers, such as 2,4,8. Got '2,x'"),
        (["--sizes", "0,2"], "--sizes must be at least 1 each. Got 0."),
        (["-o", "nowhere/curve.png"], "there is no folder 'nowhere'"),
        (["-o", "curve.jpeg"], "must end in .png or .svg"),
        (["-o", "-"], "cannot be standard output. Name a file."),
        (["--validation-fraction", "0"], "holds nothing out"),
        (["--time-budget", "-1"], "--time-budget must be a positive number of seconds"),
    ],
)
def test_a_mistake_is_one_line_before_any_work(data, arguments, message, capsys):
    assert main(["curve", data, *SHORT, *arguments]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert message in shown.err
    assert shown.err.startswith("Error: ")
    assert shown.err.count("\n") == 1


def test_fit_accepts_a_share_and_reports_the_size(data, tmp_path, capsys):
    model = tmp_path / "curves.refold"
    assert main(["fit", data, "-o", str(model), "--latent-dim", "0.1", *FIT]) == 0
    message = capsys.readouterr().err
    size = refold.SequenceAutoencoder.load(model).latent_dim_
    assert f"A code of {size} dimension" in message
    assert message.count("Held out (5 sequences): NMSE ") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["curves.refold"]
    assert main(["fit", data, "-o", str(model), "--latent-dim", "4.0", "-q", *FIT]) == 0
    assert refold.SequenceAutoencoder.load(model).latent_dim == 4
    assert capsys.readouterr().err == ""
    wrong = ["--latent-dim", "0.5", "--validation-fraction", "0"]
    assert main(["fit", data, "-o", str(model), *wrong, *SHORT]) == 2
    assert "latent_dim=0.5 is a share of the held-out variance" in capsys.readouterr().err
