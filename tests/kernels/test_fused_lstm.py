"""The compiled LSTM agrees with a loop in JAX; its bits, and its use in JAX."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from forks import server_with_keras
from refold import kernels
from refold.errors import ParameterError
from refold.kernels import _library, fused

pytestmark = pytest.mark.skipif(kernels.variant() is None, reason=str(kernels.why_not()))

# Batch, steps, features, units. Each relevant size occurs at least once.
SHAPES = [
    (1, 1, 1, 1),
    (3, 20, 1000, 5),
    (5, 13, 2, 100),
    (7, 2, 130, 33),
    (17, 9, 40, 16),
    (33, 4, 5, 64),
    (1, 20, 13, 31),
    (7, 17, 13, 20),
]
MASKS = ("none", "right", "left", "holes", "nothing real", "empty rows")
# Every shape has two of the masks, and every mask several shapes.
SHAPES_AND_MASKS = [
    (shape, MASKS[(i + k) % len(MASKS)]) for i, shape in enumerate(SHAPES) for k in (0, 3)
]


def make_mask(mask_type, rng, batch, steps):
    lengths = rng.integers(1, max(steps, 1) + 1, size=(batch, 1))
    if mask_type == "empty rows":
        lengths = lengths * (rng.random((batch, 1)) < 0.5)
    order = np.arange(steps)
    return {
        "none": None,
        "right": order < lengths,
        "empty rows": order < lengths,
        "left": order[::-1] < lengths,
        "holes": rng.random((batch, steps)) < 0.6,
        "nothing real": np.zeros((batch, steps), bool),
    }[mask_type]


def example(*, shape, mask_type="none", seed=0, with_states=True):
    """Return the arguments of `lstm`, at a scale that keeps activations bounded, and cotangents."""
    batch, steps, features, units = shape
    rng = np.random.default_rng(seed)

    def normal(*dimensions, scale=0.5):
        return (scale * rng.normal(size=dimensions)).astype("float32")

    arrays = (
        normal(batch, steps, features),
        normal(features, 4 * units, scale=0.5 / np.sqrt(features)),
        normal(units, 4 * units, scale=0.5 / np.sqrt(units)),
        normal(4 * units, scale=0.2),
        normal(batch, units, scale=0.5 * with_states),
        normal(batch, units, scale=0.5 * with_states),
    )
    weights = normal(batch, steps, units), normal(batch, units), normal(batch, units)
    return arrays, make_mask(mask_type, rng, batch, steps), weights


ACTIVATIONS = {"tanh": jnp.tanh, "sigmoid": jax.nn.sigmoid, "relu": jax.nn.relu}
ACTIVATIONS["linear"] = lambda z: z


def jax_lstm(
    x, kernel, recurrent_kernel, bias, h, c, mask=None, *, activation="tanh",
    recurrent_activation="sigmoid", go_backwards=False, return_sequences=True,
):  # fmt: skip
    """Do what `fused.lstm` does, in JAX."""
    activate, activate_gate = ACTIVATIONS[activation], ACTIVATIONS[recurrent_activation]

    def step(states, now):
        (h, c), (values, is_real) = states, now
        z = jnp.where(is_real, values, 0) @ kernel + h @ recurrent_kernel + bias
        i, f, g, o = jnp.split(z, 4, axis=1)
        new = activate_gate(f) * c + activate_gate(i) * activate(g)
        h, c = jnp.where(is_real, activate_gate(o) * activate(new), h), jnp.where(is_real, new, c)
        return (h, c), h

    mask = jnp.ones(x.shape[:2], bool) if mask is None else mask
    steps = jnp.swapaxes(x, 0, 1), mask.T[..., None]
    (h, c), outputs = jax.lax.scan(step, (h, c), steps, reverse=go_backwards)
    # outputs are in the order of computation
    outputs = jnp.swapaxes(outputs[::-1] if go_backwards else outputs, 0, 1)
    return (outputs if return_sequences else None), h, c


@functools.partial(jax.jit, static_argnames=("function", "options"))
def _run(function, arrays, mask, weights, options):
    def call(*arrays):
        outputs, h, c = function(*arrays, mask, **dict(options))
        return (h, c) if outputs is None else (outputs, h, c)

    results, pull = jax.vjp(call, *arrays)
    return results, pull(weights[-len(results) :])


def run(arrays, mask, weights, function=fused.lstm, **options):
    """Return results and gradients, with cotangents on all results at once."""
    results, gradients = _run(function, arrays, mask, weights, tuple(options.items()))
    return [np.asarray(a) for a in results], [np.asarray(a) for a in gradients]


def assert_close(actual, expected, rtol):
    for a, b in zip(actual, expected, strict=True):
        assert a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol=0, atol=rtol * max(abs(b).max(initial=0), 1e-6))


def assert_same_bits(actual, expected):
    for a, b in zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True):
        assert np.asarray(a).tobytes() == np.asarray(b).tobytes()


def check_with_jax_lstm(*case, **options):
    results, gradients = run(*case, **options)
    expected, expected_gradients = run(*case, function=jax_lstm, **options)
    assert_close(results, expected, 1e-5)
    assert_close(gradients, expected_gradients, 1e-4)


# Results. tests/network/keras/test_lstm.py compares the layer with that of Keras.


# Each activation occurs in both places.
@pytest.mark.parametrize(
    ("activation", "recurrent_activation"),
    [*zip(fused.ACTIVATIONS, reversed([*fused.ACTIVATIONS]), strict=True), ("tanh", "sigmoid")],
)
def test_every_activation(activation, recurrent_activation):
    case = example(shape=(7, 6, 5, 13), mask_type="holes")
    options = {"activation": activation, "recurrent_activation": recurrent_activation}
    check_with_jax_lstm(*case, **options, go_backwards=True)


@pytest.mark.parametrize(("shape", "mask_type"), SHAPES_AND_MASKS, ids=str)
def test_every_shape_and_mask(shape, mask_type):
    options = {"go_backwards": mask_type == "left", "return_sequences": mask_type != "right"}
    case = example(shape=shape, mask_type=mask_type, seed=1, with_states=mask_type != "empty rows")
    check_with_jax_lstm(*case, **options)


# Exponentials


EXACT = {"exp": np.exp, "sigmoid": lambda z: np.exp(-np.logaddexp(0.0, -z)), "tanh": np.tanh}


@pytest.mark.parametrize("name", EXACT)
def test_exponentials_are_exact_to_one_in_a_million_and_saturate(name):
    compute = getattr(_library, name)
    grid = np.linspace(-87.0, 87.0, 400_003).astype("float32")
    exact = EXACT[name](grid.astype("float64"))
    # smaller values are subnormal, and the sigmoid stops at 2e-19
    in_range = abs(exact) > (2.2e-19 if name == "sigmoid" else 2e-38)
    actual = compute(grid)
    assert (abs(actual - exact)[in_range] / abs(exact[in_range])).max() < 1e-6
    assert abs(actual - exact)[~in_range].max(initial=0) < 2.2e-19

    actual = compute(np.array([-np.inf, -1e30, -200, 0, 200, 1e30, np.inf, np.nan], "float32"))
    low, middle = {"exp": (0.0, 1.0), "sigmoid": (0.0, 0.5), "tanh": (-1.0, 0.0)}[name]
    np.testing.assert_allclose(actual[:3], low, rtol=0, atol=2.2e-19)
    assert actual[3] == middle
    assert (actual[4:7] > 1e38).all() if name == "exp" else (actual[4:7] == 1.0).all()
    assert np.isnan(actual[7])


def test_saturated_gates_have_finite_gradients():
    arrays, mask, weights = example(shape=(3, 4, 3, 17))
    for array in jax.tree.leaves(run((arrays[0] * 1e4, *arrays[1:]), mask, weights)):
        assert np.isfinite(array).all()


# Use in JAX


ARRAYS, _, _ = example(shape=(4, 6, 3, 5))


def last_h(x):
    return fused.lstm(x, *ARRAYS[1:])[1]


def test_vmap_agrees_with_a_loop():
    x = np.stack([example(shape=(4, 6, 3, 5), seed=seed)[0][0] for seed in range(3)])
    mapped = np.asarray(jax.jit(jax.vmap(last_h))(x))
    assert_same_bits(mapped, np.stack([np.asarray(last_h(x_i)) for x_i in x]))
    gradients = jax.vmap(jax.grad(lambda x_i: last_h(x_i).sum()))(x)
    expected = [np.asarray(jax.grad(lambda x_i: last_h(x_i).sum())(x_i)) for x_i in x]
    assert_close(gradients, expected, 1e-6)


def test_gradients_that_are_not_needed_are_not_computed():
    arrays, mask, _ = example(shape=(7, 9, 130, 20), mask_type="holes")

    def loss(arguments):
        outputs, h, c = fused.lstm(*arguments, mask)
        return (outputs**2).sum() + h.sum() + c.sum()

    def by_weights(weights):
        return loss((arrays[0], *weights))

    assert_same_bits(jax.grad(by_weights)(arrays[1:]), jax.grad(loss)(arrays)[1:])
    text = jax.jit(jax.grad(by_weights)).lower(arrays[1:]).as_text()
    assert "tensor<0x0x0xf32>" in text
    # a cotangent that is zero is left out, too
    by_last, expected = (
        jax.grad(lambda *g, lstm=lstm: lstm(*g)[2].sum(), argnums=tuple(range(6)))(*ARRAYS)
        for lstm in (fused.lstm, jax_lstm)
    )
    assert_close(by_last, expected, 1e-4)


def test_jax_refuses_unsupported_derivatives():
    for derivative in (jax.jacfwd(last_h), jax.hessian(lambda x: last_h(x).sum())):
        with pytest.raises((TypeError, ValueError), match=r"forward-mode|cannot be differentiat"):
            derivative(ARRAYS[0])


NAMES = ("x", "kernel", "recurrent_kernel", "bias", "h", "c")


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("x", np.zeros((4, 6)), "x has shape (4, 6) and h has shape (4, 5); expected (B, T, F)"),
        ("x", np.zeros((4, 6, 3), "float16"), "x is float16 of shape (4, 6, 3); expected float32"),
        ("kernel", np.zeros((2, 20)), "kernel is float32 of shape (2, 20); expected float32 of (3"),
        ("mask", np.zeros((4, 5), bool), "mask is bool of shape (4, 5); expected bool of (4, 6)"),
        ("activation", "gelu", "activation is 'gelu'; the LSTM kernel supports tanh, sigmoid"),
    ],
)
def test_wrong_arguments_are_refused(name, value, message):
    arguments = dict(zip(NAMES, ARRAYS, strict=True)) | {name: value}
    with pytest.raises(ParameterError, match=f"^{re.escape(message)}"):
        fused.lstm(**arguments)


RUN_TESTS_AGAIN = """
import os, pytest, sys
from pathlib import Path
selected = "every_activation or exponentials or agree_with_numpy or same_bits or independent"
files = [os.environ["SWEEP"], str(Path(os.environ["SWEEP"]).with_name("test_packed.py"))]
if code := pytest.main(["-q", "-k", f"({selected}) and not fallback", *files]):
    sys.exit(f"pytest ended with {code!r}")
"""


def test_every_variant_that_this_machine_can_run():
    # the tests above use the default variant of this machine
    server, library = server_with_keras(), _library.require_library()
    for name in {*_library._VARIANT_NAMES} - {kernels.variant()}:
        if library.refold_supported(name.encode()):
            process = server.run(RUN_TESTS_AGAIN, REFOLD_KERNEL=name, SWEEP=__file__)
            assert "passed" in process.stdout
            assert "skipped" not in process.stdout
