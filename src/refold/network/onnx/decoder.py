"""Add the decoder or the forecast decoder to a graph, from codes to values and categories."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from refold.network.onnx.columns import LINKS, ColumnGroups, add_decoder_outputs, add_recent_values
from refold.network.onnx.encoder import (
    add_cosine_basis,
    add_divisors,
    add_long_curve_mask,
    make_cosine_basis,
)
from refold.network.onnx.graph import Graph, Operand, add_dense, add_lstm, add_max_length_or_one
from refold.network.specification import (
    Specification,
    clip_length_std,
    get_linear_path_map,
    list_position_periods,
)
from refold.sequences.types import output_slices


def add_decoder(graph: Graph, columns: ColumnGroups) -> None:
    """Add the decoder, from codes to values, categories and lengths."""
    specification = columns.specification
    codes, statistics = _add_code_input(graph, columns)
    # a negative length asks for the length that the code stands for
    requested = graph.add_input("wanted_lengths", np.int64, ["n_or_1"])
    predicted = _predict_lengths(graph, specification, codes)
    lengths = graph("Where", graph("Less", requested, np.int64(0)), predicted, requested)
    num_steps = add_max_length_or_one(graph, lengths)
    if specification.is_curve_network:
        logits = _decode_and_resample(graph, specification, codes, predicted, lengths, num_steps)
    else:
        logits = _DecoderGraph(graph, specification)(codes, num_steps)
    add_decoder_outputs(graph, columns, logits, lengths, statistics)


def _decode_and_resample(
    graph: Graph,
    specification: Specification,
    codes: Operand,
    predicted_lengths: Operand,
    lengths: Operand,
    num_steps: Operand,
) -> Any:
    """Return the values (n, steps, columns) that codes (n, latent_dim) of curves decode to."""
    # A curve is a column that is resampled to a fixed number of points, see `ColumnCurveNetwork`.
    curve_dim, num_points = specification.num_dims_per_curve, specification.grid
    # Each column has a code of its own, (n * columns, curve_dim + 1). Its last dimension is the
    # length. The arguments of Slice are the starts, the ends and the axes.
    codes = graph("Reshape", codes, [-1, curve_dim + 1])
    codes = graph("Slice", codes, [0], [curve_dim], [1])
    curves = _DecoderGraph(graph, specification.for_single_curve)(codes, [num_points])
    # As in `ColumnCurveNetwork`, short sequences use only the linear path from before training. The
    # map is (curve_dim, points): the last axis of the weights has one entry, the only column.
    initial_map = graph.weight("first_steps", graph.weights["linear_steps/start"][..., 0])
    untrained_curves = graph("Unsqueeze", graph("MatMul", codes, initial_map), [2])
    long_curve_mask = add_long_curve_mask(graph, specification, predicted_lengths)
    long_curve_mask = graph("Unsqueeze", long_curve_mask, [1, 2])
    curves = graph("Where", long_curve_mask, curves, untrained_curves)
    # Now the curves are resampled to the steps of each sequence: from points to coefficients of
    # cosines, and from coefficients to steps. The cosines are orthonormal, so a coefficient grows
    # with the root of the number of steps.
    curves = graph.cast(curves, np.float64)
    curves = graph("Reshape", curves, [-1, len(specification.column_types), num_points])
    coefficients = graph("MatMul", curves, make_cosine_basis(num_points).T)
    factor = graph("Sqrt", graph("Div", add_divisors(graph, lengths), np.float64(num_points)))
    coefficients = graph("Mul", coefficients, graph("Unsqueeze", factor, [1, 2]))
    cosines = add_cosine_basis(graph, num_points, lengths, num_steps)
    values = graph("MatMul", coefficients, cosines)
    return graph.cast(graph("Transpose", values, perm=[0, 2, 1]), np.float32)


def add_forecaster(graph: Graph, columns: ColumnGroups) -> None:
    """Add the forecast decoder, from codes and last steps to the steps after the sequences."""
    specification = columns.specification
    codes, statistics = _add_code_input(graph, columns)
    if specification.recent_steps:
        codes = graph("Concat", codes, add_recent_values(graph, columns), axis=1)
    outputs = _DecoderGraph(graph, specification, is_forecast=True)(
        codes, [specification.forecast_steps]
    )
    count = graph("Shape", codes, start=0, end=1)
    lengths = graph("Expand", np.int64(specification.forecast_steps), count)
    add_decoder_outputs(graph, columns, outputs, lengths, statistics)


def _add_code_input(graph: Graph, column_groups: ColumnGroups) -> tuple[Any, Any]:
    """Add the input of codes; return their latent dimensions, and their statistics or None."""
    latent_dim = column_groups.specification.latent_dim
    width = latent_dim + column_groups.scaler.num_statistics
    code_input = graph.add_input("codes", np.float32, ["n", width])
    if not column_groups.scaler.num_statistics:
        return code_input, None
    codes = graph("Slice", code_input, [0], [latent_dim], [1])
    return codes, graph("Slice", code_input, [latent_dim], [width], [1])


def _predict_lengths(graph: Graph, specification: Specification, codes: Operand) -> Any:
    """Return the length (n,) that each code stands for."""
    # As in `PackedNetwork.predict_lengths`, a length far beyond the training lengths is not
    # plausible.
    max_length = 2 * specification.max_steps
    if specification.length_dim:
        # this dimension of the code is the logarithm of 1 + length, standardized
        center, scale = (np.float64(value) for value in specification.log_length_moments)
        code = graph("Gather", codes, np.int64(specification.learned_dim), axis=1)
        logarithm = graph("Add", graph("Mul", graph.cast(code, np.float64), scale), center)
        limit = np.float64(specification.max_log_length)
        logarithm = graph("Clip", logarithm, np.float64(0), limit)
        length = graph("Sub", graph("Exp", logarithm), np.float64(1))
    else:
        z = add_dense(graph, "hidden", codes)
        # GELU: z times the normal distribution function of z, which is (1 + erf(z / sqrt(2))) / 2
        erf = graph("Erf", graph("Mul", z, np.float32(math.sqrt(0.5))))
        hidden = graph("Mul", graph("Mul", z, np.float32(0.5)), graph("Add", erf, np.float32(1)))
        # only the first of two outputs is the length; the second output is a log-scale
        kernel = graph.weight("length/kernel", graph.weights["length/dense/kernel"][:, :1])
        location = graph("Gemm", hidden, kernel, graph.weights["length/dense/bias"][:1])
        scale = np.float32(clip_length_std(specification.length_deviation))
        length = graph("Mul", graph("Squeeze", location, [1]), scale)
        length = graph("Add", length, np.float32(specification.length_mean))
    rounded = graph.cast(graph("Round", length), np.int64)
    return graph("Clip", rounded, np.int64(0), np.int64(max_length))


class _DecoderGraph:
    """Decoder or forecast decoder of the default model; a call adds its nodes to the graph."""

    def __init__(
        self, graph: Graph, specification: Specification, *, is_forecast: bool = False
    ) -> None:
        self._graph, self._specification, self._weights = graph, specification, graph.weights
        self._settings = specification.make_decoder_settings(is_forecast=is_forecast)
        self._suffix, self._patch = self._settings.suffix, self._settings.patch
        depths = range(1, specification.depth + 1)
        self._layer_names = [f"decoder{self._suffix}_{i}" for i in depths]
        self._num_outputs = specification.num_outputs

    def __call__(self, codes: Operand, num_steps: Operand) -> Any:
        """Return the logits (n, steps, outputs) of codes (n, latent_dim), in complete patches."""
        graph, patch = self._graph, self._patch
        num_patches = num_steps
        if patch > 1:
            num_patches = graph("Div", graph("Add", num_steps, [patch - 1]), [patch])
            num_steps = graph("Mul", num_patches, [patch])
        linear_path_logits = self._linear_path(codes, num_steps)
        features = self._position_features(num_patches)
        if self._settings.reads_previous_step:
            return self._decode_autoregressively(codes, features, linear_path_logits)
        # the LSTMs read (patches, n, latent_dim + features), and return (patches, n, units)
        n = graph("Shape", codes, start=0, end=1)
        shape = graph("Concat", num_patches, n, [1], axis=0)
        inputs = [graph("Unsqueeze", codes, [0]), graph("Unsqueeze", features, [1])]
        hidden = graph("Concat", *(graph("Expand", array, shape) for array in inputs), axis=2)
        for name, states in zip(self._layer_names, self._initial_states(codes), strict=True):
            outputs, _ = add_lstm(graph, [name], hidden, initial_states=states)
            hidden = graph("Squeeze", outputs, [1])
        kernel, bias = self._fold_lstm_scale_into_head()
        logits = graph("Add", graph("MatMul", hidden, kernel), bias)
        logits = graph("Transpose", logits, perm=[1, 0, 2])
        if self._settings.has_step_scales:  # a single scale is already in the weights of the head
            logits = graph("Mul", logits, graph.weight(f"head{self._suffix}/scale"))
        if patch > 1:
            shape = graph("Concat", [0], num_steps, [self._num_outputs], axis=0)  # 0: axis stays
            logits = graph("Reshape", logits, shape)
        return logits if linear_path_logits is None else graph("Add", logits, linear_path_logits)

    def _decode_autoregressively(
        self, codes: Operand, position_features: Operand, linear_path_logits: Operand
    ) -> Any:
        """Return the logits (n, steps, outputs) of a loop in which a step reads the step before."""
        graph, first_layer, weights = self._graph, self._layer_names[0], self._weights
        # the first layer reads the code, position features, the previous step, and a flag
        kernel = weights[f"{first_layer}/lstm_cell/kernel"]
        position_begin = self._specification.latent_dim
        previous_begin = len(kernel) - self._num_outputs - 1
        position_kernel = kernel[position_begin:previous_begin]
        code_kernel = graph.weight(f"{first_layer}/kernel/code", kernel[:position_begin])
        position_kernel = graph.weight(f"{first_layer}/kernel/position", position_kernel)
        previous_kernel = graph.weight(f"{first_layer}/kernel/previous", kernel[previous_begin:])
        # (n, 4 * units)
        code_inputs = graph("Gemm", codes, code_kernel, weights[f"{first_layer}/lstm_cell/bias"])
        position_inputs = graph("MatMul", position_features, position_kernel)
        position_inputs = graph("Unsqueeze", position_inputs, [1])  # (steps, 1, 4 * units)
        head_kernel, head_bias = self._fold_lstm_scale_into_head()
        # The state of the loop is h and c of each layer, and the encoded previous step. Zeros and
        # the flag 0 say that there is no previous step.
        first_states = [state for states in self._initial_states(codes) for state in states]
        n = graph("Shape", codes, start=0, end=1)
        shape = graph("Concat", n, [self._num_outputs + 1], axis=0)
        first_states.append(graph("Expand", np.float32(0), shape))
        # ``body`` is the graph of one step. The operator Scan calls it for each entry of the
        # scanned arrays, which are the position inputs and the linear path of each step.
        body = Graph({}, outer_graph=graph)
        states = [body.add_input(f"state_{i}", np.float32, None) for i in range(len(first_states))]
        scanned = [position_inputs]
        position_input = body.add_input("position", np.float32, None)
        linear_step: Any = None
        if linear_path_logits is not None:
            scanned.append(graph("Transpose", linear_path_logits, perm=[1, 0, 2]))
            linear_step = body.add_input("linear", np.float32, None)
        gate_inputs = body("Add", code_inputs, position_input)
        gate_inputs = body("Add", gate_inputs, body("MatMul", states[-1], previous_kernel))
        next_states: list[Any] = []
        hidden: Any = None
        for name in self._layer_names:
            cell = f"{name}/lstm_cell"
            if hidden is not None:  # after the first layer
                kernel = graph.weight(f"{name}/kernel", weights[f"{cell}/kernel"])
                gate_inputs = body("Add", body("MatMul", hidden, kernel), weights[f"{cell}/bias"])
            # ``next_states`` has the new h and c of the layers before this one
            h, c = states[len(next_states) : len(next_states) + 2]
            kernel = graph.weight(f"{name}/recurrent_kernel", weights[f"{cell}/recurrent_kernel"])
            gates = body("Add", gate_inputs, body("MatMul", h, kernel))  # (n, 4 * units)
            i, f, g, o = body("Split", gates, num_results=4, axis=1, num_outputs=4)
            i, f, o = (body("Sigmoid", gate) for gate in (i, f, o))
            c = body("Add", body("Mul", f, c), body("Mul", i, body("Tanh", g)))
            hidden = body("Mul", o, body("Tanh", c))
            next_states += [hidden, c]
        logits = body("Add", body("MatMul", hidden, head_kernel), head_bias)
        if linear_step is not None:
            logits = body("Add", logits, linear_step)
        # the next step reads the likeliest values, one-hot if categorical, and the flag 1
        encoded = []
        types, num_categories = self._specification.column_types, self._specification.num_categories
        for _, type_, block in output_slices(types, num_categories):
            column_logits = body("Slice", logits, [block.start], [block.stop], [1])
            value = LINKS[type_.link](body, column_logits)
            if type_.has_categories:
                all_indices = np.arange(block.stop - block.start)
                value = body.cast(body("Equal", value, all_indices), np.float32)
            encoded.append(value)
        shape = body("Concat", body("Shape", logits, start=0, end=1), [1], axis=0)
        encoded.append(body("Expand", np.float32(1), shape))
        next_states.append(body("Concat", *encoded, axis=1))
        for i, state in enumerate(next_states):
            body.add_output(f"next_{i}", state, np.float32, None)
        body.add_output("outputs", logits, np.float32, None)
        results = graph(
            "Scan",
            *(*first_states, *scanned),
            num_results=len(first_states) + 1,  # the final states, and the logits of all steps
            body=body.build_graph("step"),
            num_scan_inputs=len(scanned),
        )
        return graph("Transpose", results[-1], perm=[1, 0, 2])

    def _initial_states(self, codes: Operand) -> Iterator[list[Any]]:
        """Yield the initial h and c of each layer, both (n, units)."""
        graph = self._graph
        for i in range(1, len(self._layer_names) + 1):
            projected = add_dense(graph, f"start{self._suffix}_{i}", codes)
            h, c = graph("Split", projected, num_results=2, axis=1, num_outputs=2)
            yield [h, graph("Tanh", c)]

    def _position_features(self, num_patches: Operand) -> Any:
        """Return the position features (patches, features); see `RepeatCode`."""
        graph, max_patches = self._graph, self._settings.max_patches
        index = graph("Range", np.int64(0), graph("Squeeze", num_patches), np.int64(1))
        index = graph("Unsqueeze", graph.cast(index, np.float32), [1])
        periods = np.array(list_position_periods(max_patches), np.float32)
        angles = graph("Mul", np.float32(2 * math.pi), graph("Add", index, np.float32(0.5)))
        angles = graph("Div", angles, periods)
        relative = graph("Div", index, np.float32(max_patches))
        decaying = graph("Div", np.float32(1), graph("Add", index, np.float32(1)))
        waves = graph("Sin", angles), graph("Cos", angles)
        return graph("Concat", relative, decaying, *waves, axis=1)

    def _fold_lstm_scale_into_head(self) -> tuple[Any, Any]:
        """Return kernel and bias of the last dense layer, times the scale of the LSTM path."""
        head = f"head{self._suffix}"
        kernel, bias = (self._weights[f"{head}/dense/{name}"] for name in ("kernel", "bias"))
        if self._settings.num_linear_path_steps is not None and not self._settings.has_step_scales:
            scale = np.tile(self._weights[f"{head}/scale"], self._patch)
            kernel, bias = scale * kernel, scale * bias
        weight = self._graph.weight
        return weight(f"{head}/kernel", kernel), weight(f"{head}/bias", bias)

    def _linear_path(self, codes: Operand, num_steps: Operand) -> Any:
        """Return the linear path (n, steps, outputs), or None if there is none."""
        layer = f"linear_steps{self._suffix}"
        if self._settings.num_linear_path_steps is None:
            return None
        graph, width = self._graph, self._num_outputs
        linear_map = get_linear_path_map(self._weights, layer)
        dims, max_linear_steps, _ = linear_map.shape
        kernel = graph.weight(f"{layer}/map", linear_map.reshape(dims, max_linear_steps * width))
        bias = graph.weight(f"{layer}/bias", self._weights[f"{layer}/bias"].ravel())
        # only the first ``max_linear_steps`` steps have weights; later steps get zeros
        num_linear_steps = graph("Min", num_steps, [max_linear_steps])
        end = graph("Mul", num_linear_steps, [width])
        kernel, bias = graph("Slice", kernel, [0], end, [1]), graph("Slice", bias, [0], end)
        shape = graph("Concat", [0], num_linear_steps, [width], axis=0)  # 0: the axis stays
        linear = graph("Reshape", graph("Gemm", codes, kernel, bias), shape)
        num_added = graph("Sub", num_steps, num_linear_steps)
        # numbers of zeros before the three axes, and then of zeros after them
        padding = graph("Concat", [0, 0, 0, 0], num_added, [0], axis=0)
        return graph("Pad", linear, padding, np.float32(0))
