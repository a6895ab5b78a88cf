"""Ordinary Keras callbacks in the compiled loop."""

import signal
import warnings

import keras
import numpy as np
import pytest

from refold import SequenceAutoencoder
from refold.datasets import japanese_vowels, noisy_sines
from refold.errors import ParameterError
from refold.training.loop._epochs import Epochs

SETTINGS = {"latent_dim": 3, "units": 8, "max_epochs": 4, "random_state": 0, "refit": False}


def fit(*callbacks, **changes):
    ae = SequenceAutoencoder(**SETTINGS | changes)
    return ae.fit(noisy_sines(60, seed=0, min_steps=4, max_steps=9), callbacks=callbacks)


@pytest.fixture(scope="module")
def alone():
    """A fit that no callback is told of."""
    return fit()


def refitted(*callbacks):
    """Fit what an epoch makes better than its start, so that a refit follows."""
    ae = SequenceAutoencoder(**SETTINGS | {"refit": True}).fit(utterances(), callbacks=callbacks)
    assert "refit" in ae.history_["phase"]
    return ae


def utterances():
    """Return sequences of one length, so that one shape is compiled."""
    return [utterance[:7] for utterance in japanese_vowels().train[::3]]


class Recorder(keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.seen = []

    def on_train_begin(self, logs=None):
        self.seen.append("begin")

    def on_epoch_begin(self, epoch, logs=None):
        self.seen.append(epoch)

    def on_epoch_end(self, epoch, logs=None):
        self.seen.append(sorted(logs))

    def on_train_end(self, logs=None):
        self.seen.append("end")


def weights(model):
    return [np.array(weight) for weight in model.get_weights()]


def test_epochs_are_told_and_nothing_changes(alone):
    recorder = Recorder()
    ae = fit(recorder)
    logs = ["learning_rate", "loss", "val_loss"]
    epochs = [entry for epoch in range(4) for entry in (epoch, logs)]
    assert recorder.seen == ["begin", *epochs, "end"]
    assert all(map(np.array_equal, weights(ae.autoencoder_), weights(alone.autoencoder_)))


def test_the_refit_is_told_too():
    recorder = Recorder()
    ae = refitted(recorder)
    phases = ae.history_["phase"]
    assert recorder.seen.count("begin") == recorder.seen.count("end") == 2
    assert recorder.seen.count(["learning_rate", "loss"]) == phases.count("refit")


def test_a_refit_is_a_training_of_its_own():
    class Opens(keras.callbacks.Callback):  # as Keras's TensorBoard does its files
        def __init__(self):
            super().__init__()
            self.seen = []

        def set_model(self, model):
            super().set_model(model)
            self.seen.append("open")

        def on_train_begin(self, logs=None):
            self.seen.append((self.params["phase"], self.params["epochs"]))

        def on_train_end(self, logs=None):
            self.seen.append("close")

    opens = Opens()
    ae = refitted(opens)
    refit = ("refit", ae.history_["phase"].count("refit"))
    assert opens.seen == ["open", ("validated", 4), "close", "open", refit, "close"]


@pytest.mark.usefixtures("ctrl_c")
def test_a_refit_that_is_stopped_ends_for_callbacks_too():
    class Stops(keras.callbacks.Callback):
        ended = 0

        def on_epoch_end(self, epoch, logs=None):
            if self.params["phase"] == "refit":
                signal.raise_signal(signal.SIGINT)

        def on_train_end(self, logs=None):
            self.ended += 1

    stops = Stops()
    with pytest.warns(UserWarning, match="refit on all sequences was interrupted"):
        refitted(stops)
    assert stops.ended == 2


def test_the_model_is_up_to_date_when_a_callback_looks():
    seen = []

    class Look(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            seen.append(weights(self.model))
            assert int(self.model.optimizer.iterations) == 2 * (epoch + 1)

    ae = fit(Look(), validation_fraction=0)
    assert not np.array_equal(seen[0][0], seen[-1][0])
    assert all(map(np.array_equal, seen[-1], weights(ae.autoencoder_)))


def test_what_a_callback_changes_counts():
    class Zero(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 3:
                self.model.set_weights([0 * weight for weight in self.model.get_weights()])

    ae = fit(Zero(), validation_fraction=0, learning_rate=1e-9)
    assert all(abs(weight).max() < 1e-6 for weight in weights(ae.autoencoder_))


def test_training_stops_when_a_callback_says_so():
    class Stop(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.model.stop_training = epoch == 1

    assert fit(Stop()).history_["epoch"] == [1, 2]
    stop = keras.callbacks.EarlyStopping(monitor="loss", min_delta=1e9, patience=1)
    assert len(fit(stop).history_["epoch"]) == 2


def test_a_callback_stops_the_refit_too_and_the_validated_weights_count():
    class Stop(keras.callbacks.Callback):
        def on_train_begin(self, logs=None):
            self.model.stop_training = self.params["phase"] == "refit"

    kept = r"A callback stopped the refit on all sequences\. Kept are the weights of epoch \d"
    with pytest.warns(UserWarning, match=kept):
        ae = SequenceAutoencoder(**SETTINGS | {"refit": True}).fit(utterances(), callbacks=[Stop()])
    assert ae.history_["phase"] == ["validated"] * 4

    class Early(keras.callbacks.Callback):  # a word of the first phase is none in the second
        def on_epoch_end(self, epoch, logs=None):
            self.model.stop_training = self.params["phase"] == "validated" and epoch == 1

    assert refitted(Early()).history_["phase"].count("validated") == 2


def test_a_new_rate_scales_the_schedule(alone):
    def halve(epoch, rate):
        return rate / 2 if epoch == 2 else rate

    rates = alone.history_["learning_rate"]
    halved = fit(keras.callbacks.LearningRateScheduler(halve)).history_["learning_rate"]
    np.testing.assert_allclose(halved[:2], rates[:2], rtol=1e-5)
    np.testing.assert_allclose(np.array(halved[2:]) * 2, rates[2:], rtol=1e-5)


def test_an_optimizer_with_a_rate_of_its_own_keeps_it():
    optimizer = keras.optimizers.SGD(0.01)
    ae = fit(optimizer=optimizer)
    np.testing.assert_allclose(ae.history_["learning_rate"], 0.01, rtol=1e-6)
    again = fit(optimizer=optimizer)
    assert ae.history_["loss"] == again.history_["loss"]
    plateau = keras.callbacks.ReduceLROnPlateau(monitor="loss", min_delta=1e9, patience=1)
    assert fit(plateau, optimizer=optimizer).history_["learning_rate"][-1] < 0.01
    falling = keras.optimizers.schedules.ExponentialDecay(0.01, 2, 0.5)
    rates = fit(optimizer=keras.optimizers.Adam(falling)).history_["learning_rate"]
    assert np.all(np.diff(rates) < 0)
    assert fit(optimizer="rmsprop").history_["learning_rate"][-1] < 0.003


def test_batch_hooks_make_every_step_a_call_of_its_own(alone):
    class Count(keras.callbacks.Callback):
        def __init__(self):
            super().__init__()
            self.steps = []

        def on_train_batch_end(self, batch, logs=None):
            self.steps.append((batch, logs["loss"]))

    count = Count()
    with pytest.warns(UserWarning, match=r"^Count asks to be called at every step"):
        ae = fit(count)
    assert [step for step, _ in count.steps] == list(range(8))
    assert np.isfinite([loss for _, loss in count.steps]).all()
    assert all(map(np.array_equal, weights(ae.autoencoder_), weights(alone.autoencoder_)))


def test_keras_own_callbacks_that_write_files(tmp_path):
    log, best = tmp_path / "log.csv", tmp_path / "best.keras"
    ae = fit(
        keras.callbacks.CSVLogger(log),
        keras.callbacks.ModelCheckpoint(best, monitor="loss", save_best_only=True),
        validation_fraction=0,
    )
    assert len(log.read_text().splitlines()) == 5
    loaded = keras.models.load_model(best)
    assert all(map(np.array_equal, weights(loaded), weights(ae.autoencoder_)))


@pytest.mark.slow  # it needs TensorFlow, which writes the files
def test_tensorboard_shows_the_losses(tmp_path):
    tensorflow = pytest.importorskip("tensorflow")
    pytest.importorskip("tensorboard")
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)  # it asks for no steps
        ae = refitted(keras.callbacks.TensorBoard(tmp_path))

    def written(part):
        losses = []
        for file in sorted((tmp_path / part).iterdir()):  # one a phase
            for event in tensorflow.compat.v1.train.summary_iterator(str(file)):
                losses += [
                    tensorflow.make_ndarray(value.tensor)
                    for value in event.summary.value
                    if value.tag == "epoch_loss"
                ]
        return losses

    assert np.allclose(written("train"), ae.history_["loss"])
    val_loss = [loss for loss in ae.history_["val_loss"] if loss is not None]
    assert np.allclose(written("validation"), val_loss)


def test_a_rate_that_begins_at_nothing_rises():
    warm = keras.callbacks.LearningRateScheduler(lambda epoch: 1e-3 * min(1.0, epoch / 2))
    rates = fit(warm).history_["learning_rate"]
    assert rates[0] == 0.0
    assert 0.0 < rates[1] < rates[2] < 2e-3


def test_without_validation_the_weights_that_a_callback_leaves_count():
    class Zero(keras.callbacks.Callback):
        def on_train_end(self, logs=None):
            self.model.set_weights([np.zeros_like(w) for w in self.model.get_weights()])

    ae = fit(Zero(), validation_fraction=0)
    assert not any(w.any() for w in weights(ae.autoencoder_))


def test_a_refit_that_is_done_counts_though_the_time_is_up(monkeypatch):
    look = Epochs._must_stop

    def must_stop(self, interrupt, *, refit):
        standing = self.standing
        done = standing.phase == "refit" and self._num_steps >= standing.refit_steps
        self._clock.is_up = lambda refit_steps=None: done
        return look(self, interrupt, refit=refit)

    whole = refitted()
    monkeypatch.setattr(Epochs, "_must_stop", must_stop)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        late = refitted(Recorder())
    pairs = zip(weights(whole.autoencoder_), weights(late.autoencoder_), strict=True)
    assert all(np.array_equal(a, b) for a, b in pairs)


@pytest.mark.parametrize("option", [{"gradient_accumulation_steps": 4}, {"use_ema": True}])
def test_what_an_optimizer_cannot_do_here_is_refused(option):
    with pytest.raises(ParameterError, match="Leave that option out"):
        fit(optimizer=keras.optimizers.Adam(1e-3, **option))
