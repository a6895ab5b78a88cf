"""An installation that encodes, decodes, detects and forecasts, without the packages of training.

The packages are here, so subprocesses refuse to import them.
"""

import json
import subprocess
import sys

import numpy as np
import pytest

import refold

REFUSED = (
    "filelock",
    "jax",
    "jaxlib",
    "keras",
    "pandas",
    "platformdirs",
    "polars",
    "scipy",
    "sklearn",
    "threadpoolctl",
)
SETUP = f"""
import json, sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {REFUSED}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Refuse())
"""
USE = """
import numpy as np, refold
ae = refold.load(sys.argv[1])
sines = refold.datasets.noisy_sines(12, seed=1, max_steps=30)
codes = ae.transform(sines)
results = {
    "codes": codes,
    "decoded": np.concatenate(ae.inverse_transform(codes)),
    "reconstructed": np.concatenate(ae.reconstruct(sines)),
    "scores": ae.detect(sines, alpha=0.1).scores,
    "ahead": np.concatenate(ae.forecast(sines).values),
    "score": np.array(ae.score(sines)),
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
NEEDED = "needs Keras, JAX and scikit-learn. Install them with: pip install 'refold[train]'"


def run(code, *arguments):
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", SETUP + code, *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_estimator_loads_no_package_of_training():
    code = "import json, sys, refold.estimator; print(json.dumps([*sys.modules]))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in json.loads(done.stdout)}
    assert loaded & set(REFUSED) == set()


def test_a_saved_model_works_without_them(tmp_path):
    sines = refold.datasets.noisy_sines(60, seed=0, max_steps=30)
    options = {"units": 8, "max_epochs": 2, "latent_steps": 3, "random_state": 0}
    ae = refold.SequenceAutoencoder(4, calibration_fraction=0.5, forecast_steps=5, **options)
    ae.fit(sines).save(tmp_path / "sines.refold")
    found = run(USE, str(tmp_path / "sines.refold"))
    new = refold.datasets.noisy_sines(12, seed=1, max_steps=30)
    assert np.allclose(found["codes"], ae.transform(new), atol=1e-4)
    assert np.allclose(found["decoded"], np.concatenate(ae.inverse_transform(found["codes"])))
    assert np.allclose(found["scores"], ae.detect(new, alpha=0.1).scores, rtol=1e-3)
    assert np.allclose(found["ahead"], np.concatenate(ae.forecast(new).values), atol=1e-4)


def test_training_says_what_to_install():
    kind, message = run(TRAIN)
    assert kind == "MissingExtraError"
    assert message == f"Training {NEEDED}"


@pytest.mark.parametrize("name", ["PCABaseline", "probe", "two_sample_test"])
def test_evaluation_says_what_to_install(name):
    code = (
        "import refold\n"
        f"try:\n    refold.evaluation.{name}\n"
        "except ImportError as error:\n    print(json.dumps(str(error)))"
    )
    assert run(code) == f"{name} {NEEDED}"
