"""The decoders as graphs."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from refold.network.onnx.columns import LINKS, Columns, read_last_steps, write_outputs
from refold.network.onnx.curves import are_long, write_curves
from refold.network.onnx.graph import (
    Graph,
    Value,
    dense,
    find_layer,
    longest,
    run_layer,
    step,
)
from refold.network.specification import Specification, length_unit, linear_map
from refold.sequences.types import outputs_of


def add_decoder(graph: Graph, columns: Columns) -> None:
    """Add the decoder, from codes to the user's values, categories and lengths."""
    specification = columns.specification
    codes, statistics = _read_codes(graph, columns)
    requested = graph.input("wanted_lengths", np.int64, ["n_or_1"])
    predicted = _predicted_lengths(graph, specification, codes)
    lengths = graph("Where", graph("Less", requested, np.int64(0)), predicted, requested)
    steps = longest(graph, lengths)
    if specification.grid:
        curves = _decode_curves(graph, specification, codes, predicted)
        outputs = write_curves(graph, specification, curves, lengths, steps)
    else:
        outputs = _Decoder(graph, specification)(codes, steps)
    write_outputs(graph, columns, outputs, lengths, statistics)


def _decode_curves(graph: Graph, specification: Specification, codes: Value, lengths: Value) -> Any:
    """Return the curves (n * columns, points, 1) of codes."""
    width = specification.curve_dim
    codes = graph("Reshape", codes, [-1, width + 1])
    codes = graph("Slice", codes, [0], [width], [1])
    curves = _Decoder(graph, specification.inner)(codes, [specification.grid])
    start = graph.weight("first_steps", graph.weights["linear_steps/start"][..., 0])
    first = graph("Unsqueeze", graph("MatMul", codes, start), [2])
    trained = graph("Unsqueeze", are_long(graph, specification, lengths), [1, 2])
    return graph("Where", trained, curves, first)


def add_forecaster(graph: Graph, columns: Columns) -> None:
    """Add the forecast decoder, from codes and last steps to the steps after the sequences."""
    specification = columns.specification
    codes, statistics = _read_codes(graph, columns)
    if specification.recent_steps:
        codes = graph("Concat", codes, read_last_steps(graph, columns), axis=1)
    outputs = _Decoder(graph, specification, is_forecast=True)(
        codes, [specification.forecast_steps]
    )
    count = graph("Shape", codes, start=0, end=1)
    lengths = graph("Expand", np.int64(specification.forecast_steps), count)
    write_outputs(graph, columns, outputs, lengths, statistics)


def _read_codes(graph: Graph, columns: Columns) -> tuple[Any, Any]:
    """Add the input of codes, and return codes and the statistics in them."""
    latent_dim = columns.specification.latent_dim
    width = latent_dim + columns.scaler.num_statistics
    codes_in = graph.input("codes", np.float32, ["n", width])
    if not columns.scaler.num_statistics:
        return codes_in, None
    codes = graph("Slice", codes_in, [0], [latent_dim], [1])
    return codes, graph("Slice", codes_in, [latent_dim], [width], [1])


def _predicted_lengths(graph: Graph, specification: Specification, codes: Value) -> Any:
    """Return the length (n,) that each code stands for."""
    most = 2 * specification.max_steps
    if specification.length_dim:
        center, scale = (np.float64(number) for number in specification.length_scale)
        code = graph("Gather", codes, np.int64(specification.learned_dim), axis=1)
        logarithm = graph("Add", graph("Mul", graph.cast(code, np.float64), scale), center)
        limit = np.float64(specification.max_log_length)
        logarithm = graph("Clip", logarithm, np.float64(0), limit)
        length = graph("Sub", graph("Exp", logarithm), np.float64(1))
    else:
        z = dense(graph, "hidden", codes)
        share = graph(
            "Add", graph("Erf", graph("Mul", z, np.float32(math.sqrt(0.5)))), np.float32(1)
        )
        hidden = graph("Mul", graph("Mul", z, np.float32(0.5)), share)
        # the second output is the log-scale
        kernel = graph.weight("length/kernel", graph.weights["length/dense/kernel"][:, :1])
        location = graph("Gemm", hidden, kernel, graph.weights["length/dense/bias"][:1])
        unit = np.float32(length_unit(specification.length_deviation))
        length = graph("Mul", graph("Squeeze", location, [1]), unit)
        length = graph("Add", length, np.float32(specification.length_mean))
    rounded = graph.cast(graph("Round", length), np.int64)
    return graph("Clip", rounded, np.int64(0), np.int64(most))


class _Decoder:
    """A decoder of the default model, or its forecast decoder; a call adds it to the graph."""

    def __init__(
        self, graph: Graph, specification: Specification, *, is_forecast: bool = False
    ) -> None:
        self._graph, self._specification, self._weights = graph, specification, graph.weights
        self._sizes = specification.decoder_settings(is_forecast=is_forecast)
        self._suffix, self._patch = self._sizes.suffix, self._sizes.patch
        self._layers = [
            find_layer(graph, f"decoder{self._suffix}_{i}")
            for i in range(1, specification.depth + 1)
        ]
        self._width = specification.num_outputs

    def __call__(self, codes: Value, steps: Value) -> Any:
        """Return outputs (n, at least steps, outputs) before their activation."""
        graph, patch = self._graph, self._patch
        patches = steps
        if patch > 1:
            patches = graph("Div", graph("Add", steps, [patch - 1]), [patch])
            steps = graph("Mul", patches, [patch])
        linear = self._linear(codes, steps)
        features = self._positions(patches)
        if self._sizes.reads_previous:
            return self._autoregressive(codes, features, linear)
        hidden = self._hidden(codes, patches, features)
        kernel, bias = self._head()
        logits = graph("Add", graph("MatMul", hidden, kernel), bias)
        logits = graph("Transpose", logits, perm=[1, 0, 2])
        if self._sizes.scales_by_step:
            logits = graph("Mul", logits, graph.weight(f"head{self._suffix}/scale"))
        if patch > 1:
            shape = graph("Concat", [0], steps, [self._width], axis=0)
            logits = graph("Reshape", logits, shape)
        return logits if linear is None else graph("Add", logits, linear)

    def _hidden(self, codes: Value, steps: Value, features: Value) -> Any:
        """Return the outputs (steps, n, units) of the last layer."""
        graph = self._graph
        n = graph("Shape", codes, start=0, end=1)
        lead = graph("Concat", steps, n, [1], axis=0)
        parts = [graph("Unsqueeze", codes, [0]), graph("Unsqueeze", features, [1])]
        hidden = graph("Concat", *(graph("Expand", part, lead) for part in parts), axis=2)
        for layer, states in zip(self._layers, self._states(codes), strict=True):
            outputs, _ = run_layer(graph, [layer], hidden, states=states)
            hidden = graph("Squeeze", outputs, [1])
        return hidden

    def _autoregressive(self, codes: Value, features: Value, linear: Value) -> Any:
        """Return the outputs (n, steps, outputs) of a loop that reads what it wrote."""
        graph, first = self._graph, self._layers[0]
        dims, positions = self._specification.latent_dim, len(first.kernel) - self._width - 1
        name = f"{first.name}/kernel"
        by_code = graph.weight(f"{name}/code", first.kernel[:dims])
        by_position = graph.weight(f"{name}/position", first.kernel[dims:positions])
        by_previous = graph.weight(f"{name}/previous", first.kernel[positions:])
        code_sums = graph("Gemm", codes, by_code, first.bias)
        by_step = graph("Unsqueeze", graph("MatMul", features, by_position), [1])
        head = self._head()
        begin = [state for states in self._states(codes) for state in states]
        n = graph("Shape", codes, start=0, end=1)
        nothing = graph("Concat", n, [self._width + 1], axis=0)
        begin.append(graph("Expand", np.float32(0), nothing))
        body = Graph({}, outer=graph)
        state_inputs = [body.input(f"state_{i}", np.float32, None) for i in range(len(begin))]
        own = body.input("position", np.float32, None)
        scanned = [by_step]
        beside: Any = None
        if linear is not None:
            scanned.append(graph("Transpose", linear, perm=[1, 0, 2]))
            beside = body.input("linear", np.float32, None)
        sums = body(
            "Add", body("Add", code_sums, own), body("MatMul", state_inputs[-1], by_previous)
        )
        states: list[Any] = []
        hidden: Any = None
        for layer in self._layers:
            if hidden is not None:
                kernel = graph.weight(f"{layer.name}/kernel", layer.kernel)
                sums = body("Add", body("MatMul", hidden, kernel), layer.bias)
            hidden, c = step(body, layer, sums, *state_inputs[len(states) : len(states) + 2])
            states += [hidden, c]
        logits = body("Add", body("MatMul", hidden, head[0]), head[1])
        if beside is not None:
            logits = body("Add", logits, beside)
        states.append(self._read_back(body, logits))
        for i, state in enumerate(states):
            body.output(f"next_{i}", state, np.float32, None)
        body.output("outputs", logits, np.float32, None)
        results = graph(
            "Scan",
            *(*begin, *scanned),
            outputs=len(begin) + 1,
            body=body.finished("step"),
            num_scan_inputs=len(scanned),
        )
        return graph("Transpose", results[-1], perm=[1, 0, 2])

    def _read_back(self, body: Graph, logits: Value) -> Any:
        """Return what the next step reads: the likeliest values, and a flag that there are any."""
        parts = []
        specification = self._specification
        columns = outputs_of(specification.column_types, specification.num_categories)
        for _, type_, block in columns:
            own = body("Slice", logits, [block.start], [block.stop], [1])
            read = LINKS[type_.link](body, own)
            if type_.has_categories:
                all_indices = np.arange(block.stop - block.start)
                read = body.cast(body("Equal", read, all_indices), np.float32)
            parts.append(read)
        lead = body("Concat", body("Shape", logits, start=0, end=1), [1], axis=0)
        return body("Concat", *parts, body("Expand", np.float32(1), lead), axis=1)

    def _states(self, codes: Value) -> Iterator[list[Any]]:
        """Iterate over the initial states of each layer, (n, units)."""
        graph = self._graph
        for i in range(1, len(self._layers) + 1):
            projected = dense(graph, f"start{self._suffix}_{i}", codes)
            h, c = graph("Split", projected, outputs=2, axis=1, num_outputs=2)
            yield [h, graph("Tanh", c)]

    def _positions(self, steps: Value) -> Any:
        """Return the position features (steps, features); see `RepeatCode`."""
        graph, most = self._graph, self._sizes.max_patches
        number = graph("Range", np.int64(0), graph("Squeeze", steps), np.int64(1))
        number = graph("Unsqueeze", graph.cast(number, np.float32), [1])
        periods = np.float32(2.0) ** np.arange(1, self._sizes.num_periods + 1, dtype=np.float32)
        turned = graph("Mul", np.float32(2 * math.pi), graph("Add", number, np.float32(0.5)))
        angles = graph("Div", turned, periods)
        relative = graph("Div", number, np.float32(most))
        decaying = graph("Div", np.float32(1), graph("Add", number, np.float32(1)))
        waves = graph("Sin", angles), graph("Cos", angles)
        return graph("Concat", relative, decaying, *waves, axis=1)

    def _head(self) -> tuple[Any, Any]:
        """Return the kernel and the bias of the last dense layer, scaled."""
        head = f"head{self._suffix}"
        kernel, bias = (self._weights[f"{head}/dense/{part}"] for part in ("kernel", "bias"))
        if self._sizes.linear_steps is not None and not self._sizes.scales_by_step:
            scale = np.tile(self._weights[f"{head}/scale"], self._patch)
            kernel, bias = scale * kernel, scale * bias
        weight = self._graph.weight
        return weight(f"{head}/kernel", kernel), weight(f"{head}/bias", bias)

    def _linear(self, codes: Value, steps: Value) -> Any:
        """Return the linear path (n, steps, outputs), or None if there is none."""
        layer = f"linear_steps{self._suffix}"
        if self._sizes.linear_steps is None:
            return None
        graph, width = self._graph, self._width
        map_ = linear_map(self._weights, layer)
        dims, most, _ = map_.shape
        kernel = graph.weight(f"{layer}/map", map_.reshape(dims, most * width))
        bias = graph.weight(f"{layer}/bias", self._weights[f"{layer}/bias"].ravel())
        count = graph("Min", steps, [most])
        end = graph("Mul", count, [width])
        rows = graph(
            "Gemm", codes, graph("Slice", kernel, [0], end, [1]), graph("Slice", bias, [0], end)
        )
        linear = graph("Reshape", rows, graph("Concat", [0], count, [width], axis=0))
        more = graph("Concat", [0, 0, 0, 0], graph("Sub", steps, count), [0], axis=0)
        return graph("Pad", linear, more, np.float32(0))
