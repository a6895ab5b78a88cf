"""Code that JAX compiles is kept in the user's cache folder, and results do not depend on it."""

import os
import sys
from importlib.util import find_spec

import jax
import pytest

from forks import BELOW_KERAS, run_forked
from refold._support.compilation import _BROKEN_CACHE_VERSIONS

ENCODE_PROGRAM = """
import os, pathlib, refold
data = refold.datasets.noisy_sines(8, seed=0, min_steps=6, max_steps=6)
options = dict(units=8, max_epochs=1, latent_steps=0, validation_fraction=0, random_state=0)
ae = refold.SequenceAutoencoder(latent_dim=3, **options).fit(data)
print(ae.transform(data).tobytes().hex())
for path in sorted(pathlib.Path(os.environ["XDG_CACHE_HOME"], "refold").rglob("*")): print(path)
"""
CACHE_FOLDER_PROGRAM = """
import jax
from refold._support.compilation import enable_compilation_cache
enable_compilation_cache()
print(jax.config.values["jax_compilation_cache_dir"])
"""
CACHE_WORKS = not _BROKEN_CACHE_VERSIONS[0] <= jax.__version_info__ < _BROKEN_CACHE_VERSIONS[1]


@pytest.mark.skipif(sys.platform != "linux", reason="XDG_CACHE_HOME names the folder on Linux")
def test_a_second_run_uses_the_cache_of_the_first(tmp_path):
    (tmp_path / "file").write_text("no folder")
    # the programs run without the settings of the tests
    first, second, no_folder = run_forked(
        [
            (ENCODE_PROGRAM, {}),
            (ENCODE_PROGRAM, {}),
            (CACHE_FOLDER_PROGRAM, {"XDG_CACHE_HOME": str(tmp_path / "file")}),
        ],
        imports=[*BELOW_KERAS, "keras"],
        without=[name for name in os.environ if name.startswith("JAX_")],
        KERAS_BACKEND="jax",
        XDG_CACHE_HOME=str(tmp_path),
    )
    if not find_spec("tensorflow"):  # which Keras imports, and which prints messages
        assert first.stderr == second.stderr == no_folder.stderr == ""
    _, *cached_files = first.stdout.splitlines()
    assert bool(cached_files) == CACHE_WORKS
    assert (second.stdout, no_folder.stdout) == (first.stdout, "None\n")
