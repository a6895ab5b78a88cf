"""``refold info`` without a model: the installation, and the engine of its LSTM layers."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from importlib.metadata import version

import pytest

import refold
from forks import server_with_keras
from refold import kernels
from refold.cli import main
from refold.cli._console import print_facts
from refold.sequences import Column, Schema


def python(*arguments, **environment):
    done = subprocess.run(
        [sys.executable, *arguments],
        env={**os.environ, "COLUMNS": "300", **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


def test_the_installation_as_json(capsys):
    assert main(["info", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert {name: facts[name] for name in ("refold", "keras", "jax", "numpy")} == {
        name: version(name) for name in ("refold", "keras", "jax", "numpy")
    }
    assert facts["backend"] == "jax"
    assert facts["lstm_kernel"] == kernels.variant()
    assert facts["why_no_lstm_kernel"] == kernels.why_not()


def test_the_installation_as_text(capsys):
    assert main(["info"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("  ")[0] for line in lines if line[0] != " "] == [
        "refold",
        "keras",
        "jax",
        "numpy",
        "python",
        "device",
        "LSTM kernel",
    ]
    assert f"{version('keras')}, on jax" in lines[1]
    assert (kernels.variant() or "none: ") in lines[6]


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
    facts = json.loads(facts)
    assert facts["lstm_kernel"] is None
    assert "REFOLD_KERNEL=none" in facts["why_no_lstm_kernel"]


def test_another_backend_is_named():
    facts = json.loads(python("-m", "refold", "info", "--json", KERAS_BACKEND="numpy"))
    assert facts["backend"] == "numpy"
    assert facts["device"] is None
    assert facts["why_no_lstm_kernel"] == "Keras runs on numpy, and the kernel is for JAX"


def test_names_are_shown_unchanged(capsys):
    print_facts({"names": "speed [m/s], v[/s], :x:", "ids": None})
    assert capsys.readouterr().out.split(maxsplit=1)[1].strip() == "speed [m/s], v[/s], :x:"


@pytest.fixture
def model(sines):
    """Return a model of one column."""
    return refold.load(sines / "bare.refold")


def test_the_best_loss_can_be_that_of_the_initialization(model, tmp_path, capsys):
    history = replace(model.history, initial_loss=1e-9)
    replace(model, history=history).save(tmp_path / "m.refold")
    assert main(["info", str(tmp_path / "m.refold"), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["best_validation_loss"] == 1e-9
    assert facts["best_epoch"] == 0
    assert main(["info", str(tmp_path / "m.refold")]) == 0
    assert "initialization kept; no epoch of 1 was better" in capsys.readouterr().out
