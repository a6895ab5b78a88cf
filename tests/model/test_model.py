"""A model does what its estimator does, does not change, and is the same from a file."""

import dataclasses
import pickle
import random

import numpy as np
import pytest
from safetensors.numpy import save_file

import refold
from refold import SequenceAutoencoder, load
from refold.errors import ModelFileError, NotFittedError, ParameterError, RefoldError
from refold.model import _file, dumps, model_of, pack_container, read_container, write_container
from refold.sequences import codes_to_arrow
from small_data import draw_ragged_sequences, fit_without_training


@pytest.fixture(scope="module")
def ae():
    return fit_without_training(draw_ragged_sequences()).calibrate(draw_ragged_sequences(seed=1))


@pytest.fixture
def path(ae, tmp_path):
    path = tmp_path / "m.refold"
    ae.save(path)
    return path


def assert_equal(first, second):
    """Check that two results have the same bits."""
    np.testing.assert_equal([*map(np.asarray, first)], [*map(np.asarray, second)])


def test_estimator_model_and_file_give_the_same_bits(ae, path):
    new, codes = draw_ragged_sequences(seed=2), ae.transform(draw_ragged_sequences(seed=2))
    for model in (ae.model_, load(path), pickle.loads(pickle.dumps(ae.model_))):  # noqa: S301
        assert_equal(model.encode(new), codes)
        assert_equal(model.decode(codes), ae.inverse_transform(codes))
        assert_equal(model.reconstruct(new), ae.reconstruct(new))
        assert_equal(model.features(codes), ae.features(codes))
        assert_equal(model.errors(new), ae.errors(new))
        assert_equal(model.anomaly_scores(new), ae.anomaly_scores(new))
        assert_equal(model.detect(new, alpha=0.1).p_values, ae.detect(new, alpha=0.1).p_values)
        assert_equal(model.generate(3, random_state=0), ae.generate(3, random_state=0))
        assert model.score(new) == ae.score(new)
        assert model.drift(new).p_value == ae.drift(new).p_value
        assert model.code_drift(codes).p_value == ae.code_drift(codes).p_value
        assert model.stream().push(new[0]).p_value == ae.stream().push(new[0]).p_value


def test_a_model_does_not_change(ae):
    model, before = ae.model_, dumps(ae.model_)
    recalibrated = model.calibrate(draw_ragged_sequences(12, seed=3))
    assert (recalibrated.num_calibrated, model.num_calibrated) == (12, 24)
    with_more_steps = model.with_latent_steps(2)
    assert (with_more_steps.latent_steps, model.latent_steps) == (2, 0)
    assert recalibrated.hash == with_more_steps.hash == model.hash
    with pytest.raises(dataclasses.FrozenInstanceError):
        model.latent_steps = 2
    estimator = fit_without_training(draw_ragged_sequences(), latent_dim=2)
    model_before, file_before = estimator.model_, dumps(estimator.model_)
    assert estimator.partial_fit(draw_ragged_sequences(seed=3)).model_.hash != model_before.hash
    assert dumps(model_before) == file_before
    assert dumps(model) == before


def test_the_steps_of_latent_optimization_are_saved(ae, path):
    new, with_more_steps = draw_ragged_sequences(seed=2), ae.model_.with_latent_steps(2)
    with_more_steps.save(path)
    assert load(path).latent_steps == SequenceAutoencoder.load(path).latent_steps_ == 2
    assert_equal(load(path).encode(new), with_more_steps.encode(new))
    assert (with_more_steps.encode(new) != ae.model_.encode(new)).any()
    auto = load(path).with_latent_steps("auto")
    assert auto.latent_steps == auto.default_latent_steps
    with pytest.raises(ParameterError, match="latent_steps must be 'auto' or an integer"):
        with_more_steps.with_latent_steps(-1)


def test_a_model_is_told_from_other_values(ae):
    assert model_of(ae) is model_of(ae.model_) is ae.model_
    for call in (model_of, lambda ae: codes_to_arrow(np.zeros((1, 16)), model=ae)):
        with pytest.raises(NotFittedError, match="not fitted yet"):
            call(SequenceAutoencoder())
    with pytest.raises(ParameterError, match="Got the class SequenceAutoencoder"):
        model_of(SequenceAutoencoder)
    with pytest.raises(ParameterError, match="Got a str"):
        model_of("m.refold")


def test_sequences_held_back_from_training_are_remembered(tmp_path):
    sines = refold.datasets.noisy_sines(20, seed=0)
    fit_without_training(sines, calibration_fraction=0.25).save(tmp_path / "sines.refold")
    loaded = load(tmp_path / "sines.refold")
    held_back = loaded.held_back(sines)
    assert held_back.sum() == 5 + round(0.1 * 15)
    assert loaded.held_back(sines[::-1][held_back[::-1]]).all()


# Files


def test_all_arguments_and_fields_are_saved_and_the_file_is_always_the_same(ae, path, tmp_path):
    random.seed(1)
    expected = random.random()  # noqa: S311
    random.seed(1)
    model, loaded, estimator = ae.model_, load(path), SequenceAutoencoder.load(path)
    assert random.random() == expected  # noqa: S311
    assert estimator.get_params() == ae.get_params()
    for name in ("history_", "initial_loss_", "schema_", "max_steps_", "n_parameters_"):
        assert getattr(estimator, name) == getattr(ae, name)
    for name in ("history", "held_out_errors", "fingerprints", "calibration", "arguments"):
        np.testing.assert_equal(getattr(loaded, name), getattr(model, name), err_msg=name)
    pickled = [pickle.loads(pickle.dumps(saved)) for saved in (ae, model)]  # noqa: S301
    for saved in (ae, model, loaded, estimator, *pickled):
        saved.save(tmp_path / "again.refold")
        assert (tmp_path / "again.refold").read_bytes() == path.read_bytes()


def test_a_changed_file_is_refused(path):
    data = path.read_bytes()
    rng = np.random.default_rng(0)
    for position in [*rng.integers(0, len(data), 10), len(data) - 1]:
        changed = bytearray(data)
        changed[position] ^= 0x10
        path.write_bytes(changed)
        with pytest.raises(ModelFileError, match=r"m\.refold"):
            load(path)
    with pytest.raises(ModelFileError, match="its checksum does not match"):
        load(path)


def test_other_versions_are_refused(ae, path, monkeypatch):
    config, arrays = read_container(path)
    config["parameters"]["wings"] = 2
    write_container(path, pack_container(config, arrays))
    with pytest.raises(ModelFileError, match=r"m\.refold comes from another .*: wings\."):
        SequenceAutoencoder.load(path)
    config["specification"]["units"] = 10**7
    write_container(path, pack_container(config, arrays))
    with pytest.raises(ModelFileError, match="does not hold what a model needs"):
        load(path)
    monkeypatch.setattr(_file, "FORMAT_VERSION", 7)
    ae.save(path)
    monkeypatch.undo()
    with pytest.raises(ModelFileError, match="format version 7, and this Refold reads up to 1"):
        load(path)


def test_what_is_not_a_whole_model_file_is_refused(ae, path, tmp_path):
    data = path.read_bytes()
    for content in (b"", b"a text", data[:10], data[: len(data) // 2], data[:-9]):
        path.write_bytes(content)
        with pytest.raises(ModelFileError, match=r"m\.refold is not a Refold model, or it is cut"):
            load(path)
    save_file({"a": np.zeros(3)}, tmp_path / "weights.safetensors")
    with pytest.raises(ModelFileError, match="is not a Refold model"):
        load(tmp_path / "weights.safetensors")
    with pytest.raises(FileNotFoundError, match=r"no model file .*nothing\.refold"):
        load(tmp_path / "nothing.refold")
    with pytest.raises(ModelFileError, match="is a folder"):
        load(tmp_path)
    with pytest.raises(RefoldError, match="no-such-folder"):
        ae.save(tmp_path / "no-such-folder" / "model.refold")
