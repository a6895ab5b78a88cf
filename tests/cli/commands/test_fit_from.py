"""``refold fit --from``, and the message about drift."""

import numpy as np
import pytest

import refold
from refold.cli import main
from refold.sequences import read, write


def run(*arguments):
    return main([str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def shifted(sines):
    """Return a file with as many sequences as the training data, at another level."""
    path = sines / "shifted.parquet"
    one = read(sines / "train.parquet")
    write(one.with_values(one.values + 2), path)
    return path


@pytest.fixture(scope="module")
def further(sines, shifted, tmp_path_factory):
    """Return a model that was trained further on the shifted sequences."""
    path = tmp_path_factory.mktemp("from") / "further.refold"
    options = "--from", sines / "sines.refold", "--max-epochs", 3, "--seed", 0, "-q"
    assert run("fit", shifted, *options, "-o", path) == 0
    return path


def test_training_continues_from_the_model(sines, shifted, further):
    load = refold.SequenceAutoencoder.load
    old, new = load(sines / "sines.refold"), load(further)
    data = read(shifted)
    assert new.score(data) > old.score(data)
    assert new.schema_ == old.schema_
    assert new.num_calibrated_ == 40  # as in the first fit
    assert not new.warm_start
    old.set_params(warm_start=True, max_epochs=3, random_state=0).fit(data)
    np.testing.assert_array_equal(old.transform(data), new.transform(data))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--latent-dim", "9"], "--latent-dim 9 cannot change in further training"),
        (["--variational"], "--variational cannot change in further training"),
        (["--scale", "none"], "--scale none cannot change"),
        (["--missing", "-9"], "--missing -9.0 cannot change"),
    ],
)
def test_options_that_contradict_the_model_are_refused(
    sines, shifted, tmp_path, capsys, options, message
):
    given = "fit", shifted, "--from", sines / "sines.refold", "-o", tmp_path / "new.refold"
    assert run(*given, *options) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert lines[-1].startswith(f"Error: {message}")
    assert "without --from" in lines[-1]
    assert not (tmp_path / "new.refold").exists()


def test_drift_is_reported_in_one_line(sines, shifted, capsys, tmp_path):
    for command in ("encode", "detect"):
        given = command, sines / "sines.refold"
        options = ["--alpha", 0.1] if command == "detect" else []
        out = "-o", tmp_path / "out.csv"
        assert run(*given, shifted, *options, *out) == 0
        lines = capsys.readouterr().err.splitlines()
        assert sum(line.startswith("Drift: these sequences differ from") for line in lines) == 1
        assert run(*given, sines / "train.parquet", *options, *out) == 0
        assert run(*given, sines / "new.parquet", *options, *out) == 0
        assert "Drift" not in capsys.readouterr().err
        assert run(*given, shifted, *options, *out, "-q") == 0
        assert capsys.readouterr().err == ""
    optimized = "encode", sines / "sines.refold", shifted, "--latent-steps", 1
    assert run(*optimized, *out) == 0
    assert "Drift: these sequences differ" in capsys.readouterr().err
