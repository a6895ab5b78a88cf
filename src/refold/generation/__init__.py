"""New sequences, decoded from random or interpolated codes."""

from refold.generation._code_density import Density as Density
from refold.generation._code_density import fit_density as fit_density
from refold.generation._generation_methods import GenerationMixin as GenerationMixin

__all__ = ["Density", "GenerationMixin", "fit_density"]
