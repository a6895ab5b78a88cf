"""The decoders of the default model, and the table of their names.

To add a decoder, write a subclass of `Decoder`, and add an entry to `DECODERS`.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple, Self

import keras
from keras import ops

from refold.errors import ParameterError
from refold.network.keras.cells import cell_of, find_cell
from refold.network.keras.heads import ColumnHead
from refold.network.keras.initializers import dense
from refold.network.keras.linear_path import LinearDecoding
from refold.network.keras.padding import RealSteps
from refold.network.keras.patches import num_patches
from refold.network.keras.repeat_code import RepeatCode
from refold.network.keras.teacher_forcing import TeacherForcing
from refold.network.keras.tensors import Tensor
from refold.network.weights import most_linear_steps
from refold.sequences.types import number_mask


class DecoderSettings(NamedTuple):
    """Settings of a decoder, mostly arguments of `refold.models.default`."""

    column_types: Sequence[str]
    num_categories: Sequence[int] | None
    max_steps: int
    units: int
    depth: int
    dropout: float = 0.0
    cell: str = "lstm"
    code_noise: float = 0.0
    step_dropout: float = 0.0
    patch: int = 1
    linear_steps: int | None = None  # steps that the linear path has weights for; None without one
    # whether each step has its own scale of what is added to the linear path
    scale_by_step: bool = False
    suffix: str = ""  # appended to the names of the layers


class Decoder(ABC):
    """Layers that write sequences from codes, and add the linear path if there is one."""

    # Whether it reads the previous step. It is then a model of codes and sequences, and has
    # ``previous``.
    reads_previous: ClassVar[bool] = False
    # Whether ``patch`` may be more than 1.
    takes_patches: ClassVar[bool] = True

    previous: TeacherForcing | None = None

    def __init__(self, settings: DecoderSettings) -> None:
        suffix, max_steps, patch = settings.suffix, settings.max_steps, settings.patch
        self.patch = patch
        # The seeds of the weights depend on the order in which the layers are created.
        self.repeat = RepeatCode(num_patches(max_steps, patch), name=f"repeat{suffix}")
        self.real_steps = RealSteps(patch, name="real_steps")
        self.make_hidden(settings)
        noise, dropout = settings.code_noise, settings.dropout
        self._noise = keras.layers.GaussianNoise(noise, name="noise") if noise else None
        self._dropout = None
        if dropout:
            self._dropout = keras.layers.Dropout(dropout, name=f"dropout{suffix}")
        self.head = ColumnHead(
            settings.column_types,
            settings.num_categories,
            patch,
            max_steps,
            scale_by_step=settings.scale_by_step,
            name=f"head{suffix}",
        )
        self.linear = None
        if settings.linear_steps is not None:
            width, num_steps = sum(self.head.widths), settings.linear_steps
            self.linear = LinearDecoding(width, num_steps, max_steps, name=f"linear_steps{suffix}")

    @abstractmethod
    def make_hidden(self, settings: DecoderSettings) -> None:
        """Create the layers that ``hidden_steps`` calls."""

    # ``steps`` are the code, the position, and the previous step if the decoder reads it. ``real``
    # (batch, patches) is False at padded steps, whose outputs are not used.
    @abstractmethod
    def hidden_steps(self, code: Tensor, steps: Tensor, real: Tensor = None) -> Any:
        """Return hidden vectors (batch, patches, any) of steps (batch, patches, features)."""

    def __call__(self, code: Tensor, template: Tensor = None) -> Any:
        """Write ``max_steps`` steps, or as many as the template has."""
        code = code if self._noise is None else self._noise(code)
        # Padded steps come last and are not used, so the layers need not compute them.
        real = None if template is None else self.real_steps(template)
        steps = self.repeat(code) if template is None else self.repeat(code, like=real)
        if self.previous is not None:
            steps = keras.ops.concatenate([steps, self.previous(template)], axis=-1)
        hidden = self.hidden_steps(code, steps, real)
        hidden = hidden if self._dropout is None else self._dropout(hidden)
        beside = None
        if self.linear is not None:
            beside = self.linear(code) if template is None else self.linear(code, like=template)
        return self.head(hidden, beside=beside, like=template if self.patch > 1 else None)

    def models(self, latent_dim: int) -> tuple[keras.Model, keras.Model]:
        """Return the Keras models ``decoder`` and ``unroll`` of `refold.models.Models`."""
        code = keras.Input((latent_dim,), name="code")
        # a decoder that reads previous steps is one model of a code and a sequence
        alone = None if self.reads_previous else keras.Model(code, self(code), name="decoder")
        template = keras.Input((None, None), name="template")
        unroll = keras.Model([code, template], self(code, template), name="decoder")
        return (unroll if alone is None else alone), unroll


class ParallelDecoder(Decoder):
    """A stack of recurrent layers whose initial states are projections of the code."""

    # From bottom to top: the projection for the initial state, and the recurrent layer.
    stack: list[tuple[Any, Any]]

    def make_hidden(self, settings: DecoderSettings) -> None:
        """Create the stack."""
        cell, units, suffix = find_cell(settings.cell), settings.units, settings.suffix
        self.stack = [
            (
                dense(cell.state_size * units, name=f"start{suffix}_{i + 1}"),
                cell.make(units, name=f"decoder{suffix}_{i + 1}"),
            )
            for i in range(settings.depth)
        ]

    def hidden_steps(self, code: Tensor, steps: Tensor, real: Tensor = None) -> Any:
        """Run the stack over all steps."""
        for project, layer in self.stack:
            state = cell_of(layer).initial_state(project(code), layer.units)
            steps = layer(steps, initial_state=state, mask=real)
        return steps


class AutoregressiveDecoder(ParallelDecoder):
    """A parallel decoder whose input at each step includes the previous step."""

    reads_previous = True
    takes_patches = False

    def __init__(self, settings: DecoderSettings) -> None:
        super().__init__(settings)
        num_categories = settings.num_categories or [0] * len(settings.column_types)
        self.previous = TeacherForcing(
            num_categories, settings.step_dropout, name="teacher_forcing"
        )

    @classmethod
    def of(cls, model: keras.Model) -> Self:
        """Return the decoder with the layers of a Keras model, which may be a loaded one."""
        layers: dict[str, Any] = {layer.name: layer for layer in model.layers}
        depth = sum(name.startswith("decoder_") for name in layers)
        decoder = cls.__new__(cls)
        decoder.repeat, decoder.head = layers["repeat"], layers["head"]
        decoder.linear, decoder.previous = layers.get("linear_steps"), layers["teacher_forcing"]
        decoder.stack = [
            (layers[f"start_{i + 1}"], layers[f"decoder_{i + 1}"]) for i in range(depth)
        ]
        return decoder

    def initial_states(self, code: Tensor) -> list[list[Any]]:
        """Return the initial states of the layers of the stack."""
        return [
            cell_of(layer).initial_state(project(code), layer.units)
            for project, layer in self.stack
        ]

    def step(
        self, given: Tensor, last: Tensor, states: list[Any], beside: Tensor
    ) -> tuple[Any, list[Any]]:
        """Write one step (batch, 1, outputs), and return it with the next states."""
        # ``given`` (batch, 1, features) are the code and the position, ``last`` (batch, 1, columns)
        # the values of the previous step, NaN before the first one, and ``beside`` (batch, 1,
        # outputs) the output of the linear path, or None.
        previous: Any = self.previous
        hidden = ops.concatenate([given, previous.encode(last)], axis=-1)
        next_states = []
        for (_, layer), state in zip(self.stack, states, strict=True):
            _, hidden, state = layer.inner_loop(hidden, list(state), None)
            next_states.append(list(state))
        return (self.head(hidden) if beside is None else self.head(hidden, beside)), next_states


__all__ = [
    "DECODERS",
    "AutoregressiveDecoder",
    "Decoder",
    "DecoderSettings",
    "ParallelDecoder",
    "find_decoder",
]

DECODERS: dict[str, type[Decoder]] = {
    "parallel": ParallelDecoder,
    "autoregressive": AutoregressiveDecoder,
}
"""Decoder classes by the value of ``decoder``."""


def find_decoder(name: object) -> type[Decoder]:
    """Return the decoder class with a name; a ParameterError if there is none."""
    if not isinstance(name, str) or name not in DECODERS:
        raise ParameterError(f"decoder must be {' or '.join(map(repr, DECODERS))}. Got {name!r}.")
    return DECODERS[name]


def forecaster(
    column_types: Sequence[str],
    *,
    latent_dim: int,
    num_steps: int,
    recent_dim: int = 0,
    num_categories: Sequence[int] | None = None,
    units: int = 96,
    depth: int = 1,
    cell: str = "lstm",
    dropout: float = 0.0,
) -> keras.Model:
    """Build the decoder of the steps after a sequence, (batch, num_steps, outputs)."""
    # It is the future predictor of N. Srivastava, E. Mansimov and R. Salakhutdinov, "Unsupervised
    # Learning of Video Representations using LSTMs", ICML 2015, and also reads the last values
    # (`refold.inference.recent_values`).
    linear_steps = None
    if recent_dim or number_mask(column_types).any():
        width = sum(n or 1 for n in num_categories or [0] * len(column_types))
        linear_steps = min(num_steps, most_linear_steps(width, latent_dim + recent_dim))
    settings = DecoderSettings(
        column_types,
        num_categories,
        num_steps,
        units,
        depth,
        dropout,
        cell,
        linear_steps=linear_steps,
        scale_by_step=recent_dim > 0,
        suffix="_ahead",
    )
    code: Any = keras.Input((latent_dim,), name="code")
    inputs, read = [code], code
    if recent_dim:
        inputs.append(keras.Input((recent_dim,), name="recent"))
        read = keras.ops.concatenate(inputs, axis=-1)
    return keras.Model(inputs, ParallelDecoder(settings)(read), name="forecaster")
