"""Small data and small networks for all tests of training."""

import shutil
from dataclasses import replace

import keras
import numpy as np
import pytest

from network.keras.ragged import STEPS
from refold import Checkpoint, SequenceAutoencoder
from refold.arguments import Arguments
from refold.models import Network, Specification
from refold.network.keras.heads import build_length_predictor
from refold.network.keras.layer import seeded
from refold.sequences import BucketedBatches, Column, Schema, Sequences, as_sequences
from refold.training import _shards
from refold.training._specify import make_specification
from refold.training.loop._checkpoint import load_checkpoint
from refold.training.loop._training import Settings, Training

LABELS = ("a", "b", "c", "d")


def sequences(case, n=24, seed=0):
    """Return the data of a case as sequences of all lengths from 0."""
    _, y = case.data(n, seed=seed)
    columns = tuple(
        Column(f"x{i}", kind, LABELS[:labels])
        for i, (kind, labels) in enumerate(zip(case.column_types, case.num_categories, strict=True))
    )
    lengths = np.arange(n) % (STEPS + 1)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    values = np.concatenate([y[i, :length] for i, length in enumerate(lengths)])
    return Sequences(values, offsets, schema=Schema(columns))


def network(case, seed=0, **changes):
    """Return the network of a case with weights from a seed."""
    sizes = {"latent_dim": 4, "max_steps": STEPS, "units": 8, "depth": 1, "dropout": 0.0}
    defaults = {"architecture": "default", "observed_flags": case.flags}
    defaults |= {"column_types": case.column_types, "num_categories": case.num_categories}
    defaults |= {"length_mean": 3.5, "length_deviation": 2.0}
    specification = Specification(**(defaults | sizes | dict(case.options)))
    with seeded(seed):
        models = case.build()
        length = build_length_predictor(specification)
    return Network(replace(specification, **changes), models, length)


def phase_data(scaled, training_indices=None, held_out=(), longest=STEPS):
    """Return training and validation data; all sequences are for training by default."""
    indices = np.arange(len(scaled)) if training_indices is None else np.asarray(training_indices)
    training_mask = np.isin(np.arange(len(scaled)), indices)
    fit_data = _shards.FitBlocks(scaled)
    loader = _shards.ShardLoader(fit_data, lambda block: block, training_mask, longest, seed=0)
    data = _shards.copy_blocks_to_device([scaled], longest)
    validation = _shards.LoadedShard(data, np.array(held_out, np.int64)) if len(held_out) else None
    num_observed = _shards.count_observed_values(scaled, indices)
    return _shards.PhaseData(loader, validation, len(indices), num_observed)


def batches(scaled, size=5):
    """Return batches of few shapes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("refold.sequences._batches._MIN_STEPS_SAVED_BY_BUCKET", 0)
        return BucketedBatches(scaled.lengths, size)


def settings(**changes):
    """Return short settings."""
    sizes = {"max_epochs": 6, "batch_size": 5, "updates_per_epoch": 5, "patience": 50}
    return Settings(**({"learning_rate": 0.01, "seed": 0} | sizes | changes))


def specification_of(X, latent_dim, **changes):
    """Return the specification of the model that a fit would build."""
    arguments = Arguments.of(SequenceAutoencoder(latent_dim, **changes))
    return make_specification(_shards.FitBlocks(as_sequences(X)), arguments, np.arange(len(X) - 1))


def train(network, data_of, batches, settings, *, refit=False):
    """Train all phases, each with the data that a function of the phase returns."""
    with Training(network, batches, settings._replace(refit=refit)) as training:
        while (phase := training.phase) is not None:
            training.run_phase(data_of(phase))
    return training.result


def same_arrays(a, b):
    """Return whether two lists of arrays have the same bits."""
    return all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


def same_weights(a, b):
    """Return whether the weights of two autoencoders have the same bits."""
    return same_arrays(*(ae.model_.network.arrays().values() for ae in (a, b)))


def fit_and_resume(settings, data, folder, epoch):
    """Return an autoencoder, and one that was resumed at the beginning of an epoch."""
    path, middle = folder / "checkpoint", folder / "middle"

    class Copy(keras.callbacks.Callback):
        def on_epoch_begin(self, index, logs=None):
            if index == epoch - 1 and self.params["phase"] == "validated":
                shutil.copy(path, middle)

    uninterrupted, resumed = (SequenceAutoencoder(**settings) for _ in range(2))
    uninterrupted.fit(data, checkpoint=Checkpoint(path, 0.0), callbacks=[Copy()])
    assert load_checkpoint(middle)[1]["epoch"] == epoch
    return uninterrupted, resumed.fit(data, checkpoint=middle, resume=True)
