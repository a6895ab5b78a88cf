"""Validation of an autoregressive decoder that is trained with teacher forcing."""

import keras
import numpy as np
import pytest

from network.keras.ragged import STEPS
from refold.models import decode_autoregressively, predict
from refold.sequences import pad
from refold.training.loop._compiled_steps import Engine
from refold.training.loop._train_state import StepMetrics
from training.small import CASES, batches, network, part, sequences


def test_validation_is_autoregressive_for_numeric_and_teacher_forced_for_categorical_columns():
    case = CASES["autoregressive"]
    net, scaled = network(case, decoder="autoregressive"), sequences(case, n=40)
    rng = np.random.default_rng(0)
    for variable in net.models.decoder.trainable_variables:
        variable.assign(variable + rng.normal(size=variable.shape))
    engine = Engine(net, keras.optimizers.SGD(), length_weight=0.0)
    shard = next(part(scaled).shards.epoch(1))
    totals = StepMetrics(*[0.0] * len(StepMetrics._fields))
    for run in batches(scaled).epoch(shard.rows):
        totals = totals.plus(engine.evaluate(engine.read_state(), shard.data, run))
    x, y = pad(scaled, np.arange(40), STEPS, flags=True)
    models = net.models
    free = decode_autoregressively(models.decoder, predict(models.encoder, x), STEPS)
    forced = predict(models.autoencoder, x)
    both = np.where([True, False, False, False], free, forced)
    errors = [float(models.autoencoder.error(y, y_pred)) for y_pred in (both, free, forced)]
    assert engine.loss(totals) == pytest.approx(errors[0], rel=1e-5)
    assert all(abs(other / errors[0] - 1) > 1e-4 for other in errors[1:])
