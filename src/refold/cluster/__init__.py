"""Data larger than one machine: work on a Ray cluster. Needs the extra ``ray``."""

from refold.cluster._encode import detect as detect
from refold.cluster._encode import encode as encode
from refold.cluster._encode import reconstruct as reconstruct
from refold.cluster._summary import RunSummary as RunSummary
from refold.cluster._together import fit_together as fit_together
from refold.cluster._training import fit as fit
from refold.cluster._worker import Failure as Failure
