"""New sequences, decoded from random or interpolated codes."""

from typing import TYPE_CHECKING

from refold._support.optional_imports import lazy_names as _lazy_names
from refold.generation._generation_methods import GenerationMixin as GenerationMixin

if TYPE_CHECKING:
    from refold.generation._code_density import Density as Density
    from refold.generation._code_density import fit_density as fit_density

__all__ = ["Density", "GenerationMixin", "fit_density"]

# need scikit-learn
__getattr__, __dir__ = _lazy_names(__name__, {"_code_density": ("Density", "fit_density")})
