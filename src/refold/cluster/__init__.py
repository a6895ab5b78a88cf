"""Data larger than one machine: work on a Ray cluster. Needs the extra ``ray``."""

from typing import TYPE_CHECKING

from refold._support.optional_imports import lazy_names as _lazy_names
from refold.cluster._summary import RunSummary as RunSummary
from refold.cluster._worker import Failure as Failure

if TYPE_CHECKING:
    from refold.cluster._encode import detect as detect
    from refold.cluster._encode import encode as encode
    from refold.cluster._encode import reconstruct as reconstruct
    from refold.cluster._together import fit_together as fit_together
    from refold.cluster._training import fit as fit

__getattr__, __dir__ = _lazy_names(
    __name__,
    {
        "_encode": ("detect", "encode", "reconstruct"),
        "_together": ("fit_together",),
        "_training": ("fit",),
    },
)
