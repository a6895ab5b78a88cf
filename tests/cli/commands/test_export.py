"""`refold export` writes a graph, and says how close it is."""

import numpy as np
import onnxruntime
import pytest

import refold
from refold.cli import main


@pytest.mark.parametrize("part", ["encoder", "decoder"])
def test_a_part_is_written(part, sines, tmp_path, capsys):
    path = tmp_path / "sines.onnx"
    options = "--packed", "--weights", "float16", "--opset", "19"
    model = sines / "sines.refold"
    assert main(["export", str(model), "-o", str(path), "--part", part, *options]) == 0
    printed = capsys.readouterr().err
    assert f"Wrote the {part} to {path}" in printed
    assert "standard deviations in ONNX Runtime" in printed
    session = onnxruntime.InferenceSession(path)
    if part == "encoder":
        data = refold.sequences.read(sines / "new.parquet")
        counts = data.lengths.astype(np.int32)
        values = data.values.ravel().astype(np.float32)
        (codes,) = session.run(None, {"values": values, "counts": counts})
        np.testing.assert_allclose(codes, refold.load(model).encode(data), atol=0.02)


def test_bad_options_are_one_line(sines, tmp_path, capsys):
    model, path = str(sines / "sines.refold"), str(tmp_path / "model.onnx")
    for options, said in (
        (["-o", str(tmp_path / "model.txt")], "must end in .onnx"),
        (["-o", path, "--opset", "12"], "--opset must be an integer from 18"),
    ):
        assert main(["export", model, *options]) == 2
        printed = capsys.readouterr().err
        assert said in printed
        assert printed.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
