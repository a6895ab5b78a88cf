"""Operations on packed rows agree with NumPy and the padded LSTM, and their bits."""

import jax
import numpy as np
import pytest

from kernels.test_fused_lstm import assert_same_bits
from refold import kernels
from refold.kernels import _library as library
from refold.kernels import _packed_numpy as fallback
from refold.kernels import fused, packed

needs_library = pytest.mark.skipif(kernels.variant() is None, reason=str(kernels.why_not()))
OPERATIONS = [
    pytest.param(library, marks=needs_library, id="library"),
    pytest.param(fallback, id="fallback"),
]

# Number of sequences, longest length, features, units.
SHAPES = [
    (1, 1, 1, 1),
    (1, 15, 12, 96),
    (3, 20, 200, 5),
    (5, 13, 2, 33),
    (40, 9, 4, 20),
    (100, 5, 3, 7),
    (0, 4, 2, 3),
    (4, 0, 3, 8),
]
WIDTHS = (1, 3, 16, 20, 32, 33, 70)


class Case:
    """Random packed sequences, some of them empty, and weights."""

    def __init__(self, shape, width=8, seed=0):
        num, longest, features, units = shape
        self.rng = np.random.default_rng(seed)
        lengths = self.rng.integers(0, longest + 1, num) * (self.rng.random(num) < 0.9)
        self.offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        self.go_backwards = bool(self.rng.integers(2))
        self.x = self.normal(self.offsets[-1], features)
        self.kernel = self.normal(features, 4 * units, scale=0.5 / np.sqrt(features))
        self.recurrent = self.normal(units, 4 * units, scale=0.5 / np.sqrt(units))
        self.bias = self.normal(4 * units, scale=0.2)
        self.h, self.c = self.normal(2, num, units)
        self.sequence_gate_inputs = self.normal(num, 4 * units)
        self.step_gate_inputs = self.normal(longest, 4 * units)
        self.d_outputs = self.normal(len(self.x), units)
        self.matrix, self.start = self.normal(features, width), self.normal(width)
        # The last steps of the longest sequences have no weights.
        self.encode_weights = self.normal(1 + 3 * longest // 4, features, width)
        # (units, 1 + 3 * longest // 4, features), and the term that is added to each step.
        self.decode_weights = self.normal(units, len(self.encode_weights), features)
        self.decode_biases = self.normal(longest, features)
        self.taps, self.tap_bias = self.normal(9, features), self.normal(features)
        self.dilation, self.stride = (int(n) for n in self.rng.integers(1, 5, 2))

    def normal(self, *shape, scale=0.5):
        return (scale * self.rng.normal(size=shape)).astype("float32")

    def weights(self):
        return packed.LstmWeights(self.kernel, self.recurrent, self.bias)

    def rows(self, order):
        """Return the indices of the rows of some sequences, and their offsets."""
        spans = [np.arange(self.offsets[i], self.offsets[i + 1]) for i in order]
        lengths = [len(span) for span in spans]
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        return np.concatenate([*spans, np.zeros(0, int)]).astype(int), offsets

    def select(self, order):
        """Return the case with some of its sequences in the given order."""
        rows, offsets = self.rows(order)
        case = object.__new__(Case)
        case.__dict__ |= self.__dict__
        case.offsets = offsets
        for name in ("x", "d_outputs"):
            setattr(case, name, getattr(self, name)[rows])
        for name in ("h", "c", "sequence_gate_inputs"):
            setattr(case, name, getattr(self, name)[order])
        return case

    def lstm(self, operations, *, side=None, shared=False):
        """Return outputs, last states and gradients.

        With `side` 0 or 1, outputs are the left or the right half of longer rows. With `shared`,
        the sums that steps and sequences share are added to the gates.
        """
        num_rows, units = self.d_outputs.shape
        outputs = np.zeros((num_rows, units), np.float32)
        d_outputs = self.d_outputs
        if side is not None:
            columns = slice(side * units, (side + 1) * units)
            outputs = np.zeros((num_rows, 2 * units), np.float32)[:, columns]
            d_outputs = np.tile(d_outputs, 2)[:, columns]
        arrays = (self.x, self.offsets, self.weights(), self.h, self.c)
        options = {"go_backwards": self.go_backwards}
        if shared:
            options["sequence_gate_inputs"] = self.sequence_gate_inputs
            options["step_gate_inputs"] = self.step_gate_inputs
        _, h, c, trace = operations.lstm(*arrays, out=outputs, keep_trace=True, **options)
        d_input, *d_states = operations.lstm_input_gradient(trace, d_outputs)
        if shared:
            return {"rows": [outputs], "sequences": [h, c, d_input, *d_states]}
        return {"rows": [outputs, d_input], "sequences": [h, c, *d_states]}

    def run_other_operations(self, operations):
        """Return the results of all operations except the LSTM."""
        starts = np.tile(self.x[:, :1], len(self.start))
        inputs = self.x, self.offsets, self.taps, self.tap_bias
        shared = {"dilation": self.dilation}
        return {
            "rows": [
                operations.product(self.x, self.matrix, self.start),
                operations.product(self.x, self.matrix),
                operations.product(self.x, self.matrix, starts),
                operations.linear_decode(
                    self.h, self.offsets, self.decode_weights, self.decode_biases
                ),
            ],
            "sequences": [
                operations.linear_encode(self.x, self.offsets, self.encode_weights, self.start),
                operations.linear_encode(self.x, self.offsets, self.encode_weights),
                operations.segment_sum(self.x, self.offsets),
                operations.segment_max(self.x, self.offsets),
                *operations.pooled_convolutions(*inputs, **shared, stride=self.stride, steepness=4),
                *operations.pool_positive_steps(*inputs, **shared, rounding_margin=0.1),
            ],
        }

    def run_all(self, operations, threads=1):
        with packed.limited_threads(threads):
            lstm, other_results = self.lstm(operations), self.run_other_operations(operations)
            shared = self.lstm(operations, shared=True)
        return {name: lstm[name] + shared[name] + other_results[name] for name in lstm}


def flat(results):
    return results["rows"] + results["sequences"]


def assert_close(actual, expected, rtol):
    for a, b in zip(actual, expected, strict=True):
        assert a.shape == b.shape
        assert a.dtype == np.float32
        # a sum near zero has the rounding errors of its terms
        np.testing.assert_allclose(a, b, rtol=0, atol=rtol * max(abs(b).max(initial=0), 0.3))


@needs_library
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_every_shape_and_width_agree_with_numpy(shape):
    for width in (1, 33) if sum(shape) % 2 else (20, 70):
        case = Case(shape, width, seed=1)
        assert_close(flat(case.run_all(library)), flat(case.run_all(fallback)), 1e-5)


# `test_packed_and_padded_rows_have_the_same_bits` leads to the loop of test_fused_lstm.py.
@needs_library
@pytest.mark.parametrize("name", ["x", "c", "step_gate_inputs", "decode_biases"])
def test_arrays_with_too_few_rows_are_refused(name):
    case = Case((5, 13, 2, 12), seed=5)
    is_by_step = name in ("step_gate_inputs", "decode_biases")
    rows = np.diff(case.offsets).max() if is_by_step else len(getattr(case, name))
    setattr(case, name, getattr(case, name)[: rows - 1])
    argument = name.removeprefix("decode_")
    message = rf"{argument} has shape \({rows - 1}, \d+\) instead of \({rows}, \d+\)"
    operation = "run_other_operations" if name == "decode_biases" else "lstm"
    options = {} if name == "decode_biases" else {"shared": True}
    with pytest.raises(ValueError, match=message):
        getattr(case, operation)(library, **options)


@pytest.mark.parametrize("operations", OPERATIONS)
def test_empty_sequences(operations):
    case = Case((4, 0, 3, 8), width=5)
    h, c, *gradients = case.lstm(operations)["sequences"]
    shared = case.lstm(operations, shared=True)["sequences"]
    assert_same_bits([h, c, *shared[:2]], 2 * [case.h, case.c])
    encoded, *other_results = case.run_other_operations(operations)["sequences"]
    assert (encoded == case.start).all()
    for array in (*gradients, *shared[2:], *other_results):
        assert len(array) == 4
        assert not array.any()


@needs_library
def test_inputs_and_outputs_can_be_parts_of_longer_rows():
    case = Case((40, 9, 4, 20), width=33)
    for side in (0, 1):
        assert_same_bits(flat(case.lstm(library, side=side)), flat(case.lstm(library)))
    expected = flat(case.run_all(library))
    for name in ("x", "matrix"):
        array = getattr(case, name)
        setattr(case, name, np.tile(array, 3)[:, array.shape[1] : 2 * array.shape[1]])
    assert_same_bits(flat(case.run_all(library)), expected)


@needs_library
@pytest.mark.parametrize("name", ["exp", "sigmoid", "tanh"])
def test_the_bits_of_a_value_do_not_depend_on_its_position(name):
    x = np.linspace(-20, 20, 101, dtype=np.float32)
    results = getattr(library, name)(x)
    assert_close([results], [getattr(fallback, name)(x)], 1e-6)
    for first in range(20):
        for last in (first + 1, first + 7, first + 17, first + 40):
            assert_same_bits([getattr(library, name)(x[first:last])], [results[first:last]])


@needs_library
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_packed_and_padded_rows_have_the_same_bits(shape):
    case = Case(shape, seed=3)
    num, longest, features, units = shape
    go_backwards = case.go_backwards = bool(longest % 2)
    lengths = np.diff(case.offsets)
    mask = np.arange(longest) < lengths[:, None]
    x = np.zeros((num, longest, features), "float32")
    weights = np.zeros((num, longest, units), "float32")
    x[mask], weights[mask] = case.x, case.d_outputs
    backwards = slice(None, None, -1 if go_backwards else 1)

    def run(x, h, c):
        parameters = (case.kernel, case.recurrent, case.bias)
        return fused.lstm(x, *parameters, h, c, mask, go_backwards=go_backwards)

    (outputs, h, c), pull = jax.vjp(run, x, case.h, case.c)
    # Backwards, steps after the end of a sequence come first and repeat the initial state.
    d_x, d_h, d_c = pull((weights[:, backwards], np.zeros_like(h), np.zeros_like(c)))
    actual = case.lstm(library)
    padded = [np.asarray(outputs)[:, backwards][mask], np.asarray(d_x)[mask]]
    assert_same_bits(flat(actual), padded + [np.asarray(array) for array in (h, c, d_h, d_c)])


@pytest.mark.parametrize("operations", OPERATIONS)
@pytest.mark.parametrize("shape", SHAPES[1:-2], ids=str)
def test_sequences_are_independent(operations, shape):
    case = Case(shape, WIDTHS[sum(shape) % len(WIDTHS)], seed=7)
    results = case.run_all(operations)
    order = case.rng.permutation(len(case.h))
    for chosen in (order, order[: 1 + len(order) // 2], order[:1]):
        rows, _ = case.rows(chosen)
        actual = case.select(chosen).run_all(operations)
        assert_same_bits(actual["rows"], [array[rows] for array in results["rows"]])
        assert_same_bits(actual["sequences"], [array[chosen] for array in results["sequences"]])


@needs_library
def test_bits_do_not_depend_on_the_number_of_threads():
    case = Case((300, 60, 12, 96), width=96)  # enough work to start threads
    expected = flat(case.run_all(library))
    for threads in (2, 3, 7):
        assert_same_bits(flat(case.run_all(library, threads)), expected)
