"""Layers and models give the same results and can be trained on every backend of Keras."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from network.script import STEPS, draw_ragged_sequences
from refold.models import make_default_models

PACKAGES = {"jax": "jax", "tensorflow": "tensorflow", "torch": "torch"}


@pytest.mark.slow
@pytest.mark.parametrize("backend", PACKAGES)
def test_models_run_on(backend, tmp_path):
    if importlib.util.find_spec(PACKAGES[backend]) is None:
        pytest.fail(f"{PACKAGES[backend]} is not installed; `make test-slow` installs it")
    keras.utils.set_random_seed(0)
    models = make_default_models(["numeric"] * 3, latent_dim=4, max_steps=STEPS, units=8, depth=2)
    models.encoder.save_weights(tmp_path / "encoder.weights.h5")
    models.decoder.save_weights(tmp_path / "decoder.weights.h5")
    codes = models.encoder.predict(draw_ragged_sequences(), verbose=0)
    np.savez(
        tmp_path / "expected.npz", codes=codes, decoded=models.decoder.predict(codes, verbose=0)
    )
    script = Path(__file__).with_name("script.py")
    command = [sys.executable, script, tmp_path, tmp_path / "expected.npz"]
    environment = {**os.environ, "KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.split()[-1] == backend
