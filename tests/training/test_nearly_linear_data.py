"""Data that PCA reconstructs almost exactly."""

import numpy as np
import pytest

from outside_data import employment
from refold import SequenceAutoencoder, Sequences
from refold.evaluation import PCABaseline, nmse


@pytest.mark.parametrize("options", [{}, {"forecast_steps": 6, "max_epochs": 3}])
def test_a_fit_is_never_worse_than_pca(options):
    windows = employment(seed=1)
    order = np.random.default_rng(1).permutation(len(windows))
    new, training = (
        Sequences.from_list([windows[i] for i in part]) for part in np.split(order, [73])
    )
    settings = {"units": 32, "max_epochs": 30, "latent_steps": 0, "random_state": 1} | options
    ae = SequenceAutoencoder(latent_dim=4, **settings).fit(training)
    pca = PCABaseline(latent_dim=4).fit(training)
    for sequences in (training, new):
        decoded = Sequences.from_list(ae.inverse_transform(ae.transform(sequences)))
        error = nmse(sequences, decoded, ae.error_scaler_)
        assert error <= 1.01 * nmse(sequences, pca.reconstruct(sequences), ae.error_scaler_)
