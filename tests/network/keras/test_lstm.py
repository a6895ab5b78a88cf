"""`refold.layers.LSTM` agrees with Keras: results, masks, states, files, and the engine."""

import jax
import keras
import numpy as np
import pytest
from jax import export

from forks import run_forked, server_with_keras
from refold import kernels
from refold.errors import ParameterError
from refold.layers import LSTM, convert

B, T, F, H = 5, 7, 3, 4
SEEDED = {"dropout": 0.4, "seed": 3}
LENGTHS = np.array([7, 3, 0, 1, 7])
PADDED = np.arange(T) < LENGTHS[:, None]
HOLES = np.random.default_rng(1).random((B, T)) < 0.6

needs_kernel = pytest.mark.skipif(kernels.variant() is None, reason=str(kernels.why_not()))


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def pair(engine="fused", **options):
    """Return our layer and Keras's layer with the same weights."""
    ours, theirs = LSTM(H, engine=engine, **options), keras.layers.LSTM(H, **options)
    for layer in (ours, theirs):
        layer.zero_output_for_mask = options.get("zero_output_for_mask", False)
        layer.build((B, T, F))
    ours.set_weights(
        [normal(*weight.shape, seed=i) for i, weight in enumerate(theirs.get_weights())]
    )
    theirs.set_weights(ours.get_weights())
    return ours, theirs


def same(ours, theirs, rtol=1e-5):
    ours, theirs = keras.tree.flatten(ours), keras.tree.flatten(theirs)
    for a, b in zip(ours, theirs, strict=True):
        a, b = np.asarray(a), np.asarray(b)
        assert a.shape == b.shape
        assert a.dtype == b.dtype
        np.testing.assert_allclose(a, b, rtol=0, atol=rtol * max(abs(b).max(initial=0), 1e-3))


# Results


@needs_kernel
@pytest.mark.parametrize("mask", [None, PADDED, HOLES, HOLES[..., None]], ids=str)
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"return_sequences": True},
        {"return_state": True, "go_backwards": True},
        {"return_sequences": True, "return_state": True, "go_backwards": True},
        {"zero_output_for_mask": True},
        {"zero_output_for_mask": True, "go_backwards": True},
        {"zero_output_for_mask": True, "return_sequences": True},
        {"zero_output_for_mask": True, "return_sequences": True, "go_backwards": True},
        {"use_bias": False},
        {"activation": "relu", "recurrent_activation": "linear"},
        {"activation": None, "recurrent_activation": "tanh"},
        {"implementation": 1},
    ],
    ids=str,
)
def test_results_agree_with_keras(options, mask):
    ours, theirs = pair(**options)
    x = 0.3 * normal(B, T, F)
    same(ours(x, mask=mask), theirs(x, mask=mask))
    assert (ours.engine_used, ours.why_scan) == ("fused", None)


@needs_kernel
def test_masks_and_inputs_of_other_types_are_read_as_in_keras():
    ours, theirs = pair()
    x = normal(B, T, F)
    expected = theirs(x, mask=HOLES)
    same(ours(x, mask=HOLES.astype("float32")), expected)
    same(ours(x, mask=[HOLES]), expected)
    same(ours(x, mask=PADDED[:1]), theirs(x, mask=PADDED[:1]))
    whole = np.arange(B * T * F).reshape(B, T, F) % 3
    same(ours(whole.astype("int32")), theirs(whole.astype("float32")))


@pytest.mark.parametrize("mask", [None, PADDED], ids=["full", "padded"])
def test_initial_states_are_read(mask):
    ours, theirs = pair(return_sequences=True, return_state=True)
    x, states = normal(B, T, F), [normal(B, H, seed=5), normal(B, H, seed=6)]
    same(ours(x, initial_state=states, mask=mask), theirs(x, initial_state=states, mask=mask))


@needs_kernel
def test_a_layer_keeps_its_dtype_under_another_default():
    before = keras.config.floatx()
    keras.config.set_floatx("bfloat16")
    try:
        ours, theirs = pair(dtype="float32", use_bias=False)
        same(ours(normal(B, T, F)), theirs(normal(B, T, F)))
    finally:
        keras.config.set_floatx(before)


@needs_kernel
def test_the_scan_can_be_exported():
    """The documentation recommends this for `jax.export`, which cannot export the kernel."""
    fused = keras.Sequential([keras.Input((T, F)), LSTM(H)])
    scan = convert(fused, engine="scan")
    x = normal(B, T, F)
    exported = export.export(jax.jit(lambda x: scan(x)))(x)
    assert np.allclose(exported.call(x), fused(x), atol=1e-5)
    with pytest.raises(ValueError, match="custom call"):
        export.export(jax.jit(lambda x: fused(x)))(x)


def test_an_empty_batch_is_as_in_keras():
    ours, theirs = pair(return_sequences=True, return_state=True)
    same(ours(normal(0, T, F)), theirs(normal(0, T, F)))


def test_inputs_without_steps_are_refused_as_in_keras():
    for layer in pair(engine="auto"):
        with pytest.raises(IndexError, match="out of bounds"):
            layer(normal(B, 0, F))


@needs_kernel
@pytest.mark.parametrize("go_backwards", [False, True])
def test_dropout_draws_the_same_numbers(go_backwards):
    ours, theirs = pair(return_sequences=True, go_backwards=go_backwards, **SEEDED)
    x = normal(B, T, F)
    for _ in range(2):
        same(ours(x, training=True), theirs(x, training=True))
        same(ours(x, training=False), theirs(x, training=False))
    assert ours.engine_used == "fused"


@needs_kernel
def test_stateful_layers_continue_where_they_stopped():
    ours, theirs = pair(stateful=True, return_sequences=True)
    x = normal(B, 2 * T, F)
    for layer in (ours, theirs):
        layer.reset_state()
    for part in (x[:, :T], x[:, T:]):
        same(ours(part, mask=PADDED), theirs(part, mask=PADDED))
    whole, _ = pair(return_sequences=True)
    ours.reset_state()
    first, second = ours(x[:, :T]), ours(x[:, T:])
    same(np.concatenate([first, second], axis=1), whole(x))


# In models


def model_on(cls, **engine):
    keras.utils.set_random_seed(0)
    x = keras.Input((None, F))
    hidden = keras.layers.Masking()(x)
    hidden = keras.layers.Bidirectional(cls(H, return_sequences=True, **SEEDED, **engine))(hidden)
    _, h, c = cls(H, return_state=True, **engine)(hidden)
    repeated = keras.layers.RepeatVector(3)(h)
    y = cls(H, return_sequences=True, activation="relu", **engine)(repeated, initial_state=[h, c])
    model = keras.Model(x, keras.layers.TimeDistributed(keras.layers.Dense(2))(y))
    model.compile(keras.optimizers.SGD(0.1), "mse")
    return model


@needs_kernel
def test_training_is_that_of_keras():
    x, y = normal(20, T, F), normal(20, 3, 2)
    x[:, 4:] = 0
    ours, theirs = model_on(LSTM, engine="fused"), model_on(keras.layers.LSTM)
    options = {"batch_size": 10, "epochs": 3, "shuffle": False, "verbose": 0}
    histories = [model.fit(x, y, **options).history for model in (ours, theirs)]
    np.testing.assert_allclose(histories[0]["loss"], histories[1]["loss"], rtol=1e-5)
    same(ours.get_weights(), theirs.get_weights(), rtol=1e-4)
    same(ours.predict(x, batch_size=7, verbose=0), theirs.predict(x, verbose=0), rtol=1e-4)


@needs_kernel
@pytest.mark.parametrize("zero_output_for_mask", [False, True])
@pytest.mark.parametrize("go_backwards", [False, True])
def test_gradients_are_those_of_keras(go_backwards, zero_output_for_mask):
    x, direction = normal(B, T, F), normal(B, T, H, seed=2)
    found = []
    for layer in pair(
        return_sequences=True, go_backwards=go_backwards, zero_output_for_mask=zero_output_for_mask
    ):

        def loss(weights, x, layer=layer):
            y, _ = layer.stateless_call(weights, layer.non_trainable_variables, x, mask=HOLES)
            return (y * direction).sum()

        weights = [variable.value for variable in layer.trainable_variables]
        found.append(jax.jit(jax.grad(loss, argnums=(0, 1)))(weights, x))
    same(*found, rtol=1e-4)


def test_a_symbolic_call_knows_its_shapes_and_runs_nothing():
    layer = LSTM(H, return_sequences=True, return_state=True)
    y, h, c = layer(keras.Input((None, F)))
    assert (y.shape, h.shape, c.shape) == ((None, None, H), (None, H), (None, H))
    assert (layer.engine_used, layer.why_scan) == (None, None)


# Files


def test_weights_can_be_exchanged_with_keras(tmp_path):
    x = normal(B, T, F)
    models = [keras.Sequential([keras.Input((T, F)), layer]) for layer in pair(engine="auto")]
    for source, target in (models, models[::-1]):
        for name in ("source.weights.h5", "source.keras"):
            target.set_weights([np.zeros_like(weight) for weight in target.get_weights()])
            (source.save_weights if "weights" in name else source.save)(tmp_path / name)
            target.load_weights(tmp_path / name)
            same(target(x), source(x))


def test_a_saved_model_keeps_the_engine(tmp_path):
    keras.Sequential([keras.Input((T, F)), LSTM(H, engine="scan")]).save(tmp_path / "ours.keras")
    (layer,) = keras.models.load_model(tmp_path / "ours.keras").layers
    assert isinstance(layer, LSTM)
    assert layer.engine == "scan"


# The engine


REASONS = [
    ({"activation": "softsign"}, "its activation is not tanh, sigmoid, relu or linear"),
    ({"recurrent_activation": keras.ops.tanh}, "its recurrent_activation is not tanh"),
    ({"recurrent_dropout": 0.2}, r"recurrent_dropout is 0.2"),
    ({"implementation": 1, "use_cudnn": False, "dropout": 0.5}, "its own dropout mask"),
    ({"unroll": True}, "unroll=True asks for Keras's unrolled loop"),
    ({"dtype": "mixed_bfloat16"}, "its dtype is bfloat16"),
    ({"dtype": "mixed_float16"}, "its dtype is float16"),
]


@pytest.mark.parametrize(("options", "reason"), REASONS, ids=[reason for _, reason in REASONS])
def test_unsupported_options_run_on_the_scan_unless_fused_is_requested(options, reason):
    x = normal(B, T, F)
    ours, theirs = pair(engine="auto", return_sequences=True, **options)
    y, expected = (np.asarray(layer(x, mask=PADDED)) for layer in (ours, theirs))
    assert np.array_equal(y, expected)
    assert ours.engine_used == "scan"
    assert reason in ours.why_scan
    fused, _ = pair(return_sequences=True, **options)
    with pytest.raises(ParameterError, match=f"'{fused.name}'.* cannot run: .*{reason}.* 'scan'"):
        fused(x)


def test_the_cell_of_a_subclass_is_used():
    class Sevens(keras.layers.LSTMCell):
        def call(self, inputs, states, training=False):
            h, (_, c) = super().call(inputs, states, training=training)
            return 7 + 0 * h, [7 + 0 * h, c]

    class Layer(LSTM):
        def __init__(self, units, **options):
            super().__init__(units, **options)
            self.cell = Sevens(units)

    layer = Layer(H)
    assert np.all(layer(normal(B, T, F)) == 7)
    assert layer.why_scan == "its cell is a Sevens, not keras.layers.LSTMCell"


def test_the_scan_is_that_of_keras():
    ours, theirs = pair(engine="scan", return_state=True, return_sequences=True)
    for a, b in zip(ours(normal(B, T, F)), theirs(normal(B, T, F)), strict=True):
        assert np.array_equal(np.asarray(a), np.asarray(b))
    assert (ours.engine_used, ours.why_scan) == ("scan", "engine='scan' was requested")


def test_a_request_for_cudnn_is_refused_as_in_keras():
    with pytest.raises(ValueError, match="use_cudnn=True was specified"):
        LSTM(H, use_cudnn=True)(normal(B, T, F))


@pytest.mark.parametrize("engine", ["Fused", "cudnn", None, 2])
def test_an_unknown_engine_is_refused(engine):
    with pytest.raises(ParameterError, match="engine must be one of 'auto', 'fused', 'scan'"):
        LSTM(H, engine=engine)


WITHOUT = """
import logging, sys
import numpy as np
from refold.errors import ParameterError
from refold.layers import LSTM
x = np.ones((2, 3, 1), "float32")
layer = LSTM(2)
layer(x), LSTM(3)(x)
print(layer.engine_used, "|", layer.why_scan)
try:
    LSTM(2, engine="fused")(x)
except ParameterError as error:
    print(error)
"""


ON_NUMPY = """
import sys, numpy as np
from refold.layers import LSTM
layer = LSTM(2)
layer(np.ones((2, 3, 1), "float32"))
print("refold.kernels.fused" in sys.modules, layer.why_scan)
"""


@pytest.fixture(scope="module")
def without():
    """Return the output without the library, with an unknown variant, and on another backend."""
    server = server_with_keras()
    done = {name: server.run(WITHOUT, REFOLD_KERNEL=name) for name in ("none", "z80")}
    (numpy,) = run_forked([(ON_NUMPY, {})], KERAS_BACKEND="numpy", TF_CPP_MIN_LOG_LEVEL="3")
    return done | {"numpy": numpy}


def test_without_the_library_the_scan_runs_and_the_reason_is_given(without):
    done = without["none"]
    first, error = done.stdout.split("\n", 1)
    used, reason = first.split(" | ")
    assert used == "scan"
    assert "REFOLD_KERNEL" in reason
    assert f"with engine='fused' cannot run: {reason}. Use engine='auto' or 'scan'." in error
    assert done.stderr == ""  # no message if the user turned it off


def test_one_line_is_logged_if_the_library_cannot_run(without):
    logged = without["z80"].stderr.splitlines()
    assert len(logged) == 1
    assert logged[0].startswith("LSTM layers run on Keras's loop, which is slower")
    assert ("z80" if kernels.variant() else "was not built") in logged[0]


def test_other_backends_do_not_load_the_kernel_of_jax(without):
    assert without["numpy"].stdout.strip() == "False Keras runs on numpy, and the kernel is for JAX"
