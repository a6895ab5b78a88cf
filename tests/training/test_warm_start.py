"""A fitted model that is trained further: `warm_start` and `partial_fit`."""

import copy

import numpy as np
import pytest

import refold
from refold import SequenceAutoencoder
from refold.errors import ParameterError
from refold.sequences import as_sequences, write
from small_data import TINY, NoEpoch, draw_ragged_sequences, read_as_mapped
from training.small import same_weights

OLD, NEW = draw_ragged_sequences(), [2 * one + 3 for one in draw_ragged_sequences(seed=5)]
LONGER = {"max_epochs": 6, "learning_rate": 0.01, "warm_start": True}


@pytest.fixture(scope="module")
def fitted():
    return SequenceAutoencoder(**TINY, refit=False).fit(OLD)


@pytest.fixture(scope="module")
def further(fitted):
    return copy.deepcopy(fitted).set_params(**LONGER).fit(NEW)


def test_the_error_on_new_data_falls_and_the_schema_and_scaler_stay(fitted, further):
    assert further.score(NEW) > fitted.score(NEW)
    assert min(further.history_["val_loss"]) < further.initial_loss_
    assert set(further.history_["phase"]) == {"validated"}
    assert further.schema_ == fitted.schema_
    np.testing.assert_array_equal(further.scaler_.mean_, fitted.scaler_.mean_)


def test_the_same_seed_gives_the_same_bits(fitted, further, tmp_path):
    fitted.save(tmp_path / "model.refold")
    again = refold.SequenceAutoencoder.load(tmp_path / "model.refold").set_params(**LONGER).fit(NEW)
    assert same_weights(again, further)
    assert not same_weights(fitted, further)
    assert same_weights(refold.SequenceAutoencoder.load(tmp_path / "model.refold"), fitted)


def test_weights_that_no_epoch_improves_are_kept(fitted):
    ae = copy.deepcopy(fitted).set_params(**LONGER | {"learning_rate": 3.0, "max_epochs": 2})
    ae.fit(OLD)
    assert ae.best_epoch_ == 0
    assert same_weights(ae, fitted)


def test_statistics_describe_the_new_data(fitted, further):
    assert fitted.held_back(OLD).sum() == 2
    assert further.held_back(OLD).sum() == 2
    assert further.held_back(NEW).sum() == 2
    assert len(further.model_.fingerprints.training_hashes) == len(OLD) + len(NEW) - 4
    assert len(further.model_.held_out_errors) == 2
    np.testing.assert_allclose(
        np.sort(further.model_.reference.codes, axis=0),
        np.sort(further.transform(as_sequences(NEW)[~further.held_back(NEW)]), axis=0),
        rtol=1e-5,
    )


def test_the_calibration_is_renewed_or_removed(fitted):
    ae = copy.deepcopy(fitted).calibrate(draw_ragged_sequences(9, seed=7))
    assert ae.model_.num_calibrated == 9
    ae.set_params(warm_start=True, calibration_fraction=0.25)
    assert ae.fit(NEW, callbacks=[NoEpoch()]).model_.num_calibrated == 6
    assert ae.held_back(NEW).sum() == 8
    assert ae.set_params(calibration_fraction=0).fit(NEW).model_.num_calibrated == 0


def test_partial_fit_creates_a_model_and_trains_it_further():
    ae = SequenceAutoencoder(**TINY | {"max_epochs": 50}).partial_fit(OLD)
    assert ae.history_["epoch"] == [1]
    assert ae.best_epoch_ is None
    before = copy.deepcopy(ae)
    ae.partial_fit(NEW, num_epochs=6)
    assert len(ae.history_["epoch"]) == 6
    assert ae.score(NEW) > before.score(NEW)
    assert ae.max_steps_ == before.max_steps_
    assert same_weights(ae, before.partial_fit(NEW, num_epochs=6))
    assert not ae.held_back([*OLD, *NEW]).any()
    with pytest.raises(ParameterError, match="drift needs the errors of sequences that were not"):
        ae.drift(OLD)
    ae.calibrate(draw_ragged_sequences(60, seed=9))
    assert ae.drift(draw_ragged_sequences(60, seed=10)).num_sequences == 60


def test_longer_sequences_and_new_categories_can_be_trained_on():
    words = SequenceAutoencoder(**TINY).partial_fit([["a", "b"] * 4] * 8)
    with pytest.warns(UserWarning, match="treated as unknown"):
        words.partial_fit([["a", "c"] * 6] * 8)
    assert words.schema_.columns[0].categories == ("a", "b")
    assert words.max_steps_ == 8


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"latent_dim": 5}, "latent_dim=5 cannot change .* the fitted model has 3"),
        ({"length_dim": 1}, "length_dim=1 cannot"),
        ({"scale": None}, "scale=None cannot"),
        ({"missing_values": -9}, r"missing_values=\[-9.0\] cannot"),
        ({"denoise": "steps:0.2"}, "needs a model that reads missing values"),
        ({"num_epochs": 0}, "num_epochs must be a positive integer. Got 0"),
    ],
)
def test_arguments_that_contradict_the_model_are_refused(fitted, changed, message):
    ae = copy.deepcopy(fitted)
    epochs = {"num_epochs": changed.pop("num_epochs", 1)}
    with pytest.raises(ParameterError, match=message):
        ae.set_params(**changed).partial_fit(NEW, **epochs)
    assert same_weights(ae, fitted)


def test_mapped_data_is_aligned_with_the_model(fitted, tmp_path):
    write(as_sequences(NEW, names=["b", "a"]), tmp_path / "new.parquet")
    again = copy.deepcopy(fitted).partial_fit(read_as_mapped(tmp_path / "new.parquet"))
    assert not same_weights(again, fitted)


def test_models_with_a_share_or_a_custom_architecture_can_be_trained_further(fitted, tmp_path):
    share = copy.deepcopy(fitted).set_params(latent_dim=0.9).partial_fit(NEW)
    assert share.latent_dim_ == 3
    dense = SequenceAutoencoder(**TINY, architecture=_dense).fit([[0.5, 1.5, 2.5]] * 9)
    dense.save(tmp_path / "dense.refold")
    again, new = refold.SequenceAutoencoder.load(tmp_path / "dense.refold"), [[0.5, 1.0, 2.0]] * 9
    assert same_weights(again.partial_fit(new), dense.partial_fit(new))


def _dense(*, outputs, **sizes):
    models = refold.models.classic.make_dense_models(**sizes)
    assert outputs == sizes["features"]
    return models.encoder, models.decoder


def test_a_checkpoint_continues_only_from_the_same_weights(fitted, further, tmp_path):
    path = tmp_path / "checkpoint"
    copy.deepcopy(fitted).set_params(**LONGER).fit(NEW, checkpoint=path)
    again = copy.deepcopy(fitted).set_params(**LONGER)
    assert same_weights(again.fit(NEW, checkpoint=path, resume=True), further)
    with pytest.raises(ParameterError, match="the model that is trained further has other weights"):
        again.fit(NEW, checkpoint=path, resume=True)
