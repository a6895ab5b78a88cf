"""Encode, detect and train on a Ray cluster, for data larger than one machine.

This package needs the extra ``ray``.
"""

from refold.cluster._run import FailedSequence as FailedSequence
from refold.cluster._run import RunSummary as RunSummary
from refold.cluster._run import detect as detect
from refold.cluster._run import encode as encode
from refold.cluster._run import reconstruct as reconstruct
from refold.cluster._training import fit as fit
from refold.cluster._training import fit_together as fit_together
