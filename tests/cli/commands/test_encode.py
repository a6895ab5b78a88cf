"""Codes as float16, and codes of other models, in the commands."""

import numpy as np
import pytest

import refold
from refold.cli import main
from refold.cli._codes import read_codes
from refold.sequences import read, write


@pytest.mark.parametrize("suffix", ["parquet", "npz"])
def test_decode_reads_fewer_bits(sines, tmp_path, suffix):
    model, codes = str(sines / "bare.refold"), tmp_path / f"codes.{suffix}"
    encode = ["encode", model, str(sines / "new.parquet"), "-o", str(codes)]
    assert main([*encode, "--dtype", "float16", "-q"]) == 0
    assert main(["decode", model, str(codes), "-o", str(tmp_path / "back.npz"), "-q"]) == 0
    loaded = refold.load(model)
    stored = np.float32(np.float16(loaded.encode(read(sines / "new.parquet"))))
    np.testing.assert_array_equal(read_codes(codes)[0], stored)
    back, expected = read(tmp_path / "back.npz"), loaded.decode(stored)
    assert all(np.array_equal(*pair) for pair in zip(back.to_list(), expected, strict=True))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--dtype", "int8"], "--dtype must be 'float32' or 'float16'. Got 'int8'"),
        (
            ["--dtype", "float16"],
            "--dtype float16 needs an output in the format .parquet, .npy or .npz. Got .jsonl",
        ),
        (["--dtype", "float16", "-o", "c.csv"], "format .parquet, .npy or .npz. Got .csv"),
    ],
)
def test_a_dtype_that_the_format_cannot_store_is_refused(
    sines, tmp_path, monkeypatch, capsys, options, message
):
    monkeypatch.chdir(tmp_path)
    data = str(sines / "new.parquet")
    assert main(["encode", str(sines / "bare.refold"), data, *options]) == 2
    assert message in " ".join(capsys.readouterr().err.split())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", ["encode", "reconstruct", "detect"])
def test_one_line_says_that_the_units_differ(sines, tmp_path, capsys, command):
    new = read(sines / "new.parquet")[:5]
    write(new.with_values(1000 * new.values), tmp_path / "wrong.parquet")
    options = ["--alpha", "0.1"] if command == "detect" else []
    run = [command, str(sines / "sines.refold"), str(tmp_path / "wrong.parquet"), *options]
    assert main([*run, "-o", str(tmp_path / "out.parquet"), "-q"]) == 0
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("Warning: 100 ")
    assert "% of the values of column 'x0' are far outside of the training data" in line


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    """Return a model with codes of the same width as those of the model of the tests."""
    ae = refold.SequenceAutoencoder(4, units=8, latent_steps=0, max_epochs=1, random_state=1)
    ae.fit(refold.datasets.noisy_sines(40, seed=5, max_steps=40))
    path = tmp_path_factory.mktemp("other") / "other.refold"
    ae.save(path)
    return path


@pytest.mark.parametrize("suffix", ["parquet", "npz"])
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_decode_refuses_codes_of_another_model(sines, other, tmp_path, capsys, suffix, dtype):
    model, codes, back = sines / "bare.refold", tmp_path / f"codes.{suffix}", tmp_path / "back.npz"
    encode = ["encode", str(model), str(sines / "new.parquet"), "-o", str(codes), "--dtype", dtype]
    assert main([*encode, "-q"]) == 0
    assert main(["decode", str(other), str(codes), "-o", str(back)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    hashes = [refold.load(path).hash[:12] for path in (model, other)]
    assert f"(hash {hashes[0]}, and this model has {hashes[1]})" in line
    assert not back.exists()
    # that of the calibrated model differs only in what no code depends on
    for own in ("bare", "sines"):
        assert (
            main(["decode", str(sines / f"{own}.refold"), str(codes), "-o", str(back), "-q"]) == 0
        )
        assert capsys.readouterr().err == ""
    assert main(["info", str(model)]) == 0
    assert hashes[0] in capsys.readouterr().out


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "npy"])
def test_decode_warns_of_codes_of_an_unknown_model(sines, tmp_path, capsys, suffix):
    model, codes = str(sines / "bare.refold"), str(tmp_path / f"codes.{suffix}")
    assert main(["encode", model, str(sines / "new.parquet"), "-o", codes, "-q"]) == 0
    assert main(["decode", model, codes, "-o", str(tmp_path / "back.npz"), "-q"]) == 0
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("Warning: This file does not tell the model of its codes")
