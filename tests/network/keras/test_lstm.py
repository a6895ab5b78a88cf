"""`refold.layers.LSTM` agrees with Keras's LSTM, and replaces it in Keras models."""

import jax
import keras
import numpy as np
import pytest
from jax import export

from forks import run_forked, server_with_keras
from refold import kernels
from refold.errors import ParameterError
from refold.layers import LSTM, replace_lstm_layers

B, T, F, H = 5, 7, 3, 4
LENGTHS = np.array([7, 3, 0, 1, 7])
PADDED = np.arange(T) < LENGTHS[:, None]
HOLES = np.random.default_rng(1).random((B, T)) < 0.6
FASTEST = "scan" if kernels.variant() is None else "fused"

needs_kernel = pytest.mark.skipif(kernels.variant() is None, reason=str(kernels.why_not()))


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def pair(engine="fused", **options):
    """Return our layer and Keras's layer with the same weights."""
    refold_layer, keras_layer = LSTM(H, engine=engine, **options), keras.layers.LSTM(H, **options)
    for layer in (refold_layer, keras_layer):
        layer.zero_output_for_mask = options.get("zero_output_for_mask", False)
        layer.build((B, T, F))
    refold_layer.set_weights(
        [normal(*weight.shape, seed=i) for i, weight in enumerate(keras_layer.get_weights())]
    )
    keras_layer.set_weights(refold_layer.get_weights())
    return refold_layer, keras_layer


def assert_close(actual, expected, rtol=1e-5):
    for a, b in zip(keras.tree.flatten(actual), keras.tree.flatten(expected), strict=True):
        a, b = np.asarray(a), np.asarray(b)
        assert (a.shape, a.dtype) == (b.shape, b.dtype)
        np.testing.assert_allclose(a, b, rtol=0, atol=rtol * max(abs(b).max(initial=0), 1e-3))


@needs_kernel
@pytest.mark.parametrize("mask", [None, HOLES], ids=["full", "holes"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"zero_output_for_mask": True, "return_sequences": True, "go_backwards": True},
        {"use_bias": False, "activation": "relu", "recurrent_activation": "linear"},
        {"dropout": 0.4, "seed": 3, "return_sequences": True},
    ],
    ids=str,
)
def test_results_agree_with_keras(options, mask):
    refold_layer, keras_layer = pair(**options)
    x = 0.3 * normal(B, T, F)
    for training in (False, True, True):
        options = {"mask": mask, "training": training}
        assert_close(refold_layer(x, **options), keras_layer(x, **options))
    assert (refold_layer.engine_used, refold_layer.why_scan) == ("fused", None)


@needs_kernel
def test_inputs_masks_and_states_are_read_as_in_keras():
    refold_layer, keras_layer = pair(return_sequences=True, return_state=True)
    x, states = normal(B, T, F), [normal(B, H, seed=5), normal(B, H, seed=6)]
    options = {"initial_state": states, "mask": PADDED}
    assert_close(refold_layer(x, **options), keras_layer(x, **options))
    expected = keras_layer(x, mask=HOLES)
    assert_close(refold_layer(x, mask=HOLES.astype("float32")), expected)
    assert_close(refold_layer(x, mask=[HOLES]), expected)
    assert_close(refold_layer(x, mask=HOLES[..., None]), expected)
    assert_close(refold_layer(normal(0, T, F)), keras_layer(normal(0, T, F)))
    y, h, c = refold_layer(keras.Input((None, F)))
    assert (y.shape, h.shape, c.shape) == ((None, None, H), (None, H), (None, H))


@needs_kernel
def test_the_scan_can_be_exported():
    """The documentation recommends this for `jax.export`, which cannot export the kernel."""
    fused = keras.Sequential([keras.Input((T, F)), LSTM(H)])
    scan = replace_lstm_layers(fused, engine="scan")
    x = normal(B, T, F)
    exported = export.export(jax.jit(lambda x: scan(x)))(x)
    assert np.allclose(exported.call(x), fused(x), atol=1e-5)
    with pytest.raises(ValueError, match="custom call"):
        export.export(jax.jit(lambda x: fused(x)))(x)


@needs_kernel
def test_stateful_layers_continue_where_they_stopped():
    refold_layer, keras_layer = pair(stateful=True, return_sequences=True)
    x = normal(B, 2 * T, F)
    for layer in (refold_layer, keras_layer):
        layer.reset_state()
    for half in (x[:, :T], x[:, T:]):
        assert_close(refold_layer(half, mask=PADDED), keras_layer(half, mask=PADDED))


def model_on(cls, **engine):
    keras.utils.set_random_seed(0)
    x = keras.Input((None, F))
    hidden = keras.layers.Masking()(x)
    layer = cls(H, return_sequences=True, dropout=0.4, seed=3, **engine)
    _, h, c = cls(H, return_state=True, **engine)(keras.layers.Bidirectional(layer)(hidden))
    repeated = keras.layers.RepeatVector(3)(h)
    y = cls(H, return_sequences=True, activation="relu", **engine)(repeated, initial_state=[h, c])
    model = keras.Model(x, keras.layers.TimeDistributed(keras.layers.Dense(2))(y))
    model.compile(keras.optimizers.SGD(0.1), "mse")
    return model


@needs_kernel
def test_training_is_that_of_keras_and_weights_can_be_exchanged(tmp_path):
    x, y = normal(20, T, F), normal(20, 3, 2)
    x[:, 4:] = 0
    refold_model, keras_model = model_on(LSTM, engine="fused"), model_on(keras.layers.LSTM)
    options = {"batch_size": 10, "epochs": 3, "shuffle": False, "verbose": 0}
    histories = [model.fit(x, y, **options).history for model in (refold_model, keras_model)]
    np.testing.assert_allclose(histories[0]["loss"], histories[1]["loss"], rtol=1e-5)
    assert_close(refold_model.get_weights(), keras_model.get_weights(), rtol=1e-4)
    expected = keras_model.predict(x, verbose=0)
    assert_close(refold_model.predict(x, batch_size=7, verbose=0), expected, rtol=1e-4)
    keras_model.set_weights([weight + 1 for weight in keras_model.get_weights()])
    keras_model.save_weights(tmp_path / "theirs.weights.h5")
    refold_model.load_weights(tmp_path / "theirs.weights.h5")
    assert_close(refold_model.get_weights(), keras_model.get_weights())


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"activation": "softsign"}, "its activation is not tanh, sigmoid, relu or linear"),
        ({"recurrent_dropout": 0.2}, r"recurrent_dropout is 0.2"),
        ({"implementation": 1, "use_cudnn": False, "dropout": 0.5}, "its own dropout mask"),
        ({"dtype": "mixed_bfloat16"}, "its dtype is bfloat16"),
    ],
)
def test_unsupported_options_run_on_the_scan_unless_fused_is_requested(options, reason):
    x = normal(B, T, F)
    refold_layer, keras_layer = pair(engine="auto", return_sequences=True, **options)
    y, expected = (np.asarray(layer(x, mask=PADDED)) for layer in (refold_layer, keras_layer))
    assert np.array_equal(y, expected)
    assert refold_layer.engine_used == "scan"
    assert reason in refold_layer.why_scan
    fused, _ = pair(return_sequences=True, **options)
    with pytest.raises(ParameterError, match=f"'{fused.name}'.* cannot run: .*{reason}.* 'scan'"):
        fused(x)


def test_an_unknown_engine_is_refused():
    for make in (lambda: LSTM(H, engine="cudnn"), lambda: replace_lstm_layers(nested(), 2)):
        with pytest.raises(ParameterError, match=r"^engine must be one of 'auto', 'fused', 'scan'"):
            make()


WITHOUT_KERNEL = """
import sys, numpy as np
from refold.errors import ParameterError
from refold.layers import LSTM
x = np.ones((2, 3, 1), "float32")
layer = LSTM(2)
layer(x), LSTM(3)(x)
print(layer.engine_used, "refold.kernels.fused" in sys.modules, layer.why_scan, sep=" | ")
try:
    LSTM(2, engine="fused")(x)
except ParameterError as error:
    print(error)
"""


def test_without_the_kernel_the_scan_runs_and_the_reason_is_given_once():
    server = server_with_keras()
    done = {name: server.run(WITHOUT_KERNEL, REFOLD_KERNEL=name) for name in ("none", "z80")}
    environment = {"KERAS_BACKEND": "numpy", "TF_CPP_MIN_LOG_LEVEL": "3"}
    (on_numpy,) = run_forked([(WITHOUT_KERNEL, {})], **environment)
    for output, expected in (
        (done["none"].stdout, "REFOLD_KERNEL"),
        (on_numpy.stdout, "Keras runs on numpy, and the kernel is for JAX"),
    ):
        first, error = output.split("\n", 1)
        used, imported, reason = first.split(" | ")
        assert used == "scan"
        assert expected in reason
        assert f"with engine='fused' cannot run: {reason}. Use engine='auto' or 'scan'." in error
    assert imported == "False"  # on NumPy
    assert done["none"].stderr == ""  # no message if the user turned it off
    (logged,) = done["z80"].stderr.splitlines()
    assert logged.startswith("LSTM layers run on Keras's loop, which is slower")
    assert ("z80" if kernels.variant() else "was not built") in logged


# Conversion


def sequential():
    scale = keras.layers.Normalization()  # has state that is not in weights
    scale.adapt(3.0 * normal(20, T, F) + 2.0)
    layers = keras.layers.Masking(), scale, keras.layers.LSTM(H), keras.layers.Dense(2)
    return keras.Sequential([keras.Input((None, F)), *layers])


def nested():
    layer = keras.layers.LSTM(F, return_sequences=True)
    inner = keras.Sequential([keras.Input((None, F)), layer], name="inner")
    shared = keras.layers.LSTM(F, return_sequences=True, name="shared")
    x = keras.Input((T, F))
    hidden = inner(shared(shared(x)))
    both = keras.layers.Bidirectional(keras.layers.LSTM(H, dropout=0.3, seed=1), merge_mode="sum")
    return keras.Model(x, {"code": both(hidden), "sequence": hidden}, name="outer")


def with_other_layers():
    class Doubled(keras.layers.Dense):
        def call(self, inputs):
            return 2 * super().call(inputs)

    class Subclass(keras.layers.LSTM):
        """A subclass of the LSTM, which may behave differently."""

    subclass = Subclass(H, return_sequences=True)
    return keras.Sequential([keras.Input((T, F)), Doubled(4), subclass, keras.layers.LSTM(H)])


@pytest.mark.parametrize("make", [sequential, nested, with_other_layers])
def test_a_converted_model_predicts_and_trains_as_the_model(make, tmp_path):
    def lstms(model):
        classes = (keras.layers.LSTM, LSTM)
        return [layer for layer in model._flatten_layers() if type(layer) in classes]

    model = make()
    before = list(model._flatten_layers())
    converted = replace_lstm_layers(model)
    assert {type(layer) for layer in lstms(converted)} == {LSTM}
    assert [layer.name for layer in lstms(converted)] == [layer.name for layer in lstms(model)]
    assert (type(converted), converted.name) == (type(model), model.name)
    x = normal(B, T, F)
    expected = model.predict(x, verbose=0)
    assert_close(converted.predict(x, verbose=0), expected)
    assert {layer.engine_used for layer in lstms(converted)} == {FASTEST}

    target = keras.tree.map_structure(np.zeros_like, expected)
    losses = []
    for trained in (model, converted):
        trained.compile(keras.optimizers.SGD(0.1), "mse")
        losses.append(trained.train_on_batch(x, target))
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-5)
    assert_close(converted.get_weights(), model.get_weights(), rtol=1e-4)
    assert list(model._flatten_layers()) == before, "the original does not change"
    if make is not with_other_layers:  # whose classes are not registered
        converted.save(tmp_path / "ours.keras")
        again = keras.models.load_model(tmp_path / "ours.keras")
        assert_close(again.predict(x, verbose=0), converted.predict(x, verbose=0), rtol=0)
        assert {layer.engine for layer in lstms(again)} == {"auto"}


class Subclassed(keras.Model):
    def __init__(self, **options):
        super().__init__(**options)
        self.inner = keras.layers.LSTM(H)

    def call(self, inputs):
        return self.inner(inputs)


def shared_with_a_wrapper():
    x, layer = keras.Input((T, F)), keras.layers.LSTM(F, return_sequences=True)
    return keras.Model(x, keras.layers.TimeDistributed(layer)(keras.ops.stack([layer(x), x], 1)))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: keras.Sequential([keras.layers.Dense(2)]), "it has no keras.layers.LSTM"),
        (Subclassed, "its LSTM .* is created in the code of another layer or model"),
        (shared_with_a_wrapper, "shares a layer that Keras would copy as several"),
        (lambda: keras.layers.LSTM(H), "takes a keras.Model. Got LSTM; put a single layer"),
    ],
)
def test_models_that_cannot_be_converted_give_the_reason(make, message):
    with pytest.raises(ParameterError, match=message) as raised:
        replace_lstm_layers(make())
    assert len(str(raised.value).splitlines()) == 1
