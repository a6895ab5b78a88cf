"""A model does what its estimator does, and does not change."""

import dataclasses
import pickle

import numpy as np
import pytest

import refold
from refold import SequenceAutoencoder, load
from refold.errors import NotFittedError, ParameterError
from refold.model import Model, dumps, model_of
from refold.sequences import codes_to_arrow, write
from small_data import mapped, ragged, untrained


@pytest.fixture(scope="module")
def ae():
    return untrained(ragged()).calibrate(ragged(seed=1))


def same(one, other):
    """Check that two results have the same bits."""
    np.testing.assert_equal(
        [np.asarray(value) for value in one], [np.asarray(value) for value in other]
    )


def test_estimator_model_and_file_give_the_same_bits(ae, tmp_path):
    ae.save(tmp_path / "m.refold")
    new, codes = ragged(seed=2), ae.transform(ragged(seed=2))
    for model in (ae.model_, load(tmp_path / "m.refold"), pickle.loads(pickle.dumps(ae.model_))):  # noqa: S301
        assert isinstance(model, Model)
        same(model.encode(new), codes)
        same(model.decode(codes), ae.inverse_transform(codes))
        same(model.reconstruct(new), ae.reconstruct(new))
        same(model.features(codes), ae.features(codes))
        same(model.errors(new), ae.errors(new))
        same(model.anomaly_scores(new), ae.anomaly_scores(new))
        same(model.detect(new, alpha=0.1).p_values, ae.detect(new, alpha=0.1).p_values)
        same(model.generate(3, random_state=0), ae.generate(3, random_state=0))
        same(model.interpolate(*new[:2], 3), ae.interpolate(*new[:2], 3))
        assert model.score(new) == ae.score(new)
        assert model.drift(new).p_value == ae.drift(new).p_value
        assert model.code_drift(codes).p_value == ae.code_drift(codes).p_value
        assert model.stream().push(new[0]).p_value == ae.stream().push(new[0]).p_value


def test_blocks_of_a_file_have_the_same_codes(ae, tmp_path):
    new = refold.sequences.as_sequences(ragged(seed=2))
    write(new, tmp_path / "new.parquet")
    source = mapped(tmp_path / "new.parquet", block_bytes=400)
    blocks = list(ae.model_.encode_blocks(source))
    assert len(blocks) > 1
    same(np.concatenate([codes for codes, _ in blocks]), ae.encode(new))
    same(np.concatenate([ids for _, ids in blocks]), new.ids)


def test_a_model_does_not_change(ae):
    model = ae.model_
    before = dumps(model)
    again = model.calibrate(ragged(12, seed=3))
    assert (again.num_calibrated, model.num_calibrated) == (12, 24)
    assert len(again.held_out_errors) == 12
    assert again.hash == model.hash
    more = model.with_latent_steps(2)
    assert (more.latent_steps, model.latent_steps) == (2, 0)
    assert more.hash == model.hash
    assert dumps(model) == before
    with pytest.raises(dataclasses.FrozenInstanceError):
        model.latent_steps = 2


def test_a_fit_does_not_change_the_model_before():
    ae = untrained(ragged(), latent_dim=2)
    before, file = ae.model_, dumps(ae.model_)
    ae.partial_fit(ragged(seed=3))
    assert ae.model_ is not before
    assert ae.model_.hash != before.hash
    assert dumps(before) == file


def test_the_steps_of_latent_optimization_are_saved(ae, tmp_path):
    path, new = tmp_path / "m.refold", ragged(seed=2)
    more = ae.model_.with_latent_steps(2)
    more.save(path)
    assert load(path).latent_steps == SequenceAutoencoder.load(path).latent_steps_ == 2
    same(load(path).encode(new), more.encode(new))
    assert (more.encode(new) != ae.model_.encode(new)).any()
    auto = load(path).with_latent_steps("auto")
    assert auto.latent_steps == auto.default_latent_steps
    with pytest.raises(ParameterError, match="latent_steps must be 'auto' or an integer"):
        more.with_latent_steps(-1)


def test_sizes(ae):
    model = ae.model_
    assert (model.code_size, model.max_steps) == (3, 8)
    assert repr(model) == "Model(2 columns, codes of 3 dimensions, trained on up to 8 steps)"
    by_sequence = untrained(ragged(), scale="sequence").model_
    assert by_sequence.code_size == by_sequence.encode(ragged()).shape[1] == 3 + 4


def test_a_model_is_told_from_other_values(ae):
    assert model_of(ae) is model_of(ae.model_) is ae.model_
    with pytest.raises(NotFittedError, match="not fitted yet"):
        model_of(SequenceAutoencoder())
    with pytest.raises(NotFittedError, match="not fitted yet"):
        codes_to_arrow(np.zeros((1, 16)), model=SequenceAutoencoder())
    with pytest.raises(ParameterError, match="Got the class SequenceAutoencoder"):
        model_of(SequenceAutoencoder)
    with pytest.raises(ParameterError, match="Got a str"):
        model_of("m.refold")
