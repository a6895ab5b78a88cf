"""``refold info`` without a model: what is installed, and what runs its LSTM layers."""

import json
import os
import subprocess
import sys
from importlib.metadata import version

from refold import kernels
from refold.cli import _info, main


def info(*arguments, **environment):
    done = subprocess.run(
        [sys.executable, "-m", "refold", "info", *arguments],
        env={**os.environ, "COLUMNS": "300", **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


def test_the_installation_for_programs(capsys):
    assert main(["info", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert {name: facts[name] for name in ("refold", "keras", "jax", "numpy")} == {
        name: version(name) for name in ("refold", "keras", "jax", "numpy")
    }
    assert facts["backend"] == "jax"
    assert facts["lstm_kernel"] == kernels.variant()
    assert facts["why_no_lstm_kernel"] == kernels.why_not()


def test_the_installation_for_people(capsys):
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


def test_the_reason_is_shown_where_there_is_no_kernel():
    shown = info(REFOLD_KERNEL="none")
    assert "LSTM kernel  none: REFOLD_KERNEL=none" in shown
    facts = json.loads(info("--json", REFOLD_KERNEL="none"))
    assert facts["lstm_kernel"] is None
    assert "REFOLD_KERNEL=none" in facts["why_no_lstm_kernel"]


def test_another_backend_is_named():
    facts = json.loads(info("--json", KERAS_BACKEND="numpy"))
    assert facts["backend"] == "numpy"
    assert facts["device"] is None
    assert facts["why_no_lstm_kernel"] == "Keras runs on numpy, and the kernel is for JAX"


def test_a_name_is_shown_as_it_is(capsys):
    table = _info._table()
    table.add_row("names", "speed [m/s], v[/s], :x:")
    _info._show(table)
    assert capsys.readouterr().out.split(maxsplit=1)[1].strip() == "speed [m/s], v[/s], :x:"


def test_the_best_loss_may_be_that_of_the_start(tmp_path, capsys):
    import refold

    ae = refold.SequenceAutoencoder(2, units=4, max_epochs=1, random_state=0)
    ae.fit(refold.datasets.noisy_sines(12, seed=0))
    ae.start_loss_ = 1e-9
    ae._fitted = ae._fitted._replace(start_loss=1e-9)
    ae.save(tmp_path / "m.refold")
    assert main(["info", str(tmp_path / "m.refold"), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["best_validation_loss"] == 1e-9
    assert facts["best_epoch"] == 0
    assert main(["info", str(tmp_path / "m.refold")]) == 0
    assert "initialization kept; no epoch of 1 was better" in capsys.readouterr().out


def test_what_a_locale_lacks_is_escaped(tmp_path):
    import refold

    sines = refold.sequences.as_sequences(
        [[[0.1], [0.4]], [[0.3], [0.2]]] * 6, names=["температура"]
    )
    ae = refold.SequenceAutoencoder(1, units=2, max_epochs=1, random_state=0).fit(sines)
    ae.save(tmp_path / "m.refold")
    assert "\\u0442" in info(str(tmp_path / "m.refold"), PYTHONIOENCODING="ascii")
