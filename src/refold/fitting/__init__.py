"""Training of a network from sequences and the arguments of the estimator."""

from typing import TYPE_CHECKING

from refold._support.optional_imports import lazy_names as _lazy_names
from refold.fitting._latent_steps import check_latent_steps as check_latent_steps

if TYPE_CHECKING:
    from refold.fitting._checkpoint import Checkpoint as Checkpoint
    from refold.fitting._data_sources import open_training as open_training
    from refold.fitting._fit import fit as fit
    from refold.fitting._parameters import check_parameters as check_parameters
    from refold.fitting._size_trials import Trials as Trials
    from refold.fitting._warm_start import align_further as align_further
    from refold.fitting._warm_start import check_same_model as check_same_model

# need Keras, JAX and scikit-learn
__getattr__, __dir__ = _lazy_names(
    __name__,
    {
        "_checkpoint": ("Checkpoint",),
        "_data_sources": ("open_training",),
        "_fit": ("fit",),
        "_parameters": ("check_parameters",),
        "_size_trials": ("Trials",),
        "_warm_start": ("align_further", "check_same_model"),
    },
    purpose="Training",
)
