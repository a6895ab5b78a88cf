"""An installation that encodes, decodes, detects and forecasts, without the packages of training.

Most tests run in subprocesses that cannot import the packages, although they are installed. The
slow test installs a wheel and `deploy/requirements.txt` in a new virtual environment.
"""

import gzip
import json
import os
import re
import shutil
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

ROOT = Path(__file__).parent.parent
REFUSED = (*TRAINING_PACKAGES, "jaxlib", "pandas", "polars")
SETUP = """
import json, sys
from refold._support.optional_imports import RefusingFinder
sys.meta_path[:0] = [RefusingFinder(name) for name in {}]
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
TRAIN = """
import refold
try:
    refold.SequenceAutoencoder(4).fit([[1.0, 2.0]])
except refold.RefoldError as error:
    print(json.dumps([type(error).__name__, str(error)]))
"""
COMMANDS = """
from refold.cli import main
print(json.dumps([main(arguments) for arguments in json.loads(sys.argv[1])]))
"""
NEEDED = "needs Keras, JAX and scikit-learn. In your clone of Refold, run: python -m pip install ."


def run(code, *arguments, refused=REFUSED):
    """Run code without the packages, and return its last line of output and its standard error."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", SETUP.format(refused) + code, *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1]), done.stderr


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
    options = {"units": 8, "max_epochs": 2, "latent_steps": 3, "random_state": 0}
    ae = refold.SequenceAutoencoder(4, calibration_fraction=0.5, forecast_steps=5, **options)
    ae.fit(refold.datasets.noisy_sines(60, seed=0, max_steps=30)).save(folder / "sines.refold")
    new = refold.datasets.noisy_sines(12, seed=1, max_steps=30)
    refold.sequences.write(new, folder / "new.parquet")
    return ae, folder


def test_a_saved_model_works_without_training_packages(sines):
    ae, folder = sines
    found, _ = run(USE, str(folder / "sines.refold"))
    new = refold.datasets.noisy_sines(12, seed=1, max_steps=30)
    assert np.allclose(found["codes"], ae.transform(new), atol=1e-4)
    assert np.allclose(found["decoded"], np.concatenate(ae.inverse_transform(found["codes"])))
    assert found["score"] == pytest.approx(ae.score(new), abs=1e-4)
    assert np.allclose(found["scores"], ae.detect(new, alpha=0.1).scores, rtol=1e-3)
    assert found["drift"] == pytest.approx(ae.drift(new).p_value, rel=1e-3)
    assert np.allclose(found["ahead"], np.concatenate(ae.forecast(new).values), atol=1e-4)
    generated = np.concatenate(ae.generate(3, random_state=0))
    assert np.allclose(found["generated"], generated, atol=1e-4)
    assert np.allclose(found["features"], ae.features(found["codes"]), atol=1e-2)
    assert found["streamed"] == found["codes"][0]


def test_commands_work_without_training_packages(sines, tmp_path):
    _, folder = sines
    arguments = commands(str(folder / "sines.refold"), str(folder / "new.parquet"), tmp_path)
    codes, messages = run(COMMANDS, json.dumps([*arguments, ["info"]]))
    assert (codes, messages) == ([0] * 8, "")
    assert len(list(tmp_path.iterdir())) == 6


def test_commands_that_need_training_packages_say_so(tmp_path):
    page, model = str(tmp_path / "page.html"), str(tmp_path / "m.refold")
    arguments = [
        ["fit", "data.csv", "-o", model],
        ["curve", "data.csv"],
        ["probe", model, "data.csv", "--label", "speaker"],
        ["report", model, "data.csv", "-o", page],
        ["demo"],
    ]
    codes, messages = run(COMMANDS, json.dumps([*arguments, ["fit", "--help"]]))
    assert codes == [2] * 5 + [0]
    assert messages.splitlines() == [f"Error: refold {name[0]} {NEEDED}" for name in arguments]


# scikit-learn alone is enough for an estimator, but not for its fit
@pytest.mark.parametrize(
    ("refused", "what"), [(REFUSED, "SequenceAutoencoder"), (("jax", "keras"), "Training")]
)
def test_training_says_what_to_install(refused, what):
    (kind, message), _ = run(TRAIN, refused=refused)
    assert kind == "MissingExtraError"
    assert message == f"{what} {NEEDED}"


def test_keras_models_say_what_to_install(sines):
    code = (
        "import refold\n"
        "try:\n    refold.SequenceAutoencoder.load(sys.argv[1]).encoder_\n"
        "except ImportError as error:\n    print(json.dumps(str(error)))"
    )
    found, _ = run(code, str(sines[1] / "sines.refold"), refused=("jax", "keras"))
    assert found == f"A Keras model {NEEDED}"


def test_models_that_keras_runs_say_what_to_install(tmp_path):
    packed = ROOT / "tests/model_files/gru.refold.gz"
    (tmp_path / "gru.refold").write_bytes(gzip.decompress(packed.read_bytes()))
    code = (
        "import refold\n"
        "try:\n    refold.load(sys.argv[1])\n"
        "except ImportError as error:\n    print(json.dumps(str(error)))"
    )
    found, _ = run(code, str(tmp_path / "gru.refold"))
    assert found == f"A model that is not the default one {NEEDED}"


@pytest.mark.parametrize(
    ("call", "what"),
    [
        ("evaluation.PCABaseline(1).fit([[1.0], [2.0]])", "PCA"),
        ("evaluation.probe([[1.0], [2.0]], [0, 1])", "A linear probe"),
        ("evaluation.compare([[1.0]], [[1.0]])", "A two-sample test"),
        ("search.cluster(None)", "Finding clusters"),
        ("diagnosis.diagnose([[1.0]])", "Training"),
    ],
)
def test_a_function_says_what_to_install(call, what):
    code = (
        "import refold\n"
        f"try:\n    refold.{call}\n"
        "except ImportError as error:\n    print(json.dumps(str(error)))"
    )
    assert run(code)[0] == f"{what} {NEEDED}"


EXTRAS = """
import json, sys
from refold._support.optional_imports import RefusingFinder
sys.meta_path[:0] = [RefusingFinder(name) for name in ("httptools", "msgspec", "starlette")]
try:
    import refold.explore
except ImportError as error:
    print(json.dumps(str(error)))
from refold.cli import main
sys.exit(main(["explore", "m.refold", "d.csv", "--export", "page.html"]))
"""


def test_the_explorer_without_its_extra_says_what_to_install(tmp_path):
    command = [sys.executable, "-c", EXTRAS]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    message = (
        "refold.serve needs the package 'httptools', which is not installed. "
        "In your clone of Refold, run: python -m pip install '.[serve]'"
    )
    assert json.loads(done.stdout) == message
    assert (done.returncode, done.stderr) == (2, f"Error: {message}\n")
    assert list(tmp_path.iterdir()) == []


def test_a_command_does_not_import_pandas(sines, tmp_path):
    _, folder = sines
    code = (
        "import sys; from refold.cli import main; assert main() == 0; "
        "sys.exit('pandas' in sys.modules)"
    )
    files = folder / "sines.refold", folder / "new.parquet", "-q", "-o", tmp_path / "codes.csv"
    done = subprocess.run([sys.executable, "-c", code, "encode", *map(str, files)])
    assert done.returncode == 0


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

    kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    outputs = {}
    for name, program, environment in (
        ("small", python, kept),
        ("full", sys.executable, kept | {"PYTHONPATH": str(ROOT / "src")}),
    ):
        folder = tmp_path / name
        folder.mkdir()

        def printed(*arguments, program=program, environment=environment, folder=folder):
            done = subprocess.run(
                [program, *map(str, arguments)],
                env=environment,
                cwd=folder,
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, done.stderr
            return done.stdout

        model, new = data / "sines.refold", data / "new.parquet"
        messages = [printed("-m", "refold", *one) for one in commands(model, new, folder)]
        files = {
            path.name: pq.read_table(path).to_pylist()
            if path.suffix == ".parquet"
            else path.read_text()
            for path in sorted(folder.iterdir())
        }
        outputs[name] = messages, files, json.loads(printed("-c", USE, model))
        if name == "small":
            assert json.loads(printed("-m", "refold", "info", "--json"))["keras"] is None
            assert shutil.which("refold", path=tmp_path / "venv/bin")
    assert len(outputs["small"][1]) == 6
    assert outputs["small"] == outputs["full"]
