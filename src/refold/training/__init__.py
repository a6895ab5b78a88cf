"""Training: from data and arguments to a fitted model."""

from refold.training._choose_latent_dim import TrialFitter as TrialFitter
from refold.training._fit import Fit as Fit
from refold.training._fit import check_arguments as check_arguments
from refold.training._fit import fit as fit
from refold.training._processes import Processes as Processes
from refold.training._shards import MultiprocessData as MultiprocessData
from refold.training._split import prepare_training_windows as prepare_training_windows
from refold.training.loop._checkpoint import Checkpoint as Checkpoint
from refold.training.loop._training import FitResult as FitResult
