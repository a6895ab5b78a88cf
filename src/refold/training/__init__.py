"""Training: compiled epochs, the validation split, schedules, early stopping, refit, snapshots."""

from refold.training._backend import require_jax as require_jax
from refold.training._corruption import Corruption as Corruption
from refold.training._data import num_observed as num_observed
from refold.training._data import to_device as to_device
from refold.training._discriminative_start import (
    set_discriminative_start as set_discriminative_start,
)
from refold.training._fit import Outcome as Outcome
from refold.training._fit import train as train
from refold.training._forecast_start import set_forecast_start as set_forecast_start
from refold.training._future import cut_sequences as cut_sequences
from refold.training._future import next_steps as next_steps
from refold.training._pages import Page as Page
from refold.training._pages import Streamed as Streamed
from refold.training._pages import Whole as Whole
from refold.training._pages import members_of_pages as members_of_pages
from refold.training._pages import page_of as page_of
from refold.training._parts import Checkpoints as Checkpoints
from refold.training._parts import Part as Part
from refold.training._patience import out_of_patience as out_of_patience
from refold.training._patience import pick_patience as pick_patience
from refold.training._progress import doing as doing
from refold.training._schedule import pick_max_epochs as pick_max_epochs
from refold.training._settings import Settings as Settings
from refold.training._settings import pick_batch_size as pick_batch_size
from refold.training._settings import pick_patch as pick_patch
from refold.training._settings import pick_refit as pick_refit
from refold.training._snapshot import Snapshot as Snapshot
from refold.training._split import validation_split as validation_split
from refold.training._start import has_linear_path as has_linear_path
from refold.training._start import sample_size as sample_size
from refold.training._start import set_linear_start as set_linear_start
