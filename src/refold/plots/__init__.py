"""Figures of training, codes, errors, reconstructions and forecasts, on matplotlib axes.

Every function draws on the given axes, or on new ones, and returns them. None uses pyplot, so
nothing is shown and no global state changes. Needs the extra ``plots``.
"""

# ruff: noqa: E402
from refold._support.optional_imports import import_optional as _optional

_optional("matplotlib", extra="plots", purpose="refold.plots")  # before the modules that need it

from refold.plots._figures import anomalous_steps as anomalous_steps
from refold.plots._figures import code_map as code_map
from refold.plots._figures import error_by_feature as error_by_feature
from refold.plots._figures import error_by_position as error_by_position
from refold.plots._figures import error_by_size as error_by_size
from refold.plots._figures import forecast as forecast
from refold.plots._figures import latent_dimensions as latent_dimensions
from refold.plots._figures import loss_curves as loss_curves
from refold.plots._figures import project_codes_to_plane as project_codes_to_plane
from refold.plots._figures import reconstructions as reconstructions
from refold.plots._figures import sweep as sweep
from refold.plots.charts import PALETTE as PALETTE
from refold.plots.charts import RAMP as RAMP
