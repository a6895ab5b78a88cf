"""Base class and settings of decoders."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple

import keras

from refold.layers import (
    ColumnHead,
    LinearDecoding,
    RealSteps,
    RepeatCode,
    TeacherForcing,
    num_patches,
)


class Settings(NamedTuple):
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

    def __init__(self, settings: Settings) -> None:
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
    def make_hidden(self, settings: Settings) -> None:
        """Create the layers that ``hidden_steps`` calls."""

    # ``steps`` are the code, the position, and the previous step if the decoder reads it. ``real``
    # (batch, patches) is False at padded steps, whose outputs are not used.
    @abstractmethod
    def hidden_steps(self, code: Any, steps: Any, real: Any = None) -> Any:
        """Return hidden vectors (batch, patches, any) of steps (batch, patches, features)."""

    def __call__(self, code: Any, template: Any = None) -> Any:
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
