"""`PackedDecoder` is the decoder or the forecast decoder of the default model, on packed rows."""

import functools
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from refold._support.arrays import concatenated_ranges, lengths_from_offsets
from refold.kernels import packed
from refold.network.packed.batches import one_hot_encode_columns
from refold.network.packed.encoder import compute_patch_offsets, get_lstm_weights
from refold.network.packed.heads import PackedHead
from refold.network.specification import Specification, get_linear_path_map, list_position_periods

# The logits of a step are the sum of two paths: a stack of LSTMs with a dense layer, and a linear
# map of the code. A patch is a group of steps. The LSTMs write a patch at once, so each step of the
# LSTMs is a patch. An autoregressive decoder has patches of one step.

# Maximum number of patches for which a decoder keeps the terms that do not depend on the code.
_MAX_CACHED_PATCHES = 256


class DecoderLayout(NamedTuple):
    """Offsets of the decoded steps of a batch, and the terms that do not depend on codes."""

    offsets: np.ndarray  # (n_sequences + 1,), offsets of the steps
    patch_offsets: np.ndarray  # (n_sequences + 1,), offsets of the patches
    # (n_sequences + 1,), offsets of the padded steps: padding completes the last patch
    padded_offsets: np.ndarray
    # (longest length in patches, 4 * units): products of position features with their weights
    position_gate_inputs: np.ndarray
    # (at least the longest length in padded steps, outputs): sum of the biases of both paths; None
    # without a linear path
    path_biases: np.ndarray | None
    # (n_patches, width): the true previous steps, one-hot, which an autoregressive decoder reads
    # (teacher forcing); without teacher forcing, the width is 0
    previous_steps: np.ndarray
    unpadded_rows: Any  # slice or (n_rows,): row of each step among the padded steps


class DecoderTrace(NamedTuple):
    """What a call of the decoder keeps, to compute the gradient afterwards."""

    layout: DecoderLayout
    cell_states: list[np.ndarray]  # initial cell state (n_sequences, units) of each layer
    lstm_traces: list[Any]  # `LstmTrace` of each layer, or None without ``keep_trace``


class PackedDecoder:
    """Decoder of the default model: LSTMs whose initial states are projections of the code."""

    def __init__(
        self,
        specification: Specification,
        weights: Mapping[str, np.ndarray],
        head: PackedHead,
        *,
        is_forecast: bool = False,
    ) -> None:
        # for the forecast decoder, the recent values are part of the code
        self._settings = settings = specification.make_decoder_settings(is_forecast=is_forecast)
        self.num_categories, self.head = specification.num_categories, head
        self.patch, suffix = settings.patch, settings.suffix
        # for each layer: kernel and bias from the code to the initial states, and the LSTM
        self._layers: list[tuple[Any, packed.LstmWeights]] = []
        for i in range(1, specification.depth + 1):
            projection = tuple(weights[f"start{suffix}_{i}/{name}"] for name in ("kernel", "bias"))
            self._layers.append((projection, get_lstm_weights(weights, f"decoder{suffix}_{i}")))
        # The first layer reads the code, position features, and with teacher forcing the previous
        # step. The code is the same at all steps of a sequence, and a position is the same in all
        # sequences. So the products of codes and positions with the weights are computed once. Only
        # the product of the previous step is computed at each step.
        (projection, first), position_begin = self._layers[0], settings.num_inputs
        previous_begin = position_begin + settings.num_position_features
        self._code_weights = first.kernel[:position_begin], first.bias
        self._position_weights = first.kernel[position_begin:previous_begin]
        previous_kernel = first.kernel[previous_begin:]
        first_layer = packed.LstmWeights(previous_kernel, first.recurrent_kernel, first.bias)
        self._layers[0] = projection, first_layer
        dense = f"head{suffix}/dense"
        self._dense_weights = weights[f"{dense}/kernel"], weights[f"{dense}/bias"]
        self._linear_map: Any = None  # (num_inputs, steps, outputs)
        self._linear_bias: Any = None  # (steps, outputs)
        # factors of the logits of the LSTM path, (outputs,) or (steps, outputs)
        self.lstm_path_scale: Any = None
        if settings.num_linear_path_steps is not None:
            layer = f"linear_steps{suffix}"
            self._linear_map = get_linear_path_map(weights, layer)
            self._linear_bias = weights[f"{layer}/bias"]
            self.lstm_path_scale = weights[f"head{suffix}/scale"]
            if not settings.has_step_scales:  # all steps have the same factors
                factors = np.tile(self.lstm_path_scale, self.patch)
                kernel, bias = self._dense_weights
                self._dense_weights = factors * kernel, factors * bias
        # terms of sequences of at most `_MAX_CACHED_PATCHES` patches, computed at the first use
        self._cached_position_terms: tuple[np.ndarray, np.ndarray | None] | None = None

    def make_layout(
        self, offsets: np.ndarray, true_step_values: np.ndarray | None = None
    ) -> DecoderLayout:
        """Return the layout of sequences with these offsets, for one or more calls."""
        # With ``true_step_values``, the rows (n_rows, channels) that the encoder reads, an
        # autoregressive decoder gets the true previous steps (teacher forcing).
        patch_offsets, padded_offsets, unpadded_rows = offsets, offsets, slice(None)
        if self.patch > 1:
            patch_offsets = compute_patch_offsets(offsets, self.patch)
            padded_offsets = patch_offsets * self.patch
            lengths = lengths_from_offsets(offsets)
            unpadded_rows = concatenated_ranges(padded_offsets[:-1], lengths)
        num_patches = int(lengths_from_offsets(patch_offsets).max(initial=0))
        if self._cached_position_terms is None:
            num_cached = min(self._settings.max_patches, _MAX_CACHED_PATCHES)
            self._cached_position_terms = self._compute_position_terms(num_cached)
        gate_inputs, biases = self._cached_position_terms
        if num_patches > len(gate_inputs):
            gate_inputs, biases = self._compute_position_terms(num_patches)
        gate_inputs = gate_inputs[:num_patches]
        previous = np.empty((patch_offsets[-1], 0), np.float32)
        if self._settings.reads_previous_step and true_step_values is not None:
            columns = true_step_values[:, : len(self.num_categories)]
            encoded = _encode_previous_steps(columns, self.num_categories)
            previous = np.zeros_like(encoded)
            previous[1:] = encoded[:-1]
            is_empty = lengths_from_offsets(offsets) == 0
            previous[offsets[:-1][~is_empty]] = 0.0  # no step comes before a first step
        return DecoderLayout(
            offsets, patch_offsets, padded_offsets, gate_inputs, biases, previous, unpadded_rows
        )

    def __call__(
        self,
        codes: np.ndarray,
        layout: DecoderLayout,
        *,
        keep_trace: bool = False,
        trace_to_overwrite: DecoderTrace | None = None,
    ) -> tuple[np.ndarray, DecoderTrace]:
        """Decode codes to means, probabilities and softmax blocks (n_patches * patch, outputs)."""
        # The result has all steps of all patches, also the padding that completes the last patch of
        # a sequence. Most callers select ``layout.unpadded_rows``. Latent optimization keeps the
        # padding with the weight 0, which is faster. Without ``keep_trace``,
        # `compute_code_gradient` cannot use the trace. The new trace takes the memory of
        # ``trace_to_overwrite``.
        trace = DecoderTrace(layout, [], [])
        hidden, offsets = layout.previous_steps, layout.patch_offsets
        # only the first layer reads codes and positions
        gate_inputs: Any = {"sequence_gate_inputs": packed.product(codes, *self._code_weights)}
        gate_inputs["step_gate_inputs"] = layout.position_gate_inputs
        for i, (projection, layer) in enumerate(self._layers):
            states = packed.product(codes, *projection)
            h, c = states[:, : layer.units], packed.tanh(states[:, layer.units :])
            old_trace = None if trace_to_overwrite is None else trace_to_overwrite.lstm_traces[i]
            options = {"keep_trace": keep_trace, "trace_to_overwrite": old_trace, **gate_inputs}
            hidden, _, _, lstm_trace = packed.lstm(hidden, offsets, layer, h, c, **options)
            gate_inputs = {}
            trace.cell_states.append(c)
            trace.lstm_traces.append(lstm_trace)
        kernel, bias = self._dense_weights
        if layout.path_biases is not None:
            linear_weights = self._linear_map, layout.path_biases
            linear = packed.linear_decode(codes, layout.padded_offsets, *linear_weights)
            # the biases of both paths are in the output of the linear path
            bias = linear.reshape(len(hidden), kernel.shape[1])
        if self._settings.has_step_scales:
            # only the forecast decoder has factors for each step; its sequences have equal lengths
            scale = np.tile(self.lstm_path_scale, (len(codes), 1))
            logits = packed.product(hidden, kernel) * scale + bias
        else:
            logits = packed.product(hidden, kernel, bias).reshape(-1, self.head.num_outputs)
        return self.head.activate(logits), trace

    def compute_code_gradient(self, trace: DecoderTrace, d_logits: np.ndarray) -> np.ndarray:
        """Turn the gradient for logits (n_patches * patch, outputs) into the gradient for codes."""
        # Names with d_ are gradients. The trace comes from a call with ``keep_trace``. It can be
        # used only once, because the kernel overwrites it.
        layout, transposed = trace.layout, self._transposed_weights
        d_codes: Any = np.float32(0)
        if self._linear_map is not None:
            # The transpose of a linear map from codes to steps is a linear map from steps to codes.
            # So the operation of the encoder computes the gradient.
            d_codes = packed.linear_encode(d_logits, layout.padded_offsets, transposed["linear"])
        d_patches = d_logits.reshape(layout.patch_offsets[-1], len(transposed["dense"]))
        d_hidden: Any = packed.product(d_patches, transposed["dense"])
        for i in reversed(range(len(self._layers))):
            d_hidden, d_h, d_c = packed.lstm_input_gradient(trace.lstm_traces[i], d_hidden)
            # the initial cell state is a tanh, whose derivative is 1 - tanh**2
            d_state = np.concatenate([d_h, d_c * (1 - trace.cell_states[i] ** 2)], axis=1)
            d_codes = d_codes + packed.product(d_state, transposed[f"start_{i}"])
        # the loop ends with the first layer, so this is the gradient of ``sequence_gate_inputs``
        return d_codes + packed.product(d_hidden, transposed["code"])

    @functools.cached_property
    def _transposed_weights(self) -> dict[str, np.ndarray]:
        """Transposed weights, by which the gradient multiplies."""
        arrays = {"dense": self._dense_weights[0].T, "code": self._code_weights[0].T}
        arrays |= {f"start_{i}": kernel.T for i, ((kernel, _), _) in enumerate(self._layers)}
        if self._linear_map is not None:
            arrays["linear"] = np.moveaxis(self._linear_map, 0, -1)
        return {name: np.ascontiguousarray(array) for name, array in arrays.items()}

    def decode_autoregressively(
        self,
        codes: np.ndarray,
        layout: DecoderLayout,
        noise: np.ndarray | None = None,
        temperature: float = 1.0,
    ) -> np.ndarray:
        """Decode codes to (n_rows, outputs); each step is the input of the next one."""
        # The next step gets the likeliest category of a categorical column, the likelier of 0 and 1
        # of a binary column, and the mean of a numeric column. With ``noise`` (n_rows, outputs), it
        # gets a sample instead. The sequences are sorted from the longest to the shortest. So the
        # sequences that have a given step come first.
        offsets = layout.offsets
        lengths = lengths_from_offsets(offsets)
        order = np.argsort(-lengths, kind="stable")
        decoded = np.empty((offsets[-1], self.head.num_outputs), np.float32)
        states = []  # h and c of each layer, both (n_sequences, units)
        for projection, layer in self._layers:
            h_and_c = packed.product(codes[order], *projection)
            states.append((h_and_c[:, : layer.units], packed.tanh(h_and_c[:, layer.units :])))
        linear = None
        if layout.path_biases is not None:
            linear_weights = self._linear_map, layout.path_biases
            linear = packed.linear_decode(codes, layout.padded_offsets, *linear_weights)
        code_gate_inputs = packed.product(codes[order], *self._code_weights)
        # NaN says that there is no previous step
        previous = np.full((len(codes), len(self.num_categories)), np.nan, np.float32)
        for step in range(len(layout.position_gate_inputs)):
            # a sequence is active as long as it has steps
            num_active = int(np.searchsorted(-lengths[order], -step))
            active = order[:num_active]
            hidden = _encode_previous_steps(previous[:num_active], self.num_categories)
            gate_inputs: Any = {"sequence_gate_inputs": code_gate_inputs}
            gate_inputs["step_gate_inputs"] = layout.position_gate_inputs[step:]
            states = [(h[:num_active], c[:num_active]) for h, c in states]
            step_offsets = np.arange(num_active + 1)  # each sequence has one step
            for i, (_, layer) in enumerate(self._layers):
                results = packed.lstm(hidden, step_offsets, layer, *states[i], **gate_inputs)
                hidden, states[i], gate_inputs = results[0], results[1:3], {}
            rows, (kernel, bias) = offsets[active] + step, self._dense_weights
            # the biases of both paths are in the output of the linear path
            bias = bias if linear is None else linear[rows]
            outputs = self.head.activate(packed.product(hidden, kernel, bias))
            if noise is not None:
                outputs = self.head.sample(outputs, noise[rows], temperature)
            decoded[rows] = outputs
            previous = self.head.likeliest_values(outputs)
        return decoded

    def _compute_position_terms(self, num_patches: int) -> tuple[np.ndarray, np.ndarray | None]:
        """Return ``position_gate_inputs`` and ``path_biases`` of a `DecoderLayout`."""
        # the position features (n_patches, features) are those of the layer `RepeatCode`
        step = np.arange(num_patches, dtype=np.float32)[:, None]
        periods = np.array(list_position_periods(self._settings.max_patches), np.float32)
        angles = np.float32(2.0 * math.pi) * (step + np.float32(0.5)) / periods
        relative = step / np.float32(self._settings.max_patches)
        decaying = np.float32(1.0) / (np.float32(1.0) + step)
        features = np.concatenate([relative, decaying, np.sin(angles), np.cos(angles)], axis=1)
        position_gate_inputs, biases = packed.product(features, self._position_weights), None
        if self._linear_map is not None:
            biases = np.tile(self._dense_weights[1], num_patches).reshape(-1, self.head.num_outputs)
            if self._settings.has_step_scales:
                biases *= self.lstm_path_scale[:num_patches]
            linear_bias = self._linear_bias[: len(biases)]
            biases[: len(linear_bias)] += linear_bias
        return position_gate_inputs, biases


def _encode_previous_steps(step_values: np.ndarray, num_categories: list[int]) -> np.ndarray:
    """Encode steps (n_rows, columns) as one-hot, with a flag that is 0 if all columns are NaN."""
    # as the layer `TeacherForcing` does
    missing = np.isnan(step_values)
    is_step = ~missing.all(axis=1, keepdims=True)
    blocks = one_hot_encode_columns(step_values, num_categories)
    blocks = np.where(np.isnan(blocks), 0, blocks)
    return np.concatenate([blocks, is_step], axis=1, dtype=np.float32)
