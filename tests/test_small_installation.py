"""An installation that encodes, decodes, detects and forecasts, without the packages of training.

Most tests run in subprocesses that cannot import the packages, although they are installed. The
slow test installs a wheel and `deploy/requirements.txt` in a new virtual environment.
"""

import gzip
import json
import os
import re
import subprocess
import sys
import tomllib
import venv
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

import refold
from refold._support.optional_imports import TRAINING_PACKAGES
from small_data import fit_without_training

ROOT = Path(__file__).parent.parent
REFUSED = (*TRAINING_PACKAGES, "jaxlib", "pandas", "polars")
KERAS = ("jax", "keras")
SETUP = """
import json, sys
from refold._support.optional_imports import HiddenPackageFinder
sys.meta_path[:0] = [HiddenPackageFinder(name) for name in {}]
"""
USE = """
import json, sys
import numpy as np, refold
model = refold.load(sys.argv[1])
sines = refold.datasets.noisy_sines(12, seed=1, max_steps=30)
codes = model.encode(sines)
results = {
    "codes": codes,
    "decoded": np.concatenate(model.decode(codes)),
    "reconstructed": np.concatenate(model.reconstruct(sines)),
    "score": np.array(model.score(sines)),
    "scores": model.calibrate(sines).detect(sines, alpha=0.1).scores,
    "drift": np.array(model.drift(sines).p_value),
    "ahead": np.concatenate(model.forecast(sines).values),
    "generated": np.concatenate(model.generate(3, random_state=0)),
    "features": model.features(codes),
    "streamed": model.stream().push(sines[0]).code,
}
print(json.dumps({name: value.tolist() for name, value in results.items()}))
"""
COMMANDS = """
from refold.cli import main
print(json.dumps([main(arguments) for arguments in json.loads(sys.argv[1])]))
"""
NEEDED = "needs Keras, JAX and scikit-learn. In your clone of Refold, run: python -m pip install ."


def run(code, *arguments, refused=REFUSED):
    """Run code without the packages, and return its last line of output and its standard error."""
    command = [sys.executable, "-W", "error", "-c", SETUP.format(refused) + code, *arguments]
    process = subprocess.run(command, capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stderr
    return json.loads(process.stdout.splitlines()[-1]), process.stderr


def commands(model, data, folder):
    """Return the commands that a small installation can run, with their output files."""
    return [
        ["info", model, "--json"],
        ["encode", model, data, "-q", "-o", f"{folder}/codes.parquet"],
        ["decode", model, f"{folder}/codes.parquet", "-q", "-o", f"{folder}/decoded.csv"],
        ["reconstruct", model, data, "-q", "-o", f"{folder}/reconstructed.parquet"],
        ["detect", model, data, "-q", "-o", f"{folder}/anomalies.csv", "--alpha", "0.1"],
        ["forecast", model, data, "-q", "-o", f"{folder}/next.jsonl"],
        ["generate", model, "-n", "3", "--seed", "0", "-q", "-o", f"{folder}/generated.jsonl"],
    ]


@pytest.fixture(scope="module")
def sines(tmp_path_factory):
    """Return a model, and a folder with its file and a file of new sequences."""
    folder = tmp_path_factory.mktemp("sines")
    train = refold.datasets.noisy_sines(60, seed=0, max_steps=30)
    options = {"latent_steps": 3, "calibration_fraction": 0.5, "forecast_steps": 5}
    ae = fit_without_training(train, latent_dim=4, **options)
    ae.save(folder / "sines.refold")
    new = refold.datasets.noisy_sines(12, seed=1, max_steps=30)
    refold.sequences.write(new, folder / "new.parquet")
    return ae, folder


def test_a_saved_model_works_without_training_packages(sines):
    ae, folder = sines
    results, _ = run(USE, str(folder / "sines.refold"))
    new = refold.datasets.noisy_sines(12, seed=1, max_steps=30)
    assert np.allclose(results["codes"], ae.transform(new), atol=1e-4)
    assert np.allclose(results["decoded"], np.concatenate(ae.inverse_transform(results["codes"])))
    assert results["score"] == pytest.approx(ae.score(new), abs=1e-4)
    assert np.allclose(results["scores"], ae.detect(new, alpha=0.1).scores, rtol=1e-3)
    assert results["drift"] == pytest.approx(ae.drift(new).p_value, rel=1e-3)
    assert np.allclose(results["ahead"], np.concatenate(ae.forecast(new).values), atol=1e-4)
    generated = np.concatenate(ae.generate(3, random_state=0))
    assert np.allclose(results["generated"], generated, atol=1e-4)
    assert np.allclose(results["features"], ae.features(results["codes"]), atol=1e-2)
    assert results["streamed"] == results["codes"][0]


def test_commands_work_without_training_packages(sines, tmp_path):
    _, folder = sines
    model, new = str(folder / "sines.refold"), str(folder / "new.parquet")
    index, adapted = str(tmp_path / "s.index"), str(tmp_path / "adapted.refold")
    arguments = commands(model, new, tmp_path)
    arguments += [["info"], ["index", model, new, "-o", index, "-q"]]
    arguments += [["search", model, index, "--like", "7", "-o", f"{tmp_path}/hits.csv", "-q"]]
    arguments += [["encode", "series", new, "-q", "-o", f"{tmp_path}/of_series.npy"]]
    arguments += [["adapt", "series", new, "-q", "-o", adapted]]
    arguments += [["reconstruct", adapted, new, "-q"]]
    codes, messages = run(COMMANDS, json.dumps(arguments))
    assert (codes, messages) == ([0] * 13, "")
    assert len(list(tmp_path.iterdir())) == 10


def test_commands_that_need_training_packages_say_so(tmp_path):
    page, model = str(tmp_path / "page.html"), str(tmp_path / "m.refold")
    arguments = [["fit", "data.csv", "-o", model], ["report", model, "data.csv", "-o", page]]
    codes, messages = run(COMMANDS, json.dumps([*arguments, ["fit", "--help"]]))
    assert codes == [2, 2, 0]
    assert messages.splitlines() == [f"Error: refold {name[0]} {NEEDED}" for name in arguments]


@pytest.mark.parametrize(
    ("call", "what", "refused"),
    [
        ("refold.SequenceAutoencoder(4)", "SequenceAutoencoder", REFUSED),
        # scikit-learn alone is enough for an estimator, but not for its fit or Keras models
        ("refold.SequenceAutoencoder(4).fit([[1.0, 2.0]])", "Training", KERAS),
        ("refold.SequenceAutoencoder.load(sys.argv[1]).encoder_", "A Keras model", KERAS),
        ("refold.load(sys.argv[2])", "A model that is not the default one", REFUSED),
    ],
)
def test_what_needs_training_packages_says_what_to_install(sines, tmp_path, call, what, refused):
    packed = ROOT / "tests/model_files/gru.refold.gz"
    (tmp_path / "gru.refold").write_bytes(gzip.decompress(packed.read_bytes()))
    code = (
        "import refold\n"
        f"try:\n    {call}\n"
        "except ImportError as error:\n"
        "    assert isinstance(error, refold.RefoldError)\n"
        "    print(json.dumps(str(error)))"
    )
    files = str(sines[1] / "sines.refold"), str(tmp_path / "gru.refold")
    assert run(code, *files, refused=refused)[0] == f"{what} {NEEDED}"


def requirements():
    lines = (ROOT / "deploy/requirements.txt").read_text(encoding="utf-8").splitlines()
    return {line for line in lines if line[0] != "#"}


def test_requirements_are_those_of_the_project_without_training():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    training = {"sklearn": "scikit-learn"}
    training = {training.get(name, name) for name in TRAINING_PACKAGES}
    names = {line: re.match(r"[\w-]+", line)[0] for line in project["dependencies"]}
    assert requirements() == {line for line, name in names.items() if name not in training}
    assert training <= {*names.values()}


@pytest.mark.slow  # builds a wheel, and installs from the package index
def test_a_small_installation_gives_the_same_bits(sines, tmp_path):
    _, data = sines
    (wheels := tmp_path / "wheels").mkdir()
    build = "import sys, scikit_build_core.build as b; b.build_wheel(sys.argv[1])"
    subprocess.run([sys.executable, "-c", build, wheels], cwd=ROOT, check=True)
    (wheel,) = wheels.glob("*.whl")
    venv.create(tmp_path / "venv", with_pip=True)
    python = tmp_path / "venv/bin/python"
    names = [re.match(r"[\w-]+", line)[0] for line in requirements()]
    pins = "".join(f"{name}=={version(name)}\n" for name in names)
    (tmp_path / "pins.txt").write_text(pins)
    pip = [python, "-m", "pip", "install", "--quiet"]
    needed = "-r", ROOT / "deploy/requirements.txt", "-c", tmp_path / "pins.txt"
    subprocess.run([*pip, *needed], check=True)
    subprocess.run([*pip, "--no-deps", wheel], check=True)

    installed = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    source = installed | {"PYTHONPATH": str(ROOT / "src")}
    model, outputs = str(data / "sines.refold"), {}
    for program, environment in ((python, installed), (sys.executable, source)):
        options = {"env": environment, "cwd": tmp_path, "check": True}
        for command in commands(model, str(data / "new.parquet"), tmp_path):
            subprocess.run([program, "-m", "refold", *command], **options)
        process = subprocess.run([program, "-c", USE, model], stdout=subprocess.PIPE, **options)
        tables = [pq.read_table(path).to_pylist() for path in sorted(tmp_path.glob("*.parquet"))]
        texts = [path.read_text() for path in sorted(tmp_path.glob("*.[cj]s*"))]
        assert (len(tables), len(texts)) == (2, 4)
        outputs[program] = tables, texts, json.loads(process.stdout)
    assert outputs[python] == outputs[sys.executable]
    assert (tmp_path / "venv/bin/refold").exists()
