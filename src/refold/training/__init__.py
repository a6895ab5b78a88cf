"""Training: compiled epochs, the validation split, schedules, early stopping, refit, snapshots."""

from refold.training._backend import require_jax as require_jax
from refold.training._checkpoint import Checkpoint as Checkpoint
from refold.training._checkpoint_file import load_checkpoint as load_checkpoint
from refold.training._checkpoint_file import save_checkpoint as save_checkpoint
from refold.training._data_sources import open_training as open_training
from refold.training._fit import fit as fit
from refold.training._forecast_decoder import cut as cut
from refold.training._parameters import check_arguments as check_arguments
from refold.training._processes import Processes as Processes
from refold.training._progress import doing as doing
from refold.training._settings import Settings as Settings
from refold.training._settings import pick_batch_size as pick_batch_size
from refold.training._settings import pick_patch as pick_patch
from refold.training._settings import pick_refit as pick_refit
from refold.training._size_trials import Trials as Trials
from refold.training._training import FitResult as FitResult
from refold.training._training import Training as Training
from refold.training.data._choose_time_warp import choose_time_warp as choose_time_warp
from refold.training.data._corruption import Corruption as Corruption
from refold.training.data._division import Divided as Divided
from refold.training.data._division import Division as Division
from refold.training.data._loaders import Loader as Loader
from refold.training.data._loaders import Shard as Shard
from refold.training.data._loaders import SplitData as SplitData
from refold.training.data._loaders import WarpingLoader as WarpingLoader
from refold.training.data._loaders import shard_of as shard_of
from refold.training.data._padded_batches import num_observed as num_observed
from refold.training.data._padded_batches import to_device as to_device
from refold.training.data._validation_split import validation_split as validation_split
from refold.training.initialization._linear_weights import has_linear_path as has_linear_path
from refold.training.initialization._linear_weights import sample_size as sample_size
from refold.training.initialization._linear_weights import (
    set_linear_initialization as set_linear_initialization,
)
from refold.training.initialization._rocket_features import (
    set_rocket_initialization as set_rocket_initialization,
)
from refold.training.loop._early_stopping import out_of_patience as out_of_patience
from refold.training.loop._early_stopping import pick_patience as pick_patience
from refold.training.loop._schedule import pick_max_epochs as pick_max_epochs
from refold.training.loop._snapshot import Checkpoints as Checkpoints
