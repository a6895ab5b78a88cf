"""``refold info``, ``export`` and ``data``."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from importlib.metadata import version

import numpy as np
import onnxruntime
import pytest

import refold
from forks import server_with_keras
from refold import kernels
from refold.cli._outputs import print_facts
from refold.datasets import moving_ones
from refold.sequences import Column, Schema, read


@pytest.fixture
def model(sines):
    """Return a model of one column."""
    return refold.load(sines / "bare.refold")


def facts_in(shown):
    """Return the two columns of a text."""
    pairs = (line.strip().split("  ", 1) for line in shown.out.splitlines() if "  " in line)
    return {name: text.strip() for name, text in pairs}


def test_the_installation(run):
    facts = json.loads(run("info", "--json").out)
    for name in ("refold", "keras", "jax", "numpy"):
        assert facts[name] == version(name)
    assert facts["backend"] == "jax"
    assert facts["lstm_kernel"] == kernels.variant()
    assert facts["why_no_lstm_kernel"] == kernels.why_not()
    shown = run("info").out.splitlines()
    names = ["refold", "keras", "jax", "numpy", "python", "device", "LSTM kernel"]
    assert [line.split("  ")[0] for line in shown if line[0] != " "] == names
    assert f"{version('keras')}, on jax" in shown[1]
    assert (kernels.variant() or "none: ") in shown[6]


def test_the_reason_for_a_missing_kernel_is_shown_and_escaped_for_the_locale(model, tmp_path):
    schema = Schema((Column("температура", "numeric"),))
    replace(model, schema=schema).save(tmp_path / "m.refold")
    commands = f"['info', {str(tmp_path / 'm.refold')!r}]", "['info']", "['info', '--json']"
    program = "import sys\nsys.stdout.reconfigure(encoding='ascii')\nfrom refold.cli import main\n"
    program += "\n".join(f"print(main({c}))" for c in commands)
    done = server_with_keras().run(program, REFOLD_KERNEL="none", COLUMNS="300")
    assert done.stderr == ""
    *shown, facts, code = done.stdout.splitlines()
    assert [line for line in [*shown, code] if line.isdigit()] == ["0", "0", "0"]
    assert "\\u0442" in "\n".join(shown)
    assert "LSTM kernel  none: REFOLD_KERNEL=none" in "\n".join(shown)
    assert json.loads(facts)["lstm_kernel"] is None
    assert "REFOLD_KERNEL=none" in json.loads(facts)["why_no_lstm_kernel"]


def test_another_backend_is_named():
    command = [sys.executable, "-m", "refold", "info", "--json"]
    environment = {**os.environ, "KERAS_BACKEND": "numpy"}
    facts = json.loads(subprocess.check_output(command, env=environment))
    assert facts["backend"] == "numpy"
    assert facts["device"] is None
    assert facts["why_no_lstm_kernel"] == "Keras runs on numpy, and the kernel is for JAX"


def test_a_model_as_text_and_json(model, tmp_path, run, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    schema = replace(model.schema, id_name="patient", time_name="day")
    history = replace(model.history, initial_loss=1e-9)
    path = tmp_path / "m.refold"
    replace(model, schema=schema, history=history).with_latent_steps(10).save(path)
    shown = facts_in(run("info", path))
    assert shown["columns"] == "1 numeric"
    assert shown["longest sequence"] == "40 steps"
    assert (shown["ids"], shown["times"]) == ("column patient", "column day")
    assert shown["decoder"] == "parallel"
    assert shown["patch"] == "1 step"
    assert shown["latent optimization"] == "10 steps"
    assert shown["epochs"] == "initialization kept; no epoch of 1 was better, then 1 on all data"
    assert shown["model hash"] == refold.load(path).hash[:12]
    facts = json.loads(run("info", path, "--json").out)
    assert (facts["id"], facts["time"]) == ("patient", "day")
    assert (facts["code_size"], facts["epochs"], facts["latent_steps"]) == (4, 1, 10)
    assert (facts["best_validation_loss"], facts["best_epoch"]) == (1e-9, 0)
    assert facts["parameters"]["units"] == 8
    assert facts["parameters"]["decoder"] == "auto"
    assert [column["type"] for column in facts["columns"]] == ["numeric"]


def test_names_are_shown_unchanged(capsys):
    print_facts({"names": "speed [m/s], v[/s], :x:", "ids": None})
    assert capsys.readouterr().out.split(maxsplit=1)[1].strip() == "speed [m/s], v[/s], :x:"


@pytest.mark.parametrize("part", ["encoder", "decoder"])
def test_a_part_of_a_model_as_onnx(part, sines, tmp_path, run):
    path, model = tmp_path / "sines.onnx", sines / "sines.refold"
    options = "--packed", "--weights", "float16", "--opset", "19"
    printed = run("export", model, "-o", path, "--part", part, *options).err
    assert f"Wrote the {part} to {path}" in printed
    assert "standard deviations in ONNX Runtime" in printed
    session = onnxruntime.InferenceSession(path)
    if part == "encoder":
        data = read(sines / "new.parquet")
        counts = data.lengths.astype(np.int32)
        values = data.values.ravel().astype(np.float32)
        (codes,) = session.run(None, {"values": values, "counts": counts})
        np.testing.assert_allclose(codes, refold.load(model).encode(data), atol=0.02)


def test_data_sets_are_those_of_the_library(tmp_path, run):
    run("data", "moving-ones", "-n", "40", "--seed", "3", "-o", tmp_path / "ones.npz")
    written, expected = read(tmp_path / "ones.npz"), moving_ones(40, seed=3)
    np.testing.assert_array_equal(written.values, expected.values)
    np.testing.assert_array_equal(written.offsets, expected.offsets)
    data, labels = tmp_path / "vowels.parquet", tmp_path / "who.csv"
    run("data", "japanese-vowels", "-n", "20", "-o", data, "--labels", labels)
    lines = labels.read_text().splitlines()
    assert lines[:2] == ['"id","speaker"', "0,1"]
    assert len(lines) == 21
