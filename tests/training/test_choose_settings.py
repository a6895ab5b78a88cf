"""The settings that are chosen on held-out sequences at the end of a fit."""

from types import SimpleNamespace

import numpy as np
import pytest

from refold import Checkpoint, SequenceAutoencoder, Sequences, load
from refold.evaluation import Fidelity
from refold.training import _held_out_error
from refold.training._held_out_error import Choice, choose_settings, rocket_features_cost_nothing
from small_data import TINY


class Variable:
    value = np.array(0)

    def assign(self, value):
        self.value = value


def choose(monkeypatch, errors, pca=0.5, may_change=True, initialization=True):
    """Choose settings for given errors, by weights (0: trained, 1: initial) and latent steps."""
    network = SimpleNamespace(variables=[Variable()], specification=SimpleNamespace(latent_dim=4))
    monkeypatch.setattr(
        _held_out_error, "inference_with", lambda network: int(network.variables[0].value)
    )
    measured = SimpleNamespace(
        of_network=lambda which, _, latent_steps: Fidelity(errors[which, latent_steps], None, 0.0),
        of_pca=lambda size: Fidelity(pca, None, 0.0),
    )
    choice = choose_settings(
        measured,
        network,
        None,
        trained=None,
        initialization=lambda: [np.array(1)] if initialization else None,
        choice=Choice(8, 10),
        may_change=may_change,
    )
    assert int(network.variables[0].value) == 0
    return choice


@pytest.mark.parametrize(
    ("errors", "steps", "initial"),
    [
        ({(0, 8): 0.3, (0, 0): 0.4}, 8, False),  # latent optimization helps
        ({(0, 8): 0.3995, (0, 0): 0.4}, 0, False),  # the improvement is too small
        ({(0, 8): 0.45, (0, 0): 0.4}, 0, False),
        ({(0, 8): 0.7, (0, 0): 0.8, (1, 8): 0.4, (1, 0): 0.6}, 8, True),
        ({(0, 8): 0.7, (0, 0): 0.8, (1, 8): 0.6, (1, 0): 0.55}, 0, True),
        ({(0, 8): 0.7, (0, 0): 0.8, (1, 8): 0.7, (1, 0): 0.9}, 8, False),
        ({(0, 8): 0.7, (0, 0): 0.8, (1, 8): np.nan, (1, 0): np.nan}, 8, False),
    ],
)
def test_the_settings_with_the_smallest_error_are_chosen(monkeypatch, errors, steps, initial):
    choice = choose(monkeypatch, errors)
    assert (choice.latent_steps, choice.default_latent_steps) == (steps, steps)
    assert choice.initial == initial
    assert (choice.message is not None) == initial


def test_fixed_settings_are_kept(monkeypatch):
    errors = {(0, 8): 0.7, (0, 0): 0.6, (1, 8): 0.9, (1, 0): 0.1}
    assert choose(monkeypatch, errors, may_change=False) == Choice(8, 10)
    assert choose(monkeypatch, errors, initialization=False) == Choice(0, 0)


@pytest.mark.parametrize(
    ("whole", "part", "expected"),
    [(0.1, 0.2, False), (0.1, 0.1, True), (0.6, 0.9, False)],
)
def test_rocket_features_are_used_if_fewer_principal_components_cost_nothing(whole, part, expected):
    errors = {32: Fidelity(whole, None, 0.0), 24: Fidelity(part, None, 0.0)}
    for sequences in ([1], []):
        measured = SimpleNamespace(sequences=sequences, of_pca=errors.get)
        assert rocket_features_cost_nothing(measured, 32, 8) == (expected and sequences == [1])


def test_a_kept_initialization_is_that_of_the_model_also_after_resuming(monkeypatch, tmp_path):
    given = Sequences.from_list([np.sin(np.arange(6 + i % 3) + i)[:, None] for i in range(40)])
    settings = TINY | {"max_epochs": 2, "latent_steps": "auto"}

    def choose(*_, initialization, **options):
        assert initialization() is not None
        assert options["choice"].latent_steps > 0
        return Choice(3, 3, initial=True, message="PCA was better.")

    checkpoint = Checkpoint(tmp_path / "checkpoint", seconds=0.0)
    for refit in (True, False):
        with monkeypatch.context() as patch:
            patch.setattr(_held_out_error, "choose_settings", choose)
            own = settings | {"refit": refit}
            first, again = (
                SequenceAutoencoder(**own).fit(given, checkpoint=checkpoint, resume=resume)
                for resume in (False, True)
            )
        trained = SequenceAutoencoder(**own).fit(given).transform(given)
        assert (first.best_epoch_, first.latent_steps_) == (0, 3)
        first.save(tmp_path / "model.refold")
        for model in (first.model_, again.model_, load(tmp_path / "model.refold")):
            assert (model.history.best_epoch, model.latent_steps) == (0, 3)
            np.testing.assert_array_equal(model.encode(given), first.transform(given))
            assert np.abs(model.encode(given) - trained).max() > 1e-3
