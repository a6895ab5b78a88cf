"""Figures of training, codes, reconstructions and models, on matplotlib axes.

Every function draws on the axes that it is given, or on new ones, and returns them. pyplot is
never touched, so nothing is shown, kept open or changed behind the caller's back. Needs the
extra ``plots``.
"""

from refold.plots._architecture import architecture as architecture
from refold.plots._codes import code_map as code_map
from refold.plots._losses import loss_curves as loss_curves
from refold.plots._reconstructions import reconstruction as reconstruction
from refold.plots._reconstructions import reconstructions as reconstructions

__all__ = ["architecture", "code_map", "loss_curves", "reconstruction", "reconstructions"]
