"""``latent_dim`` as a share: the smallest code that explains it on held-out sequences."""

import shutil

import numpy as np
import pytest
from sklearn.base import clone

from refold import SequenceAutoencoder, Sequences
from refold.arguments import Arguments
from refold.errors import ParameterError
from refold.sequences import uncut_windows, write
from refold.training import fit
from refold.training._choose_latent_dim import TrialFitter, find_latent_dim
from refold.training.loop._checkpoint import load_checkpoint
from small_data import read_as_mapped

TINY = {"units": 4, "max_epochs": 1, "latent_steps": 0, "refit": False, "random_state": 0}


def waves(rank=3, n=100, steps=12, noise=0.0, seed=0):
    """Return sequences of a known number of dimensions with equal shares of the variance."""
    rng = np.random.default_rng(seed)
    basis = np.linalg.qr(rng.normal(size=(steps, steps)))[0][:rank]
    values = rng.normal(size=(n, rank)) @ basis + noise * rng.normal(size=(n, steps))
    return Sequences.from_list(list(values))


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return tmp_path_factory.mktemp("sizes") / "checkpoint"


@pytest.fixture
def by_pca(monkeypatch):
    """Choose sizes by the errors of PCA, for speed; return the time budgets of the trials."""
    budgets = []

    def trial(self, size, time_budget=None):
        budgets.append(time_budget)
        return self.evaluator.pca_errors(size)

    monkeypatch.setattr(TrialFitter, "measure_fit_error", trial)
    return budgets


@pytest.fixture(scope="module")
def fitted(checkpoint):
    with pytest.MonkeyPatch.context() as patch:
        name = "measure_fit_error"
        patch.setattr(TrialFitter, name, lambda self, size, _: self.evaluator.pca_errors(size))
        return SequenceAutoencoder(0.95, **TINY).fit(waves(), checkpoint=checkpoint)


def test_the_size_is_the_number_of_dimensions_of_the_data(fitted):
    assert fitted.latent_dim_ == 3
    assert fitted.transform(waves()).shape == (100, 3)
    assert {fitted.latent_dim, fitted.get_params()["latent_dim"], clone(fitted).latent_dim} == {
        0.95
    }
    whole = SequenceAutoencoder(3, **TINY).fit(waves())
    np.testing.assert_array_equal(fitted.transform(waves()), whole.transform(waves()))


@pytest.mark.usefixtures("by_pca")
def test_too_large_a_share_gives_the_largest_size_and_reports_its_share():
    sequences = waves(rank=12, n=30, steps=30, noise=1.0)
    arguments = Arguments.of(SequenceAutoencoder(0.99, **TINY))
    message = "No code explains 0.99 of the held-out variance. A code of 28 dimensions, the largest"
    with pytest.warns(UserWarning, match=message):
        assert find_latent_dim(uncut_windows(sequences), arguments, fit, seed=7) == 28


def test_categorical_data_counts_right_steps(capsys):
    words = Sequences.from_list(["aaaa", "bbbb"] * 20)
    ae = SequenceAutoencoder(0.6, **TINY | {"units": 8, "max_epochs": 20}, verbose=1).fit(words)
    assert ae.latent_dim_ == 1
    assert "A code of 1 dimension explains 1.000 of the held-out tokens." in capsys.readouterr().err


def test_a_share_needs_held_out_sequences():
    ae = SequenceAutoencoder(0.95, validation_fraction=0, **TINY)
    with pytest.raises(ParameterError, match="=0 holds nothing out"):
        ae.fit(waves())


@pytest.mark.usefixtures("by_pca")
def test_the_size_for_files_is_chosen_on_a_sample(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("refold.training._choose_latent_dim._MAX_TRIAL_VALUES", 60 * 12)
    write(waves(n=180), tmp_path / "waves.parquet")
    arguments = Arguments.of(SequenceAutoencoder(0.95, **TINY, verbose=1))
    source = read_as_mapped(tmp_path / "waves.parquet", block_bytes=2000)
    assert find_latent_dim(uncut_windows(source), arguments, fit, seed=0) == 3
    assert "Choosing the size on 100 of 180 sequences." in capsys.readouterr().err


def test_a_resumed_training_keeps_the_chosen_size(tmp_path, checkpoint, fitted, monkeypatch):
    path = shutil.copy(checkpoint, tmp_path)
    identity = load_checkpoint(path)[0]
    assert identity["choice"]["latent_dim"] == 3

    def search(*_, **__):
        pytest.fail("the size was looked for again")

    monkeypatch.setattr("refold.training._choose_latent_dim.find_latent_dim", search)
    again = SequenceAutoencoder(0.95, **TINY).fit(waves(), checkpoint=path, resume=True)
    np.testing.assert_array_equal(again.transform(waves()), fitted.transform(waves()))
    with pytest.raises(ParameterError, match=r"latent_dim was 0.95 and is 0.9"):
        SequenceAutoencoder(0.9, **TINY).fit(waves(), checkpoint=path, resume=True)


def test_choosing_the_size_leaves_time_for_the_fit(by_pca):
    arguments = Arguments.of(SequenceAutoencoder(0.95, **TINY, time_budget=20))
    assert find_latent_dim(uncut_windows(waves()), arguments, fit, seed=0) == 3
    assert set(by_pca) == {2}
