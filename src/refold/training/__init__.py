"""Training: from data and arguments to a fitted model."""

from refold.training._choose_latent_dim import Trials as Trials
from refold.training._fit import Fit as Fit
from refold.training._fit import check_arguments as check_arguments
from refold.training._fit import fit as fit
from refold.training._processes import Processes as Processes
from refold.training._shards import DividedData as DividedData
from refold.training._split import open_training_data as open_training_data
from refold.training.loop._checkpoint import Checkpoint as Checkpoint
from refold.training.loop._training import FitResult as FitResult
