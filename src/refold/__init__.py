"""Refold encodes any sequence as a fixed-size vector, and decodes the vector to a sequence.

Submodules load on first use, so ``import refold`` is fast. Keras runs on JAX unless
``KERAS_BACKEND`` is set or Keras is already imported. ``import refold.models`` registers Refold's
layers, so that ``keras.models.load_model`` reads ``.keras`` files with them.
"""

import importlib
import os
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from refold import (
        cluster,
        datasets,
        diagnosis,
        evaluation,
        export,
        kernels,
        layers,
        models,
        plots,
        search,
        sequences,
    )
    from refold.errors import RefoldError
    from refold.estimator import SequenceAutoencoder, SequenceFeatures, error_curve
    from refold.evaluation import ErrorCurve
    from refold.model import Model, load
    from refold.sequences import Sequences
    from refold.training import Checkpoint

__version__ = "0.1.0"

# For each public name that is not a submodule, the module that defines or exports it.
_MODULE_OF_NAME = {
    "Checkpoint": "refold.training",
    "ErrorCurve": "refold.evaluation",
    "RefoldError": "refold.errors",
    "SequenceAutoencoder": "refold.estimator",
    "SequenceFeatures": "refold.estimator",
    "Sequences": "refold.sequences",
    "error_curve": "refold.estimator",
    "Model": "refold.model",
    "load": "refold.model",
}

__all__ = [
    "Checkpoint",
    "ErrorCurve",
    "Model",
    "RefoldError",
    "SequenceAutoencoder",
    "SequenceFeatures",
    "Sequences",
    "__version__",
    "cluster",
    "datasets",
    "diagnosis",
    "error_curve",
    "evaluation",
    "export",
    "kernels",
    "layers",
    "load",
    "models",
    "plots",
    "search",
    "sequences",
]


# Layers and models run on any backend of Keras, but training needs JAX. The file `keras.json` may
# name another backend. The file is ignored, because Keras writes it without asking the user.
if "keras" not in sys.modules:
    os.environ.setdefault("KERAS_BACKEND", "jax")


# Public names load when they are first used (PEP 562), so `import refold` and `refold --help` load
# neither Keras nor JAX. A subpackage that also works without Keras and JAX imports them inside of
# the functions that need them.
def __getattr__(name: str) -> Any:
    if name in _MODULE_OF_NAME:
        return getattr(importlib.import_module(_MODULE_OF_NAME[name]), name)
    if name in __all__:
        return importlib.import_module(f"refold.{name}")
    raise AttributeError(f"module 'refold' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
