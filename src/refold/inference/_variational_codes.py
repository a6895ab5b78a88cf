"""A variational network after training: what of its code is in use, and can it be drawn from."""

import warnings

from refold._support.console import say
from refold.errors import ParameterError
from refold.inference._encode_decode import encode
from refold.models import Network
from refold.sequences import Scaler, Sequences

__all__ = ["MOST_SEQUENCES", "check_can_sample", "count_active", "report_active"]

# Sequences at most by which dimensions are counted.
MOST_SEQUENCES = 4096
# Variance of the means from which a dimension is active.
_ACTIVE = 0.01
# Share of the dimensions below which a user hears of it.
_FEW = 0.25


def count_active(scaled: Sequences, network: Network) -> int:
    """Count the dimensions that tell sequences apart: the variance of their means is above 0.01.

    Parameters
    ----------
    scaled : Sequences
        Some that the network was trained on.
    network : Network

    Returns
    -------
    int

    References
    ----------
    .. [1] Y. Burda, R. Grosse and R. Salakhutdinov, "Importance Weighted Autoencoders", ICLR 2016,
       section 5.2.
    """
    return int((encode(scaled, network).var(axis=0) > _ACTIVE).sum())


def report_active(active: int, latent_dim: int, *, verbose: int) -> None:
    """Say how many dimensions are active, and warn if these are few.

    Parameters
    ----------
    active, latent_dim : int
    verbose : int
        0 leaves it at the warning.

    Warns
    -----
    UserWarning
        If none is active, or fewer than a quarter.
    """
    if active == 0 or active < _FEW * latent_dim:
        first = "No number" if active == 0 else f"Only {active} of the {latent_dim} numbers"
        warnings.warn(
            f"{first} of the code tells sequences apart (posterior collapse). A smaller "
            "latent_dim loses nothing; more epochs, or variational=False, may find more.",
            UserWarning,
            stacklevel=4,
        )
    if verbose:
        say(f"{active} of {latent_dim} numbers of the code are active.")


def check_can_sample(network: Network, scaler: Scaler) -> None:
    """Refuse to draw sequences where the model knows no distribution of them.

    Raises
    ------
    ParameterError
        If the model does not know one.
    """
    if network.models.posterior is None:
        raise ParameterError(
            "sample needs a model that was fitted with variational=True, and this one was not."
        )
    if scaler.num_statistics:
        raise ParameterError(
            "sample knows no level and spread of a new sequence, which scale='sequence' keeps "
            "apart from the code. Fit with scale='features'."
        )
