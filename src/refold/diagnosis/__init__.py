"""Find likely causes of a model that does not learn, in the data and in a short fit."""

from refold.diagnosis._data_findings import Finding as Finding
from refold.diagnosis._data_findings import data_findings as data_findings
from refold.diagnosis._diagnose import Diagnosis as Diagnosis
from refold.diagnosis._diagnose import diagnose as diagnose
from refold.diagnosis._latent_dimensions import DEVIATIONS as DEVIATIONS
from refold.diagnosis._latent_dimensions import LatentDimensions as LatentDimensions
from refold.diagnosis._latent_dimensions import decode_sweep as decode_sweep
from refold.diagnosis._latent_dimensions import measure_latent_effects as measure_latent_effects
