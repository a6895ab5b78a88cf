"""The compiled loop: what it computes, when it stops, what it keeps."""

import contextlib
import warnings

import keras
import numpy as np
import pytest

from models.ragged import CASES
from refold.errors import DivergedError
from refold.models import length_model, seeded
from refold.training import Padded, Settings, train
from refold.training import _loop as loop
from refold.training._batches import epoch_order
from refold.training._engine import Engine, Totals


def padded(case, n=24, seed=0):
    x, y = case.data(n, seed=seed)
    lengths = (~np.isnan(x).all(axis=-1)).sum(axis=1).astype("float32")
    return Padded(x, y, lengths)


def networks(case, seed=0):
    with seeded(seed):
        models = case.build()
        return models, length_model(4, mean=3.5, deviation=2.0)


def settings(**changes):
    given = {"max_epochs": 6, "batch_size": 5, "learning_rate": 0.01, "patience": 50, "seed": 0}
    return Settings(**(given | changes))


def weights(models):
    return [np.asarray(v.value) for v in models.autoencoder.variables]


def same(a, b):
    return all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


@pytest.fixture(params=["numeric", "mixed", "own"])
def case(request):
    return CASES[request.param]


def test_losses_fall_and_history_has_every_epoch(case):
    models, length = networks(case)
    history = train(models, length, padded(case), padded(case, seed=1), settings(max_epochs=20))
    assert history["epoch"] == list(range(1, 21))
    assert {len(values) for values in history.values()} == {20}
    assert history["loss"][-1] < 0.9 * history["loss"][0]
    assert np.all(np.diff(history["seconds"]) > 0)
    assert max(history["learning_rate"]) <= 0.01
    assert history["learning_rate"][-1] < 0.001


def test_the_same_seed_gives_the_same_bits_and_another_does_not():
    case, results = CASES["deep"], []
    for order_seed in (0, 0, 1):
        models, length = networks(case)
        train(models, length, padded(case), None, settings(seed=order_seed))
        results.append(weights(models))
    assert same(results[0], results[1])
    assert not same(results[0], results[2])


def test_how_an_epoch_is_cut_into_chunks_changes_no_bit(monkeypatch):
    case, results = CASES["deep"], []
    for seconds in (1.0, 0.0):
        monkeypatch.setattr(loop, "_CHUNK_SECONDS", seconds)
        models, length = networks(case)
        train(models, length, padded(case), None, settings())
        results.append(weights(models))
    assert same(*results)


def test_best_weights_are_kept():
    case = CASES["numeric"]
    data, other = padded(case), padded(case, seed=5)
    models, length = networks(case)
    history = train(models, length, data, other, settings(max_epochs=60, learning_rate=0.05))
    best = int(np.argmin(history["val_loss"]))
    assert best < 59, "the validation loss must have risen again for this test to show anything"
    assert loss_by_hand(models, length, other) == pytest.approx(history["val_loss"][best], rel=1e-4)


def loss_by_hand(models, length, data, weight=0.05):
    y_pred = models.autoencoder.predict(data.x, verbose=0)
    location, log_scale = length.predict(models.encoder.predict(data.x, verbose=0), verbose=0).T

    def mass(at):
        return 1 / (1 + np.exp(-(at - location.astype("float64")) / np.exp(log_scale)))

    lengths = data.lengths.astype("float64")
    nll = -np.log(mass(lengths + 0.5) - mass(lengths - 0.5))
    return np.nanmean((y_pred - data.y) ** 2) + weight * nll.mean()


def test_patience_ends_training():
    case = CASES["numeric"]
    models, length = networks(case)
    history = train(
        models,
        length,
        padded(case),
        padded(case, seed=5),
        settings(max_epochs=500, learning_rate=0.05, patience=5),
    )
    assert len(history["epoch"]) == 1 + int(np.argmin(history["val_loss"])) + 5


def test_a_loss_that_is_not_finite_at_once_raises():
    case = CASES["numeric"]
    models, length = networks(case)
    before = weights(models)
    data = padded(case)
    data.y[3, 0] = 1e30
    with pytest.raises(DivergedError, match=r"infinite in epoch 1\. Try a smaller learning"):
        train(models, length, data, None, settings())
    assert same(before, weights(models))


def test_a_loss_that_becomes_nan_keeps_earlier_weights():
    case = CASES["numeric"]
    models, length = networks(case)
    one_step_an_epoch = settings(batch_size=24, learning_rate=1e30)
    with pytest.warns(UserWarning, match=r"in epoch 2\. .* Kept are the weights of epoch 1\."):
        history = train(models, length, padded(case), None, one_step_an_epoch)
    assert history["epoch"] == [1]
    assert all(np.isfinite(w).all() for w in weights(models))


@pytest.mark.parametrize("rate", [1e6, 1e12, 1e18, 1e25])
def test_no_model_is_ever_full_of_nan(rate):
    """Whenever the overflow comes, the last epoch included, weights are finite or it is said."""
    case = CASES["numeric"]
    models, length = networks(case)
    kept = settings(batch_size=24, learning_rate=rate, max_epochs=2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        with contextlib.suppress(DivergedError):
            train(models, length, padded(case), None, kept)
    assert all(np.isfinite(w).all() for w in weights(models))


def test_a_step_is_the_step_of_keras():
    """One epoch of the compiled loop equals ``fit`` on the same batches, to rounding."""
    case = CASES["numeric"]
    data = padded(case, n=20)
    order = epoch_order(20, 5, seed=0, epoch=1)
    per_batch = [np.sum(~np.isnan(data.y[rows])) for rows in order]

    models, length = networks(case)
    engine = Engine(
        models, length, keras.optimizers.SGD(0.1), expected=np.mean(per_batch), length_weight=0.0
    )
    state = engine.run(engine.initial_state(), data, order, 0, len(order))
    engine.write_back(state)

    others, _ = networks(case)
    others.autoencoder.compile(keras.optimizers.SGD(0.1), "mse")
    for rows, count in zip(order, per_batch, strict=True):
        share = np.full(len(rows), count / np.mean(per_batch), "float32")
        others.autoencoder.train_on_batch(data.x[rows], data.y[rows], sample_weight=share)
    for a, b in zip(weights(models), weights(others), strict=True):
        assert np.allclose(a, b, atol=2e-6)


def test_rows_that_fill_up_a_batch_count_nothing():
    case = CASES["numeric"]
    data = padded(case, n=7)
    models, length = networks(case)
    engine = Engine(models, length, keras.optimizers.SGD(0.0), expected=100.0, length_weight=0.05)
    state = engine.initial_state()
    sums = [
        engine.evaluate(state.trainable, state.non_trainable, data, epoch_order(7, size))
        for size in (7, 4)
    ]
    assert np.allclose(*sums, rtol=1e-5)
    assert float(sums[0].num_sequences) == 7
    assert float(sums[0].num_observed) == np.sum(~np.isnan(data.y))
    assert all(float(total) == 0 for total in Totals.zero())
