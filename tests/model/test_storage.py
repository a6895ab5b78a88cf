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
from safetensors.numpy import save_file
from sklearn.exceptions import NotFittedError

import refold
from refold import SequenceAutoencoder, load
from refold.errors import ModelFileError, RefoldError
from refold.model import _file, dumps, pack_container, read_container, write_container
from small_data import untrained


@pytest.fixture(scope="module")
def sequences():
    return refold.datasets.noisy_sines(20, seed=0)


@pytest.fixture(scope="module")
def ae(sequences):
    return untrained(sequences, calibration_fraction=0.25)


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


@pytest.mark.parametrize("architecture", ["repeat", "dense"])
def test_classic_models_are_saved_and_loaded(architecture, tmp_path):
    x = refold.datasets.random_one_hot(40, steps=10, categories=5, seed=0)
    options = {"max_epochs": 1, "validation_fraction": 0}
    ae = SequenceAutoencoder(latent_dim=20, architecture=architecture, **options).fit(x)
    path = tmp_path / "classic.refold"
    ae.save(path)
    for other in (SequenceAutoencoder.load(path), pickle.loads(pickle.dumps(ae))):  # noqa: S301
        assert np.array_equal(other.transform(x), ae.transform(x))
        assert other.architecture == architecture
    assert np.array_equal(load(path).encode(x), ae.transform(x))


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


def test_all_arguments_and_fields_are_saved_and_loaded(ae, path):
    random.seed(1)
    expected = random.random()  # noqa: S311
    random.seed(1)
    model, loaded, estimator = ae.model_, load(path), SequenceAutoencoder.load(path)
    assert random.random() == expected  # noqa: S311
    assert estimator.get_params() == ae.get_params()
    for name in ("history_", "initial_loss_", "schema_", "max_steps_", "n_parameters_"):
        assert getattr(estimator, name) == getattr(ae, name)
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


def test_saving_and_pickling_again_give_the_same_file(ae, path, tmp_path):
    pickled = [pickle.loads(pickle.dumps(kind)) for kind in (ae, ae.model_)]  # noqa: S301
    for kind in (ae, ae.model_, load(path), SequenceAutoencoder.load(path), *pickled):
        kind.save(tmp_path / "again.refold")
        assert (tmp_path / "again.refold").read_bytes() == path.read_bytes()
    assert dumps(pickled[1]) == path.read_bytes()


def test_unfitted_models_are_pickled_and_not_saved(tmp_path):
    unfitted = pickle.loads(pickle.dumps(SequenceAutoencoder(latent_dim=7)))  # noqa: S301
    assert unfitted.latent_dim == 7
    with pytest.raises(NotFittedError):
        unfitted.save(tmp_path / "model.refold")
    assert not list(tmp_path.iterdir())


# Bad files


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
    with pytest.raises(ModelFileError, match="its checksum does not match"):
        load(path)


def test_other_versions_are_refused(ae, path, monkeypatch):
    config, arrays = read_container(path)
    config["parameters"]["wings"] = 2
    write_container(path, pack_container(config, arrays))
    with pytest.raises(ModelFileError, match=r"sines\.refold comes from another .*: wings\."):
        SequenceAutoencoder.load(path)
    monkeypatch.setattr(_file, "VERSION", 7)
    ae.save(path)
    monkeypatch.undo()
    with pytest.raises(ModelFileError, match="format version 7, and this Refold reads up to 1"):
        load(path)


@pytest.mark.parametrize(
    ("name", "size"),
    [("units", 10**7), ("max_steps", 10**9), ("forecast_steps", 99), ("recent_steps", -1)],
)
def test_sizes_that_contradict_the_weights_are_refused(path, name, size):
    config, arrays = read_container(path)
    config["specification"][name] = size
    write_container(path, pack_container(config, arrays))
    with pytest.raises(ModelFileError, match=f"{name} is {size}, which is not between"):
        load(path)


def with_header(header, length=None):
    text = json.dumps(header).encode()
    return (length or len(text)).to_bytes(8, "little") + text + bytes(8)


ABOUT = {"refold-model": json.dumps({"version": 1, "config": "{}", "sha256": ""})}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"other\.bin is not a Refold model\. Expected"),
        (b"PK\x03\x04 a zip", "is not a Refold model"),
        (b"\x00" * 64, "is not a Refold model"),
        (b"\x08\0\0\0\0\0\0\0{nojson}", "is cut short or damaged"),
        (with_header({"a": 1}, length=2**60), "is cut short or damaged"),
        (
            with_header(
                {
                    "__metadata__": ABOUT,
                    "weights": {"dtype": "F32", "shape": [10**9] * 2, "data_offsets": [0, 8]},
                }
            ),
            "is cut short or damaged",
        ),
    ],
)
def test_files_that_are_not_models_are_refused(tmp_path, content, message):
    path = tmp_path / "other.bin"
    path.write_bytes(content)
    with pytest.raises(ModelFileError, match=message):
        load(path)


def test_safetensors_of_another_kind_missing_files_and_folders_are_refused(ae, tmp_path):
    save_file({"a": np.zeros(3)}, tmp_path / "weights.safetensors")
    with pytest.raises(ModelFileError, match="another safetensors file"):
        load(tmp_path / "weights.safetensors")
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
