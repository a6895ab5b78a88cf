"""The default decoders on packed rows, and their gradient with respect to the code."""

import functools
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from refold._support.arrays import lengths_from_offsets
from refold.kernels import packed
from refold.network.packed.encoder import lstm_weights, patch_offsets, rows_in_patches
from refold.network.packed.heads import PackedHead
from refold.network.packed.rows import one_hot
from refold.network.specification import Specification, linear_map

# Maximum number of patches whose position features a decoder keeps.
_KEPT = 256


class DecoderLayout(NamedTuple):
    """What a pass of the decoder needs to know of the sequences to write."""

    offsets: np.ndarray  # of the steps, (n_sequences + 1,)
    patches: np.ndarray  # offsets of the patches
    steps: np.ndarray  # offsets of the steps of whole patches
    by_step: np.ndarray  # (longest, 4 * units): product of the position features with their weights
    # (longest in whole patches, outputs): what the linear path adds to each step
    start: np.ndarray | None
    # (n_patches, width): previous steps, or no columns without teacher forcing
    previous: np.ndarray
    rows: Any  # slice or (n_rows,): row of each step among the steps of whole patches


class Decoding(NamedTuple):
    """What the gradient needs of a pass of the decoder."""

    layout: DecoderLayout
    states: list[np.ndarray]  # initial cell state of each layer
    traces: list[Any]  # a `Trace` of each layer


class PackedDecoder:
    """A stack of LSTMs whose initial states are projections of the code."""

    def __init__(
        self,
        specification: Specification,
        weights: Mapping[str, np.ndarray],
        head: PackedHead,
        *,
        ahead: bool = False,
    ) -> None:
        # the forecast decoder reads recent values as if they were more of the code
        self._sizes = sizes = specification.decoder_sizes(ahead=ahead)
        self.num_categories, self.head = specification.num_categories, head
        self.patch, suffix = sizes.patch, sizes.suffix
        self._stack = [
            (
                (weights[f"start{suffix}_{i}/kernel"], weights[f"start{suffix}_{i}/bias"]),
                lstm_weights(weights, f"decoder{suffix}_{i}"),
            )
            for i in range(1, specification.depth + 1)
        ]
        # The first layer reads the code, which is the same at all steps, and the position, which is
        # the same in all sequences: their products are not computed at each step.
        (initial, first), first_positions = self._stack[0], sizes.latent_dim
        last_position = first_positions + 2 + 2 * sizes.num_periods
        self._by_code = first.kernel[:first_positions], first.bias
        self._by_position = first.kernel[first_positions:last_position]
        previous = first.kernel[last_position:]
        self._stack[0] = initial, packed.LstmWeights(previous, first.recurrent_kernel, first.bias)
        self._dense = weights[f"head{suffix}/dense/kernel"], weights[f"head{suffix}/dense/bias"]
        self._linear: Any = None  # the map and the bias
        self.scale: Any = None
        if sizes.linear_steps is not None:
            layer = f"linear_steps{suffix}"
            self._linear = linear_map(weights, layer), weights[f"{layer}/bias"]
            self.scale = weights[f"head{suffix}/scale"]
            if not sizes.scales_by_step:
                self._dense = tuple(np.tile(self.scale, self.patch) * part for part in self._dense)

    def layout(self, offsets: np.ndarray, x: np.ndarray | None = None) -> DecoderLayout:
        """Prepare to write sequences with these offsets, for one or more calls."""
        # an autoregressive decoder needs ``x``, the encoder's input, for teacher forcing
        patches = patch_offsets(offsets, self.patch) if self.patch > 1 else offsets
        count = int(lengths_from_offsets(patches).max(initial=0))
        by_step, start = self._kept if count <= len(self._kept[0]) else self._by_patch(count)
        previous = np.empty((patches[-1], 0), np.float32)
        if self._sizes.reads_previous and x is not None:
            previous = teacher_forcing(x, offsets, self.num_categories)
        steps, rows = offsets, slice(None)
        if self.patch > 1:
            steps, rows = patches * self.patch, rows_in_patches(offsets, patches, self.patch)
        return DecoderLayout(offsets, patches, steps, by_step[:count], start, previous, rows)

    def __call__(
        self,
        codes: np.ndarray,
        layout: DecoderLayout,
        *,
        keep: bool = False,
        reuse: Decoding | None = None,
    ) -> tuple[np.ndarray, Decoding]:
        """Decode codes to means, probabilities and softmax blocks (n_patches * patch, outputs)."""
        # ``layout.rows`` are the rows of the steps: the last patch of a sequence may be longer than
        # the sequence. ``keep`` is for `gradient`. The new decoding takes the memory of ``reuse``.
        # The decoder writes whole patches. Latent optimization gives the steps that only complete a
        # patch a weight of 0, so it moves nothing between steps and patches in each evaluation.
        hidden, decoding = layout.previous, Decoding(layout, [], [])
        by_sequence = packed.product(codes, *self._by_code)
        options: Any = {"by_sequence": by_sequence, "by_step": layout.by_step}
        for i, (project, layer) in enumerate(self._stack):
            states = packed.product(codes, *project)
            h, c = states[:, : layer.units], packed.tanh(states[:, layer.units :])
            options |= {"keep": keep, "reuse": reuse and reuse.traces[i]}
            hidden, _, _, trace = packed.lstm(hidden, layout.patches, layer, h, c, **options)
            options = {}
            decoding.states.append(c)
            decoding.traces.append(trace)
        kernel, start = self._dense
        if self._linear is not None and layout.start is not None:
            beside = packed.step_product(codes, layout.steps, self._linear[0], layout.start)
            start = beside.reshape(len(hidden), kernel.shape[1])
        if self._sizes.scales_by_step:
            scale = np.tile(self.scale, (len(codes), 1))
            logits = packed.product(hidden, kernel) * scale + start
        else:
            logits = packed.product(hidden, kernel, start).reshape(-1, self.head.num_outputs)
        return self.head.activate(logits), decoding

    def gradient(self, decoding: Decoding, d_logits: np.ndarray) -> np.ndarray:
        """Return the gradient of the codes from that of the logits (n_patches * patch, outputs)."""
        # a decoding with ``keep=True``, which can be used once
        layout, transposed = decoding.layout, self._transposed
        d_codes: Any = np.float32(0)
        if self._linear is not None:
            d_codes = packed.ragged_product(d_logits, layout.steps, transposed["linear"])
        d_patches = d_logits.reshape(layout.patches[-1], len(transposed["dense"]))
        d_hidden: Any = packed.product(d_patches, transposed["dense"])
        for i in reversed(range(len(self._stack))):
            trace, state = decoding.traces[i], decoding.states[i]
            d_hidden, d_h, d_c = packed.lstm_gradient(trace, d_hidden)
            d_state = np.concatenate([d_h, d_c * (1 - state**2)], axis=1)
            d_codes = d_codes + packed.product(d_state, transposed[f"start_{i}"])
        return d_codes + packed.product(d_hidden, transposed["by_code"])

    @functools.cached_property
    def _transposed(self) -> dict[str, np.ndarray]:
        """Weights in the order in which the gradient reads them."""
        arrays = {"dense": self._dense[0].T, "by_code": self._by_code[0].T}
        arrays |= {f"start_{i}": kernel.T for i, ((kernel, _), _) in enumerate(self._stack)}
        if self._linear is not None:
            arrays["linear"] = np.moveaxis(self._linear[0], 0, -1)
        return {name: np.ascontiguousarray(array) for name, array in arrays.items()}

    def decode_autoregressively(
        self,
        codes: np.ndarray,
        layout: DecoderLayout,
        noise: np.ndarray | None = None,
        temperature: float = 1.0,
    ) -> np.ndarray:
        """Decode codes to (n_rows, outputs); each step is the input of the next one."""
        # The next step gets the likeliest category, the likelier of 0 and 1, and the mean of a
        # numeric column; with ``noise``, a sample.
        offsets = layout.offsets
        lengths = lengths_from_offsets(offsets)
        order = np.argsort(-lengths, kind="stable")
        written = np.empty((offsets[-1], self.head.num_outputs), np.float32)
        states = []
        for project, layer in self._stack:
            both = packed.product(codes[order], *project)
            states.append((both[:, : layer.units], packed.tanh(both[:, layer.units :])))
        beside = None
        if self._linear is not None and layout.start is not None:
            beside = packed.step_product(codes, layout.steps, self._linear[0], layout.start)
        by_sequence = packed.product(codes[order], *self._by_code)
        last = np.full((len(codes), len(self.num_categories)), np.nan, np.float32)
        for step in range(len(layout.by_step)):
            count = int(np.searchsorted(-lengths[order], -step))  # sequences that are longer
            there = order[:count]
            hidden = _encode_previous(last[:count], self.num_categories)
            shared: Any = {"by_sequence": by_sequence, "by_step": layout.by_step[step:]}
            one_each, states = np.arange(count + 1), [(h[:count], c[:count]) for h, c in states]
            for i, (_, layer) in enumerate(self._stack):
                hidden, h, c, _ = packed.lstm(hidden, one_each, layer, *states[i], **shared)
                states[i], shared = (h, c), {}
            rows, (kernel, start) = offsets[there] + step, self._dense
            start = start if beside is None else beside[rows]
            outputs = self.head.activate(packed.product(hidden, kernel, start))
            if noise is not None:
                outputs = self.head.sample(outputs, noise[rows], temperature)
            written[rows] = outputs
            last = self.head.values(outputs)
        return written

    @functools.cached_property
    def _kept(self) -> tuple[np.ndarray, np.ndarray | None]:
        return self._by_patch(min(self._sizes.max_patches, _KEPT))

    def _by_patch(self, count: int) -> tuple[np.ndarray, np.ndarray | None]:
        """Return ``by_step`` and ``start`` of a `DecoderLayout` for the first patches."""
        # the position features are those of `RepeatCode`
        step = np.arange(count, dtype=np.float32)[:, None]
        numbers = np.arange(1, self._sizes.num_periods + 1, dtype=np.float32)
        periods = np.float32(2.0) ** numbers
        angles = np.float32(2.0 * math.pi) * (step + np.float32(0.5)) / periods
        relative = step / np.float32(self._sizes.max_patches)
        decaying = np.float32(1.0) / (np.float32(1.0) + step)
        features = np.concatenate([relative, decaying, np.sin(angles), np.cos(angles)], axis=1)
        by_step, start = packed.product(features, self._by_position), None
        if self._linear is not None:
            start = np.tile(self._dense[1], count).reshape(-1, self.head.num_outputs)
            if self._sizes.scales_by_step:
                start *= self.scale[:count]
            bias = self._linear[1][: len(start)]
            start[: len(bias)] += bias
        return by_step, start


def teacher_forcing(
    values: np.ndarray, offsets: np.ndarray, num_categories: list[int]
) -> np.ndarray:
    """Return the previous step of each step (n_rows, width), with a flag whether there is one."""
    encoded = _encode_previous(values[:, : len(num_categories)], num_categories)
    shifted = np.zeros_like(encoded)
    shifted[1:] = encoded[:-1]
    shifted[offsets[:-1][lengths_from_offsets(offsets) > 0]] = 0.0
    return shifted


def _encode_previous(values: np.ndarray, num_categories: list[int]) -> np.ndarray:
    missing = np.isnan(values)
    is_there = ~missing.all(axis=1, keepdims=True)
    blocks = one_hot(values, num_categories)
    return np.concatenate(
        [np.where(np.isnan(blocks), 0, blocks), is_there], axis=1, dtype=np.float32
    )
