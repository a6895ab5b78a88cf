"""Keras callbacks in the compiled loop."""

import keras
import numpy as np
import pytest

from refold import SequenceAutoencoder
from refold.errors import ParameterError
from training.script import SETTINGS, data

SHORT = SETTINGS | {"max_epochs": 4, "refit": False}


def fit(*callbacks, **changes):
    return SequenceAutoencoder(**SHORT | changes).fit(data(), callbacks=callbacks)


def refitted(*callbacks):
    """Fit data for which an epoch improves on the initialization, so that a refit follows."""
    ae = fit(*callbacks, refit=True)
    assert "refit" in ae.history_["phase"]
    return ae


@pytest.fixture(scope="module")
def reference():
    """Return a model that was fitted without callbacks."""
    return fit()


class Recorder(keras.callbacks.Callback):
    """Records its calls, also those by which TensorBoard opens and closes its files."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def set_model(self, model):
        super().set_model(model)
        self.seen.append("open")

    def on_train_begin(self, logs=None):
        self.seen.append((self.params["phase"], self.params["epochs"]))

    def on_epoch_begin(self, epoch, logs=None):
        self.seen.append(epoch)

    def on_epoch_end(self, epoch, logs=None):
        self.seen.append(sorted(logs))

    def on_train_end(self, logs=None):
        self.seen.append("close")


def weights(model):
    return [np.array(weight) for weight in model.get_weights()]


def test_callbacks_are_called_and_do_not_change_the_result(reference):
    """A refit is a separate training for them."""
    recorder = Recorder()
    whole = refitted(recorder)
    refit = ("refit", whole.history_["phase"].count("refit"))
    seen = [entry for entry in recorder.seen if isinstance(entry, tuple | str)]
    assert seen == ["open", ("validated", 4), "close", "open", refit, "close"]
    recorder = Recorder()
    ae = fit(recorder)
    logs = ["learning_rate", "loss", "val_loss"]
    epochs = [entry for epoch in range(4) for entry in (epoch, logs)]
    assert recorder.seen == ["open", ("validated", 4), *epochs, "close"]
    assert all(map(np.array_equal, weights(ae.autoencoder_), weights(reference.autoencoder_)))


def test_the_model_is_up_to_date_when_a_callback_looks(tmp_path):
    seen, best = [], tmp_path / "best.keras"

    class Look(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            seen.append(weights(self.model))
            assert int(self.model.optimizer.iterations) == 8 * (epoch + 1)

    ae = fit(
        Look(),
        keras.callbacks.ModelCheckpoint(best, monitor="loss", save_best_only=True),
        validation_fraction=0,
    )
    assert len(seen) == 4
    assert not np.array_equal(seen[0][0], seen[-1][0])
    assert all(map(np.array_equal, seen[-1], weights(ae.autoencoder_)))
    loaded = keras.models.load_model(best)
    assert all(map(np.array_equal, weights(loaded), weights(ae.autoencoder_)))


def test_weights_that_a_callback_changes_are_used():
    """The callback changes them before an epoch and after the last one, without validation."""
    seen = []

    class Change(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 3:
                self.model.set_weights([0 * weight for weight in self.model.get_weights()])

        def on_train_end(self, logs=None):
            seen.extend(weights(self.model))
            self.model.set_weights([np.full_like(weight, 2) for weight in seen])

    ae = fit(Change(), validation_fraction=0, learning_rate=1e-9)
    assert all(abs(weight).max() < 1e-6 for weight in seen)
    assert all((weight == 2).all() for weight in weights(ae.autoencoder_))


def test_a_callback_can_stop_a_phase_and_the_validated_weights_are_kept():
    class Stop(keras.callbacks.Callback):
        def on_train_begin(self, logs=None):
            self.model.stop_training = self.params["phase"] == "refit"

    kept = r"A callback stopped the refit on all sequences\. The weights of epoch \d"
    with pytest.warns(UserWarning, match=kept):
        ae = fit(Stop(), refit=True)
    assert ae.history_["phase"] == ["validated"] * 4

    class Early(keras.callbacks.Callback):  # stopping the first phase does not stop the second
        def on_epoch_end(self, epoch, logs=None):
            self.model.stop_training = self.params["phase"] == "validated" and epoch == 1

    assert refitted(Early()).history_["phase"].count("validated") == 2


def test_a_new_rate_scales_the_schedule(reference):
    def halve(epoch, rate):
        return rate / 2 if epoch == 2 else rate

    rates = reference.history_["learning_rate"]
    halved = fit(keras.callbacks.LearningRateScheduler(halve)).history_["learning_rate"]
    np.testing.assert_allclose(halved[:2], rates[:2], rtol=1e-5)
    np.testing.assert_allclose(np.array(halved[2:]) * 2, rates[2:], rtol=1e-5)
    warm = keras.callbacks.LearningRateScheduler(lambda epoch: 1e-3 * min(1.0, epoch / 2))
    rates = fit(warm).history_["learning_rate"]
    assert rates[0] == 0.0
    assert 0.0 < rates[1] < rates[2] < 2e-3


def test_an_optimizer_keeps_its_own_learning_rate():
    optimizer = keras.optimizers.SGD(0.01)
    given = {"optimizer": optimizer, "validation_fraction": 0}
    plateau = keras.callbacks.ReduceLROnPlateau(monitor="loss", min_delta=1e9, patience=1)
    lowered = fit(plateau, **given).history_
    assert lowered["learning_rate"][-1] < 0.01
    again = fit(**given).history_  # the optimizer is unchanged
    np.testing.assert_allclose(again["learning_rate"], 0.01, rtol=1e-6)
    alike = lowered["learning_rate"].count(lowered["learning_rate"][0])
    assert alike >= 2
    assert again["loss"][:alike] == lowered["loss"][:alike]
    named = fit(optimizer="sgd", validation_fraction=0).history_["learning_rate"]
    assert named[-1] < 0.1 * named[0], "the optimizer of a name has our schedule"
    with pytest.raises(ParameterError, match="Leave that option out"):
        fit(optimizer=keras.optimizers.Adam(1e-3, use_ema=True))


def test_with_batch_hooks_every_step_is_a_separate_call(reference):
    losses = {}
    hook = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: losses.update({batch: logs["loss"]})
    )
    with pytest.warns(UserWarning, match=r"^LambdaCallback asks to be called at every step"):
        ae = fit(hook)
    assert list(losses) == list(range(28))
    assert np.isfinite(list(losses.values())).all()
    assert all(map(np.array_equal, weights(ae.autoencoder_), weights(reference.autoencoder_)))
