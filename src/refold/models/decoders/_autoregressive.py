"""The autoregressive decoder: it writes each step from the code and the previous step."""

from typing import Any, Self

import keras
from keras import ops

from refold.layers import TeacherForcing
from refold.models._cells import cell_of
from refold.models.decoders._base import Settings
from refold.models.decoders._parallel import ParallelDecoder


class AutoregressiveDecoder(ParallelDecoder):
    """A parallel decoder whose input at each step includes the previous step."""

    reads_previous = True
    takes_patches = False

    def __init__(self, settings: Settings) -> None:
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

    def initial_states(self, code: Any) -> list[list[Any]]:
        """Return the initial states of the layers of the stack."""
        return [
            cell_of(layer).initial_state(project(code), layer.units)
            for project, layer in self.stack
        ]

    def step(self, given: Any, last: Any, states: list[Any], beside: Any) -> tuple[Any, list[Any]]:
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
