"""``refold fit --from``, ``curve`` and ``doctor``."""

import json

import numpy as np
import pytest

import refold
from refold.sequences import read, write
from small_data import interrupt_after_fits
from training.test_reports import curves

SHORT = ["--units", "6", "--max-epochs", "1", "--seed", "0"]


@pytest.fixture(scope="module")
def shifted(sines):
    """Return a file of the training data with all values raised by 2."""
    path = sines / "shifted.parquet"
    train = read(sines / "train.parquet")
    write(train.with_values(train.values + 2), path)
    return path


def test_training_continues_from_the_model(sines, shifted, tmp_path, run):
    options = "--from", sines / "sines.refold", "--max-epochs", 3, "--seed", 0, "-q"
    run("fit", shifted, *options, "-o", tmp_path / "further.refold")
    load = refold.SequenceAutoencoder.load
    old, new = load(sines / "sines.refold"), load(tmp_path / "further.refold")
    data = read(shifted)
    assert new.score(data) > old.score(data)
    assert new.schema_ == old.schema_
    assert new.model_.num_calibrated == 40  # as in the first fit
    assert not new.warm_start
    without_seed = [option for option in options if option not in ("--seed", 0)]
    run("fit", shifted, *without_seed, "-o", tmp_path / "without_seed.refold")
    assert load(tmp_path / "without_seed.refold").random_state == old.random_state
    old.set_params(warm_start=True, max_epochs=3, random_state=0).fit(data)
    np.testing.assert_array_equal(old.transform(data), new.transform(data))


def test_a_fit_says_what_is_wrong_before_and_what_to_set_after(tmp_path, run, fit_options):
    words = tmp_path / "words.txt"
    words.write_text("ab\nba\n" * 7)
    arguments = "fit", words, "-o", tmp_path / "m.refold", *fit_options
    before, *_, after, finished = run(*arguments).err.splitlines()
    assert before == (
        "few-sequences: 14 sequences are few for 4 latent dimensions. Collect more, or use fewer "
        "dimensions, such as --latent-dim 1."
    )
    assert "the error still fell after 1 epoch, so try --max-epochs 4" in after.lower()
    assert finished.startswith("Trained on 14 sequences")
    assert run(*arguments, "-q").err == ""


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    path = tmp_path_factory.mktemp("curve") / "curves.npz"
    write(curves(), path)
    return path


@pytest.mark.usefixtures("skip_epochs")
def test_a_curve_as_a_table_a_picture_and_json(data, tmp_path, run):
    picture = tmp_path / "curve.png"
    captured = run("curve", data, "--sizes", "4,1", "-o", picture, *SHORT)
    header_line, *rows = captured.out.splitlines()
    assert header_line.split() == ["latent", "dimensions", "Refold,", "NMSE", "PCA,", "NMSE"]
    table = [[float(number) for number in row.split()] for row in rows]
    assert [row[0] for row in table] == [1, 4]
    assert table[1][1] < table[0][1]
    assert "2 of 2: size 4" in captured.err
    assert captured.err.endswith(f"Wrote the figure to {picture}\n")
    assert picture.read_bytes().startswith(b"\x89PNG")


@pytest.mark.usefixtures("ctrl_c")
def test_ctrl_c_shows_the_finished_fits(data, tmp_path, run, monkeypatch):
    interrupt_after_fits(monkeypatch, after=1)
    picture = tmp_path / "curve.svg"
    options = "--sizes", "1,4,8", "-o", picture, "--json", "-q"
    captured = run("curve", data, *options, *SHORT, exit_code=130)
    assert json.loads(captured.out)["sizes"] == [1]
    assert captured.err == "Interrupted: Stopped by Ctrl-C after 1 of 3 sizes.\n"
    assert "<svg" in picture.read_text(encoding="utf-8")


def test_findings_and_errors_are_printed(sines, fit_options, run):
    captured = run("doctor", sines / "train.parquet", *fit_options)
    [line] = captured.out.splitlines()
    assert line.startswith("too-short: The short fit had only 1 epoch")
    assert "--time-budget" in line
    assert "A short fit of 80 sequences has a held-out NMSE of" in captured.err


def test_windows_and_options_for_reading(tmp_path, run):
    path = tmp_path / "log.csv"
    rows = [f"{name},{step},{step % 7 + (name == 'b')},7" for name in "ab" for step in range(12)]
    path.write_text("\n".join(["who,at,x,on", *rows]))
    options = "--id", "who", "--window", "12", "--columns", "x", "-q", "--json"
    diagnosis = json.loads(run("doctor", path, *options).out)
    assert [finding["name"] for finding in diagnosis["findings"]] == ["few-sequences"]
