"""Refold encodes any sequence as a fixed-size vector, and decodes the vector to a sequence.

Submodules load on first use, so ``import refold`` is fast. Keras runs on JAX unless
``KERAS_BACKEND`` is set or Keras is already imported. ``import refold.models`` registers Refold's
layers, so that ``keras.models.load_model`` reads ``.keras`` files with them.

Examples
--------
>>> import refold
>>> sequences = refold.datasets.moving_ones(20, seed=0)
>>> len(sequences)
20
"""

import importlib
import os
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from refold import cluster as cluster
    from refold import datasets as datasets
    from refold import diagnosis as diagnosis
    from refold import evaluation as evaluation
    from refold import export as export
    from refold import kernels as kernels
    from refold import layers as layers
    from refold import models as models
    from refold import plots as plots
    from refold import search as search
    from refold import sequences as sequences
    from refold._error_curve import ErrorCurve as ErrorCurve
    from refold._error_curve import error_curve as error_curve
    from refold.errors import RefoldError as RefoldError
    from refold.estimator import SequenceAutoencoder as SequenceAutoencoder
    from refold.model import Model as Model
    from refold.model import load as load
    from refold.sequences import Sequences as Sequences
    from refold.training import Checkpoint as Checkpoint

__version__ = "0.1.0"

_SUBPACKAGES = (
    *("cluster", "datasets", "diagnosis", "evaluation", "export", "kernels", "layers", "models"),
    *("plots", "search", "sequences"),
)
_NAMES = {
    "Checkpoint": "refold.training",
    "ErrorCurve": "refold._error_curve",
    "RefoldError": "refold.errors",
    "SequenceAutoencoder": "refold.estimator",
    "Sequences": "refold.sequences",
    "error_curve": "refold._error_curve",
    "Model": "refold.model",
    "load": "refold.model",
}

__all__ = ["__version__", *_NAMES, *_SUBPACKAGES]  # pyright: ignore[reportUnsupportedDunderAll]


if "keras" not in sys.modules:
    os.environ.setdefault("KERAS_BACKEND", "jax")


def __getattr__(name: str) -> Any:
    if name in _SUBPACKAGES:
        return importlib.import_module(f"refold.{name}")
    if name in _NAMES:
        return getattr(importlib.import_module(_NAMES[name]), name)
    raise AttributeError(f"module 'refold' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
