"""All basic commands as real processes: data, fit, encode, decode, reconstruct, info."""

import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from refold import kernels
from refold.cli import main
from refold.cli._codes import read_codes
from refold.datasets import moving_ones, ramps
from refold.sequences import read, write
from small_data import untrained

NUM = 40


@pytest.fixture(autouse=True, scope="module")
def _silent_without_a_kernel():
    """Hide the message that every process prints if the kernel was not built."""
    with pytest.MonkeyPatch.context() as patch:
        if kernels.variant() is None:
            patch.setenv("REFOLD_KERNEL", "none")
        yield


def refold(*arguments, **options):
    command = [sys.executable, "-m", "refold", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, timeout=300, **options)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a folder with ``ones.npz`` and the model ``ones.refold``, made by two processes."""
    folder = tmp_path_factory.mktemp("path")
    made = refold("data", "moving-ones", "-o", folder / "ones.npz", "-n", NUM, "--seed", 3)
    assert made.stderr.decode() == f"Wrote {NUM} sequences to {folder / 'ones.npz'}\n"
    settings = ["--latent-dim", 4, "--units", 8, "--max-epochs", 2, "--seed", 0]
    settings += ["--latent-steps", 10]
    fitted = refold("fit", folder / "ones.npz", "-o", folder / "ones.refold", *settings)
    assert fitted.returncode == 0
    assert fitted.stdout == b""
    assert "Trained on 40 sequences" in fitted.stderr.decode()
    return folder


@pytest.fixture(scope="module")
def codes(folder):
    path = folder / "codes.parquet"
    arguments = [str(folder / "ones.refold"), str(folder / "ones.npz"), "-o", str(path)]
    assert main(["encode", *arguments, "--quiet"]) == 0
    return read_codes(path)[0]


def test_the_data_is_that_of_the_library(folder):
    written, expected = read(folder / "ones.npz"), moving_ones(NUM, seed=3)
    np.testing.assert_array_equal(written.values, expected.values)
    np.testing.assert_array_equal(written.offsets, expected.offsets)


def test_the_library_can_load_the_model(folder, codes):
    import refold

    model = refold.load(folder / "ones.refold")
    assert codes.shape == (NUM, 4)
    np.testing.assert_array_equal(codes, model.encode(read(folder / "ones.npz")))


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "npy"])
def test_codes_in_every_format_decode_to_the_same_sequences(folder, codes, suffix, capsys):
    model, path = str(folder / "ones.refold"), str(folder / f"codes.{suffix}")
    assert main(["encode", model, str(folder / "ones.npz"), "-o", path]) == 0
    np.testing.assert_array_equal(read_codes(Path(path))[0], codes)
    outputs = [str(folder / name) for name in ("back.npz", "same.npz")]
    assert main(["decode", model, path, "-o", outputs[0]]) == 0
    assert main(["reconstruct", model, str(folder / "ones.npz"), "-o", outputs[1]]) == 0
    back, same = (read(output) for output in outputs)
    np.testing.assert_array_equal(back.values, same.values)
    np.testing.assert_array_equal(back.offsets, same.offsets)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert f"Wrote {NUM} sequences to {outputs[0]}" in shown.err


def test_codes_without_latent_optimization(folder, codes, tmp_path):
    import refold

    model, data, path = str(folder / "ones.refold"), str(folder / "ones.npz"), tmp_path / "c.npy"
    assert main(["encode", model, data, "-o", str(path), "--latent-steps", "0", "-q"]) == 0
    own = refold.load(model).with_latent_steps(0).encode(read(data))
    np.testing.assert_array_equal(np.load(path), own)
    assert not np.array_equal(own, codes)


def test_ids_are_kept(folder, tmp_path):
    table = tmp_path / "named.csv"
    rows = [
        f"{name},{','.join('1' if i == t else '0' for i in range(8))}"
        for name in ("b", "a")
        for t in range(3)
    ]
    header = ",".join(["who", *(f"x{i}" for i in range(8))])
    table.write_text("\n".join([header, *rows]), encoding="utf-8")
    model = str(folder / "ones.refold")
    path = tmp_path / "codes.csv"
    assert main(["encode", model, str(table), "--id", "who", "-o", str(path)]) == 0
    values, ids = read_codes(path)
    assert sorted(ids.tolist()) == ["a", "b"]
    np.testing.assert_array_equal(values[0], values[1])
    back = tmp_path / "back.parquet"
    assert main(["decode", model, str(path), "-o", str(back), "--lengths", "4"]) == 0
    assert read(back).ids.tolist() == ids.tolist()
    assert read(back).lengths.tolist() == [4, 4]


def test_lengths_are_a_list_or_a_file(folder, codes, tmp_path):
    model = str(folder / "ones.refold")
    np.save(tmp_path / "codes.npy", codes[:3])
    (tmp_path / "lengths.txt").write_text("2\n0\n5\n", encoding="utf-8")
    for given in ("2,0,5", str(tmp_path / "lengths.txt")):
        output = tmp_path / "back.npz"
        arguments = [model, str(tmp_path / "codes.npy"), "-o", str(output), "--lengths", given]
        assert main(["decode", *arguments]) == 0
        assert read(output).lengths.tolist() == [2, 0, 5]


def test_info_as_text_and_json(folder, capsys):
    assert main(["info", str(folder / "ones.refold")]) == 0
    shown = capsys.readouterr().out
    assert "8 binary" in shown
    assert "10 steps" in shown
    rows = [line.split(maxsplit=1) for line in map(str.strip, shown.splitlines())]
    assert ["decoder", "autoregressive"] in rows
    assert ["patch", "1 step"] in rows
    assert "latent optimization 10 steps" in " ".join(shown.split())
    assert main(["info", str(folder / "ones.refold"), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["code_size"] == 4
    assert facts["epochs"] == 2
    assert facts["parameters"]["units"] == 8
    assert facts["parameters"]["decoder"] == "auto"
    assert [facts[name] for name in ("decoder", "patch", "latent_steps")] == [
        "autoregressive",
        1,
        10,
    ]
    assert [column["type"] for column in facts["columns"]] == ["binary"] * 8


def test_pipes_give_the_same_results_as_files(folder, codes, capfdbinary, monkeypatch):
    model = folder / "ones.refold"
    lines = refold("data", "moving-ones", "-n", NUM, "--seed", 3)
    assert lines.stderr == b""
    assert len(lines.stdout.splitlines()) == NUM
    encoded = refold("encode", model, "-", "--format", "jsonl", input=lines.stdout)
    assert encoded.stderr == b""
    values = np.array([json.loads(line)["code"] for line in encoded.stdout.splitlines()])
    np.testing.assert_array_equal(values.astype(np.float32), codes)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(model.read_bytes())))
    assert main(["decode", "-", str(folder / "codes.parquet")]) == 0
    assert len(capfdbinary.readouterr().out.splitlines()) == NUM


def test_ts_files_in_all_commands(sines, fit_options, tmp_path, capfdbinary):
    train, data, model, back = (
        str(tmp_path / name) for name in ("train.ts", "sines.ts", "sines.refold", "back.ts")
    )
    write(read(sines / "left.parquet"), train)
    assert main(["fit", train, "-o", model, *fit_options, "-q"]) == 0
    assert main(["data", "noisy-sines", "-n", "12", "-o", data, "-q"]) == 0
    assert main(["reconstruct", model, data, "-o", back, "-q"]) == 0
    assert len(read(back)) == 12
    capfdbinary.readouterr()
    assert main(["reconstruct", model, data, "--output-format", "ts", "-q"]) == 0
    assert capfdbinary.readouterr().out == Path(back).read_bytes()


def test_a_closed_pipe_is_not_an_error():
    command = [sys.executable, "-m", "refold", "data", "moving-ones", "-n", "20000"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.read(10)
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(timeout=120) == 1


@pytest.mark.usefixtures("ctrl_c")
@pytest.mark.skipif(os.name == "nt", reason="signals of another kind")
def test_ctrl_c_is_one_line(tmp_path):
    command = [sys.executable, "-m", "refold", "fit", "-", "--format", "csv", "-o", "m.refold"]
    (tmp_path / "temporary").mkdir()
    environment = {**os.environ, "TMPDIR": str(tmp_path / "temporary")}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, cwd=tmp_path, env=environment, **pipes) as process:
        deadline = time.monotonic() + 60
        while not list((tmp_path / "temporary").rglob("input.csv")):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert output == b""
    assert errors.decode().startswith("Interrupted: Stopped by Ctrl-C.")
    assert len(errors.splitlines()) == 1
    assert list(tmp_path.rglob("*.*")) == []


@pytest.mark.parametrize(
    "arguments",
    [
        ["info", "s3://bucket/x"],
        ["doctor", "s3://bucket/x"],
        ["fit", "s3://bucket/x", "-o", "m.refold"],
        ["fit", "data.csv", "-o", "s3://bucket/x"],
        ["stream", "m.refold", "s3://bucket/x"],
    ],
)
def test_an_address_is_named_as_it_was_typed(arguments, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write(ramps(), "data.csv")
    if arguments[0] == "stream":
        untrained(ramps()).save("m.refold")
    assert main(arguments) == 2
    message = "Error: s3://bucket/x is an address. Name a file of this machine.\n"
    assert capsys.readouterr().err == message
