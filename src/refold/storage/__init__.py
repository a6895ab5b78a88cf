"""Model files and checkpoints. A loaded model gives the same codes to the bit."""

from refold.storage._checkpoint_file import load_checkpoint as load_checkpoint
from refold.storage._checkpoint_file import save_checkpoint as save_checkpoint
from refold.storage._fitted import Calibration as Calibration
from refold.storage._fitted import Fitted as Fitted
from refold.storage._fitted import ReferenceStatistics as ReferenceStatistics
from refold.storage._fitted import Residuals as Residuals
from refold.storage._model_file import dumps as dumps
from refold.storage._model_file import fingerprint as fingerprint
from refold.storage._model_file import load as load
from refold.storage._model_file import loads as loads
from refold.storage._model_file import plain as plain
from refold.storage._model_file import save as save
