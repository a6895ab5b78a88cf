"""The compiled LSTM agrees with Keras and the NumPy reference, its bits, and its use in JAX."""

import ctypes
import functools
import itertools
import os
import re

import jax
import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forks import server_with_keras
from kernels import reference
from refold import kernels
from refold.errors import ParameterError
from refold.kernels import _library, fused

pytestmark = pytest.mark.skipif(kernels.variant() is None, reason=str(kernels.why_not()))

# Batch, steps, features, units. Each relevant size occurs at least once.
SHAPES = [
    (1, 1, 1, 1),
    (2, 7, 3, 4),
    (3, 20, 1000, 5),
    (5, 13, 2, 100),
    (7, 2, 130, 33),
    (13, 5, 8, 16),
    (17, 9, 40, 12),
    (33, 4, 5, 64),
    (1, 20, 13, 31),
    (2, 3, 1, 32),
    (3, 11, 130, 8),
    (5, 1, 3, 3),
    (7, 17, 13, 20),
    (33, 6, 2, 2),
]
PAIRS = [*itertools.product(fused.ACTIVATIONS, fused.ACTIVATIONS)]
MASKS = ("none", "right", "left", "holes", "nothing real", "empty rows")
VARIANTS = ("avx512", "avx2", "x86-64", "neon", "plain")

CASES = st.fixed_dictionaries(
    {
        "shape": st.sampled_from(SHAPES),
        "kind": st.sampled_from(MASKS),
        "seed": st.integers(0, 2**32 - 1),
        "with_states": st.booleans(),
    }
)
OPTIONS = st.builds(
    lambda pair, go_backwards, return_sequences: {
        "activation": pair[0],
        "recurrent_activation": pair[1],
        "go_backwards": go_backwards,
        "return_sequences": return_sequences,
    },
    st.sampled_from(PAIRS),
    st.booleans(),
    st.booleans(),
)


def sweep(number):
    return settings(max_examples=number, deadline=None, derandomize=True, database=None)


def mask_of(kind, rng, batch, steps):
    lengths = rng.integers(1, steps + 1, size=(batch, 1))
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


def arrays(shape, seed=0, *, with_states=True):
    """Return the arguments of `lstm` except the mask, at a scale that keeps activations bounded."""
    batch, steps, features, units = shape
    rng = np.random.default_rng(seed)

    def normal(*size, scale=0.5):
        return (scale * rng.normal(size=size)).astype("float32")

    return (
        normal(batch, steps, features),
        normal(features, 4 * units, scale=0.5 / np.sqrt(features)),
        normal(units, 4 * units, scale=0.5 / np.sqrt(units)),
        normal(4 * units, scale=0.2),
        normal(batch, units, scale=0.5 * with_states),
        normal(batch, units, scale=0.5 * with_states),
    )


def example(*, shape, kind, seed, with_states):
    batch, steps, _, units = shape
    rng = np.random.default_rng([seed, 1])
    weights = [
        rng.normal(size=size).astype("float32")
        for size in ((batch, steps, units), (batch, units), (batch, units))
    ]
    return (
        arrays(shape, seed, with_states=with_states),
        mask_of(kind, rng, batch, steps),
        tuple(weights),
    )


@functools.partial(jax.jit, static_argnames=("options",))
def _run(given, mask, weights, options):
    def call(*given):
        outputs, h, c = fused.lstm(*given, mask, **dict(options))
        return (h, c) if outputs is None else (outputs, h, c)

    results, pull = jax.vjp(call, *given)
    return results, pull(weights[-len(results) :])


def run(given, mask, weights, **options):
    """Return results and gradients, with cotangents on all results at once."""
    results, gradients = _run(given, mask, weights, tuple(options.items()))
    return [np.asarray(a) for a in results], [np.asarray(a) for a in gradients]


def close(found, expected, rtol):
    for a, b in zip(found, expected, strict=True):
        assert a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol=0, atol=rtol * max(abs(b).max(initial=0), 1e-6))


def beside_the_reference(given, mask, weights, **options):
    results, gradients = run(given, mask, weights, **options)
    expected = reference.lstm(*given, mask, **options)
    outputs = weights[0] if options.pop("return_sequences", True) else None
    close(results, [a for a in expected if a is not None], 1e-5)
    cotangents = (outputs, *weights[1:])
    close(gradients, reference.gradients(*given, mask, cotangents=cotangents, **options), 1e-4)


# Results


@sweep(60)
@given(CASES, OPTIONS)
def test_results_and_gradients_are_those_of_the_reference(case, options):
    beside_the_reference(*example(**case), **options)


@pytest.mark.parametrize("go_backwards", [False, True])
@pytest.mark.parametrize(("activation", "recurrent_activation"), PAIRS)
def test_every_pair_of_activations(activation, recurrent_activation, go_backwards):
    case = example(shape=(7, 6, 5, 13), kind="holes", seed=0, with_states=True)
    beside_the_reference(
        *case,
        activation=activation,
        recurrent_activation=recurrent_activation,
        go_backwards=go_backwards,
    )


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("kind", MASKS)
def test_every_shape_and_mask(shape, kind):
    beside_the_reference(*example(shape=shape, kind=kind, seed=1, with_states=True))


@sweep(8)
@given(CASES, OPTIONS)
def test_results_and_gradients_are_those_of_keras(case, options):
    given, mask, weights = example(**case)
    layer = keras.layers.LSTM(
        case["shape"][-1],
        return_state=True,
        kernel_initializer="zeros",
        recurrent_initializer="zeros",
        **options,
    )
    layer.build(given[0].shape)

    def call(x, kernel, recurrent_kernel, bias, h, c):
        (y, h, c), _ = layer.stateless_call(
            [kernel, recurrent_kernel, bias],
            layer.non_trainable_variables,
            x,
            initial_state=[h, c],
            mask=mask,
        )
        return (y, h, c) if options["return_sequences"] else (h, c)

    @jax.jit
    def theirs(given, weights):
        results, pull = jax.vjp(call, *given)
        return results, pull(weights[-len(results) :])

    expected, expected_gradients = theirs(given, weights)
    results, gradients = run(given, mask, weights, **options)
    close(results, [np.asarray(a) for a in expected], 1e-5)
    close(gradients, [np.asarray(a) for a in expected_gradients], 1e-4)


@pytest.mark.parametrize("shape", [(0, 3, 2, 4), (2, 0, 2, 4)], ids=["no rows", "no steps"])
@pytest.mark.parametrize("kind", ["none", "holes"])
def test_empty_inputs_do_not_change_the_states(shape, kind):
    given = arrays(shape)
    mask = None if kind == "none" else np.ones(shape[:2], bool)
    outputs, h, c = fused.lstm(*given, mask)
    assert outputs.shape == (*shape[:2], shape[3])
    assert np.array_equal(h, given[4])
    assert np.array_equal(c, given[5])


@pytest.mark.parametrize("go_backwards", [False, True])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_padding_does_not_change_results_and_gradients(shape, go_backwards):
    given, _, weights = example(shape=shape, kind="none", seed=2, with_states=True)
    batch, steps = shape[:2]
    results, gradients = run(given, None, weights, go_backwards=go_backwards)
    padded = np.concatenate([given[0], np.full((batch, 5, shape[2]), 9.0, "float32")], axis=1)
    mask = np.arange(steps + 5) < np.full((batch, 1), steps)
    real = slice(5, None) if go_backwards else slice(None, steps)
    wider = np.zeros((batch, steps + 5, shape[3]), "float32")
    wider[:, real] = weights[0]
    found, found_gradients = run(
        (padded, *given[1:]), mask, (wider, *weights[1:]), go_backwards=go_backwards
    )
    assert np.array_equal(found[0][:, real], results[0])
    for a, b in zip(found[1:], results[1:], strict=True):
        assert np.array_equal(a, b)
    assert not found_gradients[0][:, steps:].any()
    close([found_gradients[0][:, :steps], *found_gradients[1:]], gradients, 1e-6)


@pytest.mark.parametrize("shape", [(5, 9, 3, 8), (3, 7, 200, 33)], ids=str)
def test_a_nan_in_a_masked_step_does_not_spread(shape):
    given, mask, weights = example(shape=shape, kind="holes", seed=0, with_states=True)
    expected = run(given, mask, weights)
    spoiled = np.where(mask[..., None], given[0], np.nan).astype("float32")
    found = run((spoiled, *given[1:]), mask, weights)
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        assert np.array_equal(a, b)


# Bits


def same_bits(found, expected):
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        assert a.tobytes() == b.tobytes()


@sweep(10)
@given(CASES, OPTIONS)
def test_rows_are_independent(case, options):
    given, mask, weights = example(**case)
    order = np.random.default_rng(0).permutation(len(given[0]))

    def picked(rows):
        x, *parameters, h, c = given
        return run(
            (x[rows], *parameters, h[rows], c[rows]),
            None if mask is None else mask[rows],
            tuple(weight[rows] for weight in weights),
            **options,
        )

    results, gradients = run(given, mask, weights, **options)
    for rows in (order, order[: 1 + len(order) // 2], order[:1]):
        found, found_gradients = picked(rows)
        same_bits(found, [a[rows] for a in results])
        for i in (0, 4, 5):
            same_bits([found_gradients[i]], [gradients[i][rows]])


THREADS = """
import hashlib, importlib.util, os, sys
os.sched_setaffinity(0, range(os.cpu_count()))
os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: int(os.environ["CORES"])])
sys.path.insert(0, os.path.dirname(os.path.dirname(os.environ["SWEEP"])))
import refold
spec = importlib.util.spec_from_file_location("sweep", os.environ["SWEEP"])
sweep = importlib.util.module_from_spec(spec)
spec.loader.exec_module(sweep)
for shape in [(33, 20, 40, 64), (14, 30, 300, 33), (64, 30, 5, 33), (2, 30, 200, 20)]:
    for kind in ("none", "right", "holes"):
        case = sweep.example(shape=shape, kind=kind, seed=0, with_states=True)
        for part in sweep.run(*case):
            for array in part:
                print(shape, kind, hashlib.sha256(array.tobytes()).hexdigest())
"""


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="affinity is Linux's")
def test_bits_do_not_depend_on_the_number_of_threads():
    if os.cpu_count() < 2:
        pytest.skip("one processor")
    server = server_with_keras()
    done = [server.run(THREADS, CORES=number, SWEEP=__file__) for number in ("1", "2")]
    printed = [one.stdout for one in done]
    assert len(printed[0].splitlines()) == 4 * 3 * 9
    assert printed[0] == printed[1]


# Exponentials


def through(name, values):
    found = np.empty_like(values)
    pointers = [array.ctypes.data_as(ctypes.POINTER(ctypes.c_float)) for array in (values, found)]
    getattr(_library.load(), f"refold_{name}")(*pointers, ctypes.c_int64(values.size))
    return found


EXACT = {
    "exp": np.exp,
    "sigmoid": lambda z: np.exp(-np.logaddexp(0.0, -z)),
    "tanh": np.tanh,
}


@pytest.mark.parametrize("name", EXACT)
def test_relative_error_is_below_one_in_a_million(name):
    size = np.geomspace(1e-30, 87.0, 400_001)
    grid = np.concatenate([-size, np.linspace(-87.0, 87.0, 400_003), size]).astype("float32")
    exact = EXACT[name](grid.astype("float64"))
    # smaller values are subnormal, and the sigmoid stops at 2e-19
    in_range = abs(exact) > (2.2e-19 if name == "sigmoid" else 2e-38)
    found = through(name, grid)
    assert (abs(found - exact)[in_range] / abs(exact[in_range])).max() < 1e-6
    assert abs(found - exact)[~in_range].max(initial=0) < 2.2e-19


@pytest.mark.parametrize("name", EXACT)
def test_large_numbers_saturate_without_nan(name):
    values = np.array([-np.inf, -1e30, -1e4, -200, 0, 200, 1e4, 1e30, np.inf], "float32")
    found = through(name, values)
    assert not np.isnan(found).any()
    low = -1.0 if name == "tanh" else 0.0
    np.testing.assert_allclose(found[:4], low, rtol=0, atol=2.2e-19)
    assert found[4] == {"exp": 1.0, "sigmoid": 0.5, "tanh": 0.0}[name]
    if name == "exp":
        assert (found[5:] > 1e38).all()
    else:
        assert (found[5:] == 1.0).all()


@pytest.mark.parametrize("name", EXACT)
def test_nan_gives_nan(name):
    found = through(name, np.array([0.0, np.nan, 1.0], "float32"))
    assert np.isnan(found).tolist() == [False, True, False]


def test_saturated_gates_have_finite_gradients():
    given, mask, weights = example(shape=(5, 6, 3, 8), kind="none", seed=0, with_states=True)
    for array in jax.tree.leaves(run((given[0] * 1e4, *given[1:]), mask, weights)):
        assert np.isfinite(array).all()


@pytest.mark.parametrize("units", [5, 16, 17])
def test_an_infinite_input_affects_only_gradients_that_depend_on_it(units):
    """The units fill the blocks of the kernel, or do not."""
    given, _, _ = example(shape=(3, 4, 3, units), kind="none", seed=0, with_states=True)
    given[0][1, 2, 0] = np.inf
    gradients = jax.grad(lambda *g: fused.lstm(*g)[1].sum(), argnums=tuple(range(6)))(*given)
    num_nan = [int(np.isnan(gradient).sum()) for gradient in gradients]
    assert num_nan[1] <= 4 * units
    assert num_nan[:1] + num_nan[2:] == [0] * 5


# Use in JAX


GIVEN = arrays((4, 6, 3, 5))


def last(x):
    return fused.lstm(x, *GIVEN[1:])[1]


def test_vmap_agrees_with_a_loop():
    x = np.stack([arrays((4, 6, 3, 5), seed)[0] for seed in range(3)])
    mapped = np.asarray(jax.jit(jax.vmap(last))(x))
    same_bits(mapped, np.stack([np.asarray(last(one)) for one in x]))
    gradients = jax.vmap(jax.grad(lambda one: last(one).sum()))(x)
    close(gradients, [np.asarray(jax.grad(lambda one: last(one).sum())(one)) for one in x], 1e-6)


@pytest.mark.parametrize("features", [3, 5, 130])
@pytest.mark.parametrize("kind", ["none", "holes"])
def test_gradients_that_are_not_needed_are_not_computed(features, kind):
    given, mask, _ = example(shape=(7, 9, features, 20), kind=kind, seed=0, with_states=True)

    def loss(arguments):
        outputs, h, c = fused.lstm(*arguments, mask)
        return (outputs**2).sum() + h.sum() + c.sum()

    def by_weights(weights):
        return loss((given[0], *weights))

    same_bits(
        [np.asarray(a) for a in jax.grad(by_weights)(given[1:])],
        [np.asarray(a) for a in jax.grad(loss)(given)[1:]],
    )
    text = jax.jit(jax.grad(by_weights)).lower(given[1:]).as_text()
    assert "tensor<0x0x0xf32>" in text


def test_unused_results_have_no_gradient():
    by_state = jax.grad(lambda c: fused.lstm(*GIVEN[:5], c)[2].sum())(GIVEN[5])
    zero = np.zeros_like(GIVEN[4])
    expected = reference.gradients(*GIVEN, cotangents=(None, zero, zero + 1)).c
    close([np.asarray(by_state)], [expected], 1e-4)


@pytest.mark.parametrize(
    ("derivative", "message"),
    [
        (lambda x: jax.jvp(last, (x,), (x,)), "has no forward-mode derivative"),
        (lambda x: jax.jacfwd(last)(x), "has no forward-mode derivative"),
        (jax.hessian(lambda x: last(x).sum()), "has no second derivative"),
        (
            jax.jit(jax.grad(lambda x: jax.grad(lambda x: last(x).sum())(x).sum())),
            "has no second derivative",
        ),
    ],
    ids=["jvp", "jacfwd", "hessian", "grad of grad"],
)
def test_unsupported_derivatives_are_refused(derivative, message):
    with pytest.raises(ParameterError, match=rf'{message}.*Use LSTM\(engine="scan"\)'):
        derivative(GIVEN[0])


# Errors


NAMES = ("x", "kernel", "recurrent_kernel", "bias", "h", "c")


@pytest.mark.parametrize(
    ("name", "shape", "dtype", "expected"),
    [
        ("x", (4, 6, 3), "float16", "float32 of (4, 6, 3)"),
        ("kernel", (2, 20), "float32", "float32 of (3, 20)"),
        ("recurrent_kernel", (5, 16), "float32", "float32 of (5, 20)"),
        ("bias", (19,), "float32", "float32 of (20,)"),
        ("h", (3, 5), "float32", "float32 of (4, 5)"),
        ("c", (4, 6), "float32", "float32 of (4, 5)"),
        ("mask", (4, 5), "bool", "bool of (4, 6)"),
        ("mask", (4, 6), "float32", "bool of (4, 6)"),
    ],
)
def test_arrays_of_wrong_shapes_are_refused(name, shape, dtype, expected):
    arguments = dict(zip(NAMES, GIVEN, strict=True)) | {name: np.zeros(shape, dtype)}
    message = f"{name} is {dtype} of shape {shape}; expected {expected}, for x of (4, 6, 3)"
    with pytest.raises(ParameterError, match=f"^{re.escape(message)}"):
        fused.lstm(**arguments)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("x", GIVEN[0][..., 0], r"x has shape \(4, 6\) and h .* expected \(B, T, F\)"),
        ("activation", "gelu", "activation is 'gelu'; the LSTM kernel supports tanh, sigmoid"),
        ("recurrent_activation", "gelu", "recurrent_activation is 'gelu'; the LSTM kernel"),
    ],
)
def test_other_arguments_are_refused(name, value, message):
    arguments = dict(zip(NAMES, GIVEN, strict=True)) | {name: value}
    with pytest.raises(ParameterError, match=f"^{message}"):
        fused.lstm(**arguments)


# Variants


TESTED_AGAIN = """
import os, pytest, sys
from pathlib import Path
chosen = "every_pair or every_shape or relative_error or saturate or nan or padding or rows"
files = [os.environ["SWEEP"], str(Path(os.environ["SWEEP"]).with_name("test_packed.py"))]
if code := pytest.main(["-q", "-k", f"{chosen} or packed", *files]):
    sys.exit(f"pytest ended with {code!r}")
"""


def test_every_variant_that_this_machine_can_run():
    # the tests above use the default variant of this machine
    others = [
        name
        for name in VARIANTS
        if _library.load().refold_supported(name.encode()) and name != kernels.variant()
    ]
    server = server_with_keras()
    done = [server.run(TESTED_AGAIN, REFOLD_KERNEL=name, SWEEP=__file__) for name in others]
    for one in done:
        assert "passed" in one.stdout
        assert "skipped" not in one.stdout
