"""Code that JAX compiles is kept in the user's cache folder, and results do not depend on it."""

import os
import sys

import jax
import pytest

from forks import BELOW_KERAS, run_forked
from refold._support.compilation import _BROKEN_CACHE_VERSIONS

ENCODE_PROGRAM = """
import refold
data = refold.datasets.noisy_sines(8, seed=0, min_steps=6, max_steps=6)
options = {"units": 8, "max_epochs": 1, "latent_steps": 0}
options |= {"validation_fraction": 0, "random_state": 0}
ae = refold.SequenceAutoencoder(latent_dim=3, **options)
ae.fit(data)
print(ae.transform(data).tobytes().hex())
import os, pathlib
for path in sorted(pathlib.Path(os.environ["XDG_CACHE_HOME"], "refold").rglob("*")):
    print(path)
"""
CACHE_FOLDER_PROGRAM = """
import jax
from refold._support.compilation import enable_compilation_cache
enable_compilation_cache()
print(jax.config.values["jax_compilation_cache_dir"])
"""
CACHE_WORKS = not _BROKEN_CACHE_VERSIONS[0] <= jax.__version_info__ < _BROKEN_CACHE_VERSIONS[1]


@pytest.fixture(scope="module")
def outputs(tmp_path_factory):
    """Return the outputs of programs, which run without the settings of the tests."""
    folder = tmp_path_factory.mktemp("cache")
    (folder / "file").write_text("no folder")
    programs = {
        "first": (ENCODE_PROGRAM, {}),
        "second": (ENCODE_PROGRAM, {}),
        "no folder": (CACHE_FOLDER_PROGRAM, {"XDG_CACHE_HOME": str(folder / "file")}),
    }
    processes = run_forked(
        [*programs.values()],
        imports=[*BELOW_KERAS, "keras"],
        without=[name for name in os.environ if name.startswith("JAX_")],
        KERAS_BACKEND="jax",
        XDG_CACHE_HOME=str(folder),
    )
    assert [process.stderr for process in processes] == [""] * len(processes)
    return {name: process.stdout.strip() for name, process in zip(programs, processes, strict=True)}


@pytest.mark.skipif(sys.platform != "linux", reason="XDG_CACHE_HOME names the folder on Linux")
def test_a_second_run_uses_the_cache_of_the_first(outputs):
    _, *cached_files = outputs["first"].splitlines()
    assert bool(cached_files) == CACHE_WORKS
    assert outputs["second"] == outputs["first"]
    assert outputs["no folder"] == "None"
