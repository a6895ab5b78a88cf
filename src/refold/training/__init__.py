"""Training: compiled epochs, the validation split, schedules, early stopping, progress."""

from refold.training._backend import require_jax as require_jax
from refold.training._batches import Padded as Padded
from refold.training._batches import num_batches as num_batches
from refold.training._batches import pick_batch_size as pick_batch_size
from refold.training._loop import Settings as Settings
from refold.training._loop import train as train
from refold.training._schedule import pick_max_epochs as pick_max_epochs
from refold.training._split import validation_split as validation_split
