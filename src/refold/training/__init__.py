"""Training: from data and arguments to a fitted model."""

from refold.training._check_arguments import check_arguments as check_arguments
from refold.training._checkpoint import Checkpoint as Checkpoint
from refold.training._data_sources import open_training as open_training
from refold.training._fit import Fit as Fit
from refold.training._fit import fit as fit
from refold.training._processes import Processes as Processes
from refold.training._size_trials import Trials as Trials
from refold.training._training import FitResult as FitResult
from refold.training.data._division import Divided as Divided
