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
    """Settings of a decoder, mostly arguments of `refold.models.default`.

    ``linear_steps`` is the number of steps that the linear path has weights for, or None without
    a linear path.  With ``scale_by_step``, what is added to the linear path has its own scale at
    each step.  ``suffix`` is appended to the names of the layers.
    """

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
    linear_steps: int | None = None
    scale_by_step: bool = False
    suffix: str = ""


class Decoder(ABC):
    """Layers that write sequences from codes.

    The code is repeated at every step, with features of the position.  ``hidden_steps``, which a
    subclass defines, turns that into one hidden vector for each step or patch.  The column head
    computes the outputs from these vectors, and adds the linear path if there is one.

    Attributes
    ----------
    reads_previous : bool
        Whether the decoder reads the previous step.  It is then a model of codes and sequences,
        and has ``previous``.
    takes_patches : bool
        Whether ``patch`` may be more than 1.
    repeat : RepeatCode
    head : ColumnHead
    linear : LinearDecoding or None
    previous : TeacherForcing or None
    """

    reads_previous: ClassVar[bool] = False
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

    @abstractmethod
    def hidden_steps(self, code: Any, steps: Any, real: Any = None) -> Any:
        """Return the hidden vectors that the head reads.

        Parameters
        ----------
        code : tensor of shape (batch, latent_dim)
        steps : tensor of shape (batch, patches, features)
            The code, the position, and the previous step if the decoder reads it.
        real : tensor of bool of shape (batch, patches), optional
            False at padded steps, whose outputs are not used.

        Returns
        -------
        tensor of shape (batch, patches, any)
        """

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
        """Return the Keras models ``decoder`` and ``unroll`` of `refold.models.Models`.

        If the decoder reads previous steps, both are the same model of a code and a sequence.
        """
        code = keras.Input((latent_dim,), name="code")
        alone = None if self.reads_previous else keras.Model(code, self(code), name="decoder")
        template = keras.Input((None, None), name="template")
        unroll = keras.Model([code, template], self(code, template), name="decoder")
        return (unroll if alone is None else alone), unroll
