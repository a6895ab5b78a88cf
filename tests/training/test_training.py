"""The compiled loop: its results, when it stops, and the weights that it keeps."""

import contextlib
import sys
import warnings

import keras
import numpy as np
import pytest

from network.keras.ragged import CASES
from refold.errors import DivergedError
from refold.network.keras.build import to_inference_network
from refold.sequences import BucketedBatches, pad
from refold.training.initialization._initial_weights import list_network_weights
from refold.training.loop import _training
from refold.training.loop._compiled_steps import LossNormalizers, Schedule, TrainingEngine
from refold.training.loop._training import Clock
from training.small import batches, network, phase_data, same_arrays, sequences, settings, train


def run(case, *, held_out=(), n=24, seed=0, refit=False, **changes):
    """Train a new network on the rows that are not held out."""
    data, net = sequences(case, n), network(case, seed)
    rows = np.setdiff1d(np.arange(n), held_out)
    given = settings(**changes)

    def data_of(phase):
        return phase_data(data, rows, held_out) if phase == "validated" else phase_data(data)

    outcome = train(net, data_of, batches(data, given.batch_size), given, refit=refit)
    return net, outcome


def test_patience_ends_training_and_the_best_weights_are_kept():
    case, held_out = CASES["numeric"], [1, 4, 9, 14]
    net, outcome = run(case, held_out=held_out, max_epochs=500, learning_rate=0.05, patience=5)
    losses = outcome.history["val_loss"]
    best = int(np.argmin(losses))
    assert outcome.best_epoch == best + 1
    assert len(losses) == best + 1 + 5
    kept = sequences(case)[held_out]
    totals = to_inference_network(net).compute_total_errors(kept.values, kept.offsets)
    loss = totals.error / totals.num_observed + 0.05 * totals.length_error / totals.num_sequences
    assert loss == pytest.approx(losses[best], rel=1e-4)


def test_the_refit_trains_on_all_sequences_for_the_chosen_steps():
    case, held_out = CASES["numeric"], [2, 5, 11]
    _, outcome = run(case, held_out=held_out, refit=True, max_epochs=8)
    phases = outcome.history["phase"]
    assert outcome.phase == "refit"
    assert phases == sorted(phases, reverse=True)
    assert {"validated", "refit"} == set(phases)
    assert outcome.history["val_loss"][-1] is None
    assert outcome.history["epoch"][phases.index("refit")] == 1
    all_batches = batches(sequences(case))
    steps = outcome.best_epoch * all_batches.count_batches(np.arange(21))
    assert phases.count("refit") == -(-steps // all_batches.count_batches(np.arange(24)))


def test_a_refit_that_diverges_falls_back_to_the_validated_weights():
    case = CASES["numeric"]
    data, rows = sequences(case), np.arange(3, 24)
    values = data.values.copy()
    values[0] = np.float32(1e30)  # only the refit sees it
    corrupted = data.with_values(values)

    def data_of(phase):
        return phase_data(data, rows, [0, 1, 2]) if phase == "validated" else phase_data(corrupted)

    not_refitted = network(case)
    train(not_refitted, data_of, batches(data), settings())
    net = network(case)
    with pytest.warns(UserWarning, match=r"infinite in the refit .* The weights of epoch"):
        outcome = train(net, data_of, batches(data), settings(), refit=True)
    assert outcome.phase == "validated"
    assert same_arrays(list_network_weights(not_refitted), list_network_weights(net))


def test_a_time_budget_ends_training_with_a_low_rate(monkeypatch):
    """The clock stands still except in steps, of 10 ms, and before each of both trainings."""
    now, train_steps, make_data = [100.0], TrainingEngine.train_batches, phase_data

    def train_updates(self, state, data, plan, start, stop, **kwargs):
        now[0] += 0.01 * (stop - start)
        return train_steps(self, state, data, plan, start, stop, **kwargs)

    def prepare(*arguments):
        now[0] += 0.5
        return make_data(*arguments)

    monkeypatch.setattr(TrainingEngine, "train_batches", train_updates)
    monkeypatch.setattr(sys.modules[__name__], "phase_data", prepare)
    monkeypatch.setattr(_training.time, "perf_counter", lambda: now[0])
    budget = {"max_epochs": 10**6, "patience": 10**6, "time_budget": 4.0}
    _, outcome = run(CASES["numeric"], held_out=[1, 4, 9], refit=True, **budget)
    history = outcome.history
    rates = np.array(history["learning_rate"])[np.array(history["phase"]) == "validated"]
    assert history["phase"][-1] == "refit"
    assert len(rates) > 20
    assert rates[-1] < 0.3 * rates.max()
    # nearly all of the time is used
    assert 103.5 < now[0] < 104.1


@pytest.mark.parametrize("num_done", [0, 300])
def test_the_plan_leaves_time_for_a_refit_that_repeats_all_updates(num_done, monkeypatch):
    """Also those before a resume. An update takes 10 ms, and 11 ms in the refit."""
    now = [100.0]
    monkeypatch.setattr(_training.time, "perf_counter", lambda: now[0])
    clock = Clock(10.0, earlier_seconds=0.01 * num_done)
    for _ in range(101):  # the first chunk of a shape is compilation
        now[0] += 0.01
        clock.record_chunk(0.01, "shape", 1)
    num_done += 101
    planned = clock.plan_num_updates(num_done, 10**6, refit=True)
    seconds = clock.seconds + 0.01 * (planned - num_done) + 0.011 * planned
    assert 9.9 < seconds <= 10.01
    assert clock.plan_num_updates(num_done, 7, refit=True) == 7, "it is planned once"


def test_the_first_epoch_counts_even_if_time_is_up_within_it():
    _, outcome = run(CASES["numeric"], held_out=[1, 4, 9], time_budget=1e-3)
    assert outcome.phase == "validated"
    assert outcome.best_epoch == 1


def test_a_loss_that_is_not_finite_in_the_first_epoch_is_an_error():
    net, data = network(CASES["numeric"]), sequences(CASES["numeric"])
    values, before = data.values.copy(), list_network_weights(net)
    values[3] = np.float32(1e30)
    data = data.with_values(values)
    with pytest.raises(DivergedError, match=r"infinite in epoch 1\. Try a smaller learning"):
        train(net, lambda _: phase_data(data), batches(data), settings())
    assert same_arrays(before, list_network_weights(net))


@pytest.mark.parametrize("rate", [1e6, 1e18, 1e30])
def test_a_loss_that_becomes_nan_keeps_earlier_weights(rate):
    """At any time of the overflow, the weights are finite or there is an error."""
    net, data = network(CASES["numeric"]), sequences(CASES["numeric"])
    given = settings(batch_size=24, learning_rate=rate, max_epochs=6 if rate == 1e30 else 2)
    with warnings.catch_warnings(record=True) as caught, contextlib.suppress(DivergedError):
        warnings.simplefilter("always")
        train(net, lambda _: phase_data(data), batches(data, 24), given)
    assert all(np.isfinite(w).all() for w in list_network_weights(net))
    if rate == 1e30:
        assert "in epoch 2. Try" in str(caught[0].message)
        assert "The weights of epoch 1 were kept." in str(caught[0].message)


def test_a_training_step_agrees_with_keras():
    """One epoch of the compiled loop equals ``fit`` on the same batches, to rounding."""
    case = CASES["numeric"]
    data, net = sequences(case, 20), network(case)
    shard, batches = next(phase_data(data).loader.load_shards(1)), BucketedBatches(data.lengths, 5)
    (plan,) = batches.iter_batch_runs(shard.sequence_indices, seed=0, epoch=1)
    padded = [pad(data, rows, 7) for rows in plan.indices[: plan.num_batches]]
    counts = [np.sum(~np.isnan(y)) for _, y in padded]
    optimizer = keras.optimizers.SGD(0.1)
    engine = TrainingEngine(net, optimizer, length_weight=0.0, sets_learning_rate=False)
    inputs = engine.read_state_from_keras(), shard.data, plan, 0, plan.num_batches
    normalizers = LossNormalizers(np.mean(counts), 5.0)
    state, _ = engine.train_batches(*inputs, normalizers=normalizers, schedule=Schedule(1.0, 1))
    engine.write_back(state)

    other = network(case)
    other.models.autoencoder.compile(keras.optimizers.SGD(0.1), "mse")
    for (x, y), count in zip(padded, counts, strict=True):
        share = np.full(len(x), count / np.mean(counts), "float32")
        other.models.autoencoder.train_on_batch(x, y, sample_weight=share)
    for a, b in zip(list_network_weights(net), list_network_weights(other), strict=True):
        assert np.allclose(a, b, atol=2e-6)
