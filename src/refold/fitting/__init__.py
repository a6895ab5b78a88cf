"""Training of a network from sequences and the arguments of the estimator."""

from refold.fitting._checkpoint import Checkpoint as Checkpoint
from refold.fitting._data_sources import open_training as open_training
from refold.fitting._defaults_from_data import check_latent_steps as check_latent_steps
from refold.fitting._fit import fit as fit
from refold.fitting._parameters import check_parameters as check_parameters
from refold.fitting._size_trials import Trials as Trials
