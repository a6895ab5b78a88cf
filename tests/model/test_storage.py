"""Saved models give the same bits, and bad files are refused."""

import dataclasses
import json
import os
import pickle
import random
import subprocess
import sys

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError

import refold
from refold import SequenceAutoencoder, load
from refold.errors import ModelFileError, RefoldError
from refold.model import _container as container
from refold.model import dumps
from small_data import untrained


@pytest.fixture(scope="module")
def sequences():
    return refold.datasets.noisy_sines(20, seed=0)


@pytest.fixture(scope="module")
def ae(sequences):
    settings = {"units": 8, "max_epochs": 1, "latent_steps": 0, "random_state": 0, "refit": False}
    return SequenceAutoencoder(latent_dim=3, calibration_fraction=0.25, **settings).fit(sequences)


@pytest.fixture
def path(ae, tmp_path):
    path = tmp_path / "sines.refold"
    ae.save(path)
    return path


def test_a_fresh_process_gives_the_same_bits(ae, sequences, path, tmp_path):
    script = """
import sys, numpy as np, refold
model = refold.load(sys.argv[1])
sines = refold.datasets.noisy_sines(20, seed=0)
codes = model.encode(sines)
back, score = np.concatenate(model.decode(codes)), model.score(sines)
np.savez(sys.argv[2], codes=codes, back=back, score=score)
"""
    subprocess.run([sys.executable, "-c", script, path, tmp_path / "out.npz"], check=True)
    out = np.load(tmp_path / "out.npz")
    codes = ae.transform(sequences)
    assert np.array_equal(out["codes"], codes)
    assert np.array_equal(out["back"], np.concatenate(ae.decode(codes)))
    assert out["score"] == ae.score(sequences)


def test_sequences_held_back_from_training_are_remembered(sequences, path):
    loaded = load(path)
    apart = loaded.held_back(sequences)
    assert apart.sum() == 5 + round(0.1 * 15)
    assert not loaded.held_back(refold.datasets.noisy_sines(20, seed=1)).any()
    assert loaded.held_back(sequences[::-1][apart[::-1]]).all()


@pytest.mark.parametrize("architecture", ["repeat", "reshape", "dense"])
def test_classic_models_are_saved_and_loaded(architecture, tmp_path):
    x = refold.datasets.random_one_hot(40, steps=10, categories=5, seed=0)
    options = {"max_epochs": 1, "validation_fraction": 0}
    ae = SequenceAutoencoder(latent_dim=20, architecture=architecture, **options).fit(x)
    path = tmp_path / "classic.refold"
    ae.save(path)
    for other in (SequenceAutoencoder.load(path), pickle.loads(pickle.dumps(ae))):  # noqa: S301
        assert np.array_equal(other.transform(x), ae.transform(x))
        assert other.architecture == architecture
    model = load(path)
    assert np.array_equal(model.encode(x), ae.transform(x))
    assert model.specification.architecture == architecture


def test_models_of_mixed_columns_missing_values_and_scaling_by_sequence_are_saved_and_loaded(
    tmp_path,
):
    rows = {
        "id": [i // 5 for i in range(60)],
        "level": [None if i % 7 == 0 else float(i % 11) for i in range(60)],
        "event": ["abc"[i % 3] for i in range(60)],
    }
    x = refold.Sequences.from_table(rows, id="id")
    ae = untrained(x, scale="sequence")
    ae.save(tmp_path / "mixed.refold")
    loaded = load(tmp_path / "mixed.refold")
    codes = ae.transform(x)
    assert np.array_equal(loaded.encode(x), codes)
    for a, b in zip(loaded.decode(codes), ae.decode(codes), strict=True):
        assert a.tolist() == b.tolist()


def test_loading_does_not_change_global_random_states(path):
    random.seed(1)
    expected = random.random()  # noqa: S311
    random.seed(1)
    load(path)
    SequenceAutoencoder.load(path)
    assert random.random() == expected  # noqa: S311


def test_all_attributes_are_saved_and_loaded(ae, path):
    loaded = SequenceAutoencoder.load(path)
    assert loaded.get_params() == ae.get_params()
    assert loaded.history_ == ae.history_
    assert loaded.initial_loss_ == ae.initial_loss_ > 0
    assert loaded.schema_ == ae.schema_
    assert loaded.max_steps_ == ae.max_steps_
    assert loaded.n_parameters_ == ae.n_parameters_


def test_all_fields_of_a_model_are_saved_and_loaded(ae, path):
    model, loaded = ae.model_, load(path)
    for one in dataclasses.fields(model):
        before, after = getattr(model, one.name), getattr(loaded, one.name)
        if one.name == "network":
            assert before.specification == after.specification
            before, after = before.arrays(), after.arrays()
        elif one.name in ("scaler", "error_scaler"):
            before, after = before.to_dict(), after.to_dict()
        elif one.name == "reference":
            before, after = dataclasses.asdict(before), dataclasses.asdict(after)
        np.testing.assert_equal(after, before, err_msg=one.name)
    assert model.calibration is not None
    assert loaded.hash == model.hash


def test_saving_twice_gives_the_same_file(ae, path, tmp_path):
    for kind in (ae, ae.model_, load(path), SequenceAutoencoder.load(path)):
        kind.save(tmp_path / "again.refold")
        assert (tmp_path / "again.refold").read_bytes() == path.read_bytes()


def test_pickling_uses_the_same_format(ae, sequences):
    copy = pickle.loads(pickle.dumps(ae))  # noqa: S301
    assert np.array_equal(copy.transform(sequences), ae.transform(sequences))
    model = pickle.loads(pickle.dumps(ae.model_))  # noqa: S301
    assert dumps(model) == dumps(ae.model_)
    unfitted = pickle.loads(pickle.dumps(SequenceAutoencoder(latent_dim=7)))  # noqa: S301
    assert unfitted.latent_dim == 7
    with pytest.raises(NotFittedError):
        unfitted.transform(sequences)


@pytest.mark.parametrize("share", [0.0, 0.0001, 0.01, 0.5, 0.999])
def test_a_truncated_file_is_refused(path, share):
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(ModelFileError, match=r"sines\.refold (is not a Refold model|is cut short)"):
        load(path)


def test_a_changed_file_is_refused(path):
    data = path.read_bytes()
    rng = np.random.default_rng(0)
    for position in [*rng.integers(0, len(data), 40), len(data) - 1]:
        changed = bytearray(data)
        changed[position] ^= 0x10
        path.write_bytes(changed)
        with pytest.raises(ModelFileError, match=r"sines\.refold"):
            load(path)


def test_a_newer_version_is_refused(ae, path, monkeypatch):
    monkeypatch.setattr(container, "VERSION", 7)
    ae.save(path)
    monkeypatch.undo()
    with pytest.raises(ModelFileError, match="format version 7, and this Refold reads up to 1"):
        load(path)


def test_arguments_of_another_version_are_refused(path):
    config, arrays = container.read_container(path)
    config["parameters"]["wings"] = 2
    container.write_container(path, container.pack_container(config, arrays))
    with pytest.raises(
        ModelFileError, match=r"sines\.refold comes from another version.*: wings\."
    ):
        SequenceAutoencoder.load(path)


def test_absurd_sizes_are_refused(path):
    path.write_bytes((2**60).to_bytes(8, "little") + b'{"a": 1}')
    with pytest.raises(ModelFileError, match="header claims 1152921504606846976 bytes"):
        load(path)
    header = json.dumps(
        {
            "__metadata__": {"refold-model": json.dumps({"version": 1, "config": "{}"})},
            "weights": {"dtype": "F32", "shape": [10**9, 10**9], "data_offsets": [0, 8]},
        }
    ).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(8))
    with pytest.raises(ModelFileError, match="cut short or damaged"):
        load(path)


def test_sizes_that_contradict_the_weights_are_refused(path):
    config, arrays = container.read_container(path)
    config["specification"]["units"] = 10**7
    container.write_container(path, container.pack_container(config, arrays))
    with pytest.raises(ModelFileError, match="units"):
        load(path)


@pytest.mark.parametrize(
    "content", [b"", b"PK\x03\x04 a zip", b"hello", b"\x00" * 64, b"\x08\0\0\0\0\0\0\0{nojson}"]
)
def test_files_that_are_not_models_are_refused(tmp_path, content):
    path = tmp_path / "other.bin"
    path.write_bytes(content)
    with pytest.raises(ModelFileError, match=r"other\.bin"):
        load(path)


def test_safetensors_of_another_kind_are_refused(tmp_path):
    from safetensors.numpy import save_file

    save_file({"a": np.zeros(3)}, tmp_path / "weights.safetensors")
    with pytest.raises(ModelFileError, match="another safetensors file"):
        load(tmp_path / "weights.safetensors")


def test_missing_files_and_folders(ae, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no model file .*nothing\.refold"):
        load(tmp_path / "nothing.refold")
    with pytest.raises(ModelFileError, match="is a folder"):
        load(tmp_path)
    with pytest.raises(RefoldError, match="no-such-folder"):
        ae.save(tmp_path / "no-such-folder" / "model.refold")


def test_a_failed_write_keeps_the_old_file(ae, path, monkeypatch):
    before = path.read_bytes()

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        ae.save(path)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_unfitted_models_are_not_saved(tmp_path):
    with pytest.raises(NotFittedError):
        SequenceAutoencoder().save(tmp_path / "model.refold")
    assert not list(tmp_path.iterdir())
