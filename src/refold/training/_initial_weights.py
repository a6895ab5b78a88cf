"""Initial weights of a network from training sequences, once for each phase of a fit."""

import numpy as np

from refold.arguments import Corruption
from refold.network.keras.build import Network
from refold.training._held_out_error import holding, weights_of
from refold.training._progress import doing
from refold.training._split import Split
from refold.training.initialization._linear_weights import (
    has_linear_path,
    sample_size,
    set_linear_initialization,
)
from refold.training.initialization._rocket_features import set_rocket_initialization


class InitialWeights:
    """Set the initial weights of each phase, and remember those that are worth keeping."""

    def __init__(
        self,
        network: Network,
        split: Split,
        corruption: Corruption,
        *,
        resumed: bool,  # whether an earlier process may have set the initial weights of a phase
    ) -> None:
        self._network, self._split, self.corruption = network, split, corruption
        self._untrained = weights_of(network) if resumed else None
        self._known: dict[str, list[np.ndarray] | None] = {}

    def set(self, phase: str) -> bool:
        """Initialize the network for a phase; return whether its weights are worth keeping."""
        good = self._split.further is not None or self._initialize(phase)
        self._known[phase] = weights_of(self._network) if good else None
        return good

    def of(self, phase: str) -> list[np.ndarray] | None:
        """Return the initial weights of a phase; None if they are not worth keeping."""
        if phase not in self._known:  # it was set before a checkpoint that this fit resumes
            with holding(self._network, self._untrained):
                self.set(phase)
        return self._known[phase]

    def _initialize(self, phase: str) -> bool:
        network, split = self._network, self._split
        specification = network.specification
        if not has_linear_path(network) and not specification.rocket_dim:
            return False
        doing("scaling")
        scaled = split.scaler(phase).transform(split.sample(phase, sample_size(network)))
        if specification.rocket_dim:
            set_rocket_initialization(network, scaled)
        if not has_linear_path(network):
            return False
        return set_linear_initialization(
            network, scaled, seed=split.seed, corruption=self.corruption
        )
