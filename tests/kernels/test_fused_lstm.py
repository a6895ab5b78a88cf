"""The compiled LSTM agrees with a loop in JAX; its bits, and its use in JAX."""

import ctypes
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
VARIANTS = ("avx512", "avx2", "x86-64", "neon", "plain")


def mask_of(kind, rng, batch, steps):
    lengths = rng.integers(1, max(steps, 1) + 1, size=(batch, 1))
    if kind == "empty rows":
        lengths = lengths * (rng.random((batch, 1)) < 0.5)
    order = np.arange(steps)
    return {
        "none": None,
        "right": order < lengths,
        "empty rows": order < lengths,
        "left": order[::-1] < lengths,
        "holes": rng.random((batch, steps)) < 0.6,
        "nothing real": np.zeros((batch, steps), bool),
    }[kind]


def example(*, shape, kind="none", seed=0, with_states=True):
    """Return the arguments of `lstm`, at a scale that keeps activations bounded, and cotangents."""
    batch, steps, features, units = shape
    rng = np.random.default_rng(seed)

    def normal(*size, scale=0.5):
        return (scale * rng.normal(size=size)).astype("float32")

    arrays = (
        normal(batch, steps, features),
        normal(features, 4 * units, scale=0.5 / np.sqrt(features)),
        normal(units, 4 * units, scale=0.5 / np.sqrt(units)),
        normal(4 * units, scale=0.2),
        normal(batch, units, scale=0.5 * with_states),
        normal(batch, units, scale=0.5 * with_states),
    )
    weights = normal(batch, steps, units), normal(batch, units), normal(batch, units)
    return arrays, mask_of(kind, rng, batch, steps), weights


ACTIVATIONS = {
    "tanh": jnp.tanh,
    "sigmoid": jax.nn.sigmoid,
    "relu": jax.nn.relu,
    "linear": lambda z: z,
}


def loop(
    x, kernel, recurrent_kernel, bias, h, c, mask=None, *, activation="tanh",
    recurrent_activation="sigmoid", go_backwards=False, return_sequences=True,
):  # fmt: skip
    """Do what `fused.lstm` does, in JAX."""
    act, gate = ACTIVATIONS[activation], ACTIVATIONS[recurrent_activation]

    def step(states, now):
        (h, c), (values, real) = states, now
        z = jnp.where(real, values, 0) @ kernel + h @ recurrent_kernel + bias
        i, f, g, o = jnp.split(z, 4, axis=1)
        new = gate(f) * c + gate(i) * act(g)
        h, c = jnp.where(real, gate(o) * act(new), h), jnp.where(real, new, c)
        return (h, c), h

    mask = jnp.ones(x.shape[:2], bool) if mask is None else mask
    steps = jnp.swapaxes(x, 0, 1), mask.T[..., None]
    (h, c), outputs = jax.lax.scan(step, (h, c), steps, reverse=go_backwards)
    # outputs are in the order of computation
    outputs = jnp.swapaxes(outputs[::-1] if go_backwards else outputs, 0, 1)
    return (outputs if return_sequences else None), h, c


@functools.partial(jax.jit, static_argnames=("function", "options"))
def _run(function, given, mask, weights, options):
    def call(*given):
        outputs, h, c = function(*given, mask, **dict(options))
        return (h, c) if outputs is None else (outputs, h, c)

    results, pull = jax.vjp(call, *given)
    return results, pull(weights[-len(results) :])


def run(given, mask, weights, function=fused.lstm, **options):
    """Return results and gradients, with cotangents on all results at once."""
    results, gradients = _run(function, given, mask, weights, tuple(options.items()))
    return [np.asarray(a) for a in results], [np.asarray(a) for a in gradients]


def close(found, expected, rtol):
    for a, b in zip(found, expected, strict=True):
        assert a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol=0, atol=rtol * max(abs(b).max(initial=0), 1e-6))


def same_bits(found, expected):
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        assert np.asarray(a).tobytes() == np.asarray(b).tobytes()


def beside_the_loop(*case, **options):
    results, gradients = run(*case, **options)
    expected, expected_gradients = run(*case, function=loop, **options)
    close(results, expected, 1e-5)
    close(gradients, expected_gradients, 1e-4)


# Results. tests/network/keras/test_lstm.py compares the layer with that of Keras.


# Each activation occurs in both places.
@pytest.mark.parametrize(
    ("activation", "recurrent_activation"),
    [*zip(fused.ACTIVATIONS, reversed([*fused.ACTIVATIONS]), strict=True), ("tanh", "sigmoid")],
)
def test_every_activation(activation, recurrent_activation):
    case = example(shape=(7, 6, 5, 13), kind="holes")
    options = {"activation": activation, "recurrent_activation": recurrent_activation}
    beside_the_loop(*case, **options, go_backwards=True)


@pytest.mark.parametrize(("shape", "kind"), SHAPES_AND_MASKS, ids=str)
def test_every_shape_and_mask(shape, kind):
    options = {"go_backwards": kind == "left", "return_sequences": kind != "right"}
    case = example(shape=shape, kind=kind, seed=1, with_states=kind != "empty rows")
    beside_the_loop(*case, **options)


# Exponentials


EXACT = {
    "exp": np.exp,
    "sigmoid": lambda z: np.exp(-np.logaddexp(0.0, -z)),
    "tanh": np.tanh,
}


@pytest.mark.parametrize("name", EXACT)
def test_exponentials_are_exact_to_one_in_a_million_and_saturate(name):
    def through(values):
        found = np.empty_like(values)
        pointers = [
            array.ctypes.data_as(ctypes.POINTER(ctypes.c_float)) for array in (values, found)
        ]
        getattr(_library.load_library(), f"refold_{name}")(*pointers, ctypes.c_int64(values.size))
        return found

    grid = np.linspace(-87.0, 87.0, 400_003).astype("float32")
    exact = EXACT[name](grid.astype("float64"))
    # smaller values are subnormal, and the sigmoid stops at 2e-19
    in_range = abs(exact) > (2.2e-19 if name == "sigmoid" else 2e-38)
    found = through(grid)
    assert (abs(found - exact)[in_range] / abs(exact[in_range])).max() < 1e-6
    assert abs(found - exact)[~in_range].max(initial=0) < 2.2e-19

    found = through(np.array([-np.inf, -1e30, -200, 0, 200, 1e30, np.inf, np.nan], "float32"))
    low, middle = {"exp": (0.0, 1.0), "sigmoid": (0.0, 0.5), "tanh": (-1.0, 0.0)}[name]
    np.testing.assert_allclose(found[:3], low, rtol=0, atol=2.2e-19)
    assert found[3] == middle
    assert (found[4:7] > 1e38).all() if name == "exp" else (found[4:7] == 1.0).all()
    assert np.isnan(found[7])


def test_saturated_gates_have_finite_gradients():
    given, mask, weights = example(shape=(3, 4, 3, 17))
    for array in jax.tree.leaves(run((given[0] * 1e4, *given[1:]), mask, weights)):
        assert np.isfinite(array).all()


# Use in JAX


GIVEN, _, _ = example(shape=(4, 6, 3, 5))


def last(x):
    return fused.lstm(x, *GIVEN[1:])[1]


def test_vmap_agrees_with_a_loop():
    x = np.stack([example(shape=(4, 6, 3, 5), seed=seed)[0][0] for seed in range(3)])
    mapped = np.asarray(jax.jit(jax.vmap(last))(x))
    same_bits(mapped, np.stack([np.asarray(last(one)) for one in x]))
    gradients = jax.vmap(jax.grad(lambda one: last(one).sum()))(x)
    close(gradients, [np.asarray(jax.grad(lambda one: last(one).sum())(one)) for one in x], 1e-6)


def test_gradients_that_are_not_needed_are_not_computed():
    given, mask, _ = example(shape=(7, 9, 130, 20), kind="holes")

    def loss(arguments):
        outputs, h, c = fused.lstm(*arguments, mask)
        return (outputs**2).sum() + h.sum() + c.sum()

    def by_weights(weights):
        return loss((given[0], *weights))

    same_bits(jax.grad(by_weights)(given[1:]), jax.grad(loss)(given)[1:])
    text = jax.jit(jax.grad(by_weights)).lower(given[1:]).as_text()
    assert "tensor<0x0x0xf32>" in text
    # a cotangent that is zero is left out, too
    by_last, expected = (
        jax.grad(lambda *g, lstm=lstm: lstm(*g)[2].sum(), argnums=tuple(range(6)))(*GIVEN)
        for lstm in (fused.lstm, loop)
    )
    close(by_last, expected, 1e-4)


def test_jax_refuses_unsupported_derivatives():
    for derivative in (jax.jacfwd(last), jax.hessian(lambda x: last(x).sum())):
        with pytest.raises((TypeError, ValueError), match=r"forward-mode|cannot be differentiat"):
            derivative(GIVEN[0])


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
    arguments = dict(zip(NAMES, GIVEN, strict=True)) | {name: value}
    with pytest.raises(ParameterError, match=f"^{re.escape(message)}"):
        fused.lstm(**arguments)


TESTED_AGAIN = """
import os, pytest, sys
from pathlib import Path
selected = "every_activation or exponentials or agree_with_numpy or same_bits or independent"
files = [os.environ["SWEEP"], str(Path(os.environ["SWEEP"]).with_name("test_packed.py"))]
if code := pytest.main(["-q", "-k", f"({selected}) and not fallback", *files]):
    sys.exit(f"pytest ended with {code!r}")
"""


def test_every_variant_that_this_machine_can_run():
    # the tests above use the default variant of this machine
    others = [
        name
        for name in VARIANTS
        if _library.load_library().refold_supported(name.encode()) and name != kernels.variant()
    ]
    server = server_with_keras()
    done = [server.run(TESTED_AGAIN, REFOLD_KERNEL=name, SWEEP=__file__) for name in others]
    for one in done:
        assert "passed" in one.stdout
        assert "skipped" not in one.stdout
