"""Active latent dimensions of a variational network, and a check before sampling."""

from refold._support.output import log, warn
from refold.errors import ParameterError
from refold.network.packed.network import FittedNetwork
from refold.sequences import Scaler, Sequences

# Maximum number of sequences for counting active dimensions.
MOST_SEQUENCES = 4096
# Variance of the means above which a dimension is active: Y. Burda, R. Grosse and R. Salakhutdinov,
# "Importance Weighted Autoencoders", ICLR 2016, section 5.2.
_ACTIVE = 0.01
# Fraction of active dimensions below which there is a warning.
_FEW = 0.25


def count_active(scaled: Sequences, network: FittedNetwork) -> int:
    """Count the active latent dimensions, whose means have a variance above 0.01."""
    return int((network.encode(scaled).var(axis=0) > _ACTIVE).sum())


def report_active(active: int, latent_dim: int, *, verbose: int) -> None:
    """Report how many latent dimensions are active, and warn if they are few."""
    count = f"{active} of {latent_dim} latent dimensions {'is' if active == 1 else 'are'} active"
    if active == 0 or active < _FEW * latent_dim:
        warn(
            f"Only {count} (posterior collapse). A smaller latent_dim would lose nothing. More "
            "epochs or variational=False may activate more."
        )
    if verbose:
        log(f"{count}.")


def check_can_sample(network: FittedNetwork, scaler: Scaler) -> None:
    """Refuse to sample sequences if the model has no distribution of them."""
    if not network.specification.variational:
        raise ParameterError(
            "sample needs a model that was fitted with variational=True, and this one was not."
        )
    if scaler.num_statistics:
        raise ParameterError(
            "sample has no mean and standard deviation for a new sequence, because "
            "scale='sequence' keeps them outside the code. Fit with scale='features'."
        )
