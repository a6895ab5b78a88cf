"""What codes decode to: generated sequences, interpolation, and features for classifiers."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from model.conftest import WORDS
from refold import load
from refold.errors import DataError, ParameterError
from refold.evaluation import compare_generated, copied_share
from refold.model import fit_mixture
from refold.sequences import as_sequences
from small_data import draw_ragged_sequences, fit_without_training


@pytest.fixture(scope="module")
def sines():
    """Return sums of five sines with random amplitudes."""
    waves = np.sin(np.arange(1, 6)[:, None] * np.arange(24) / 8)
    return as_sequences(np.random.default_rng(0).normal(size=(300, 5)) @ waves)


@pytest.fixture(scope="module")
def ae(sines):
    return fit_without_training(sines[:200], latent_dim=6)


@pytest.mark.usefixtures("small_forest")
def test_generated_sequences_resemble_the_training_data(ae, sines):
    new = as_sequences(ae.generate(200, random_state=0), schema=ae.schema_)
    assert abs(new.lengths.mean() - sines.lengths.mean()) < 0.2 * sines.lengths.mean()
    assert new.values.std() == pytest.approx(sines.values.std(), rel=0.3)
    noise = new.with_values(np.random.default_rng(0).normal(size=new.values.shape))
    accuracies = [compare_generated(sines[200:], x).two_sample_test for x in (new, noise)]
    assert accuracies[0] < accuracies[1] - 0.1
    assert copied_share(new, sines) == 0


def test_the_seed_determines_the_sequences_and_the_density_is_fitted_once(ae, monkeypatch):
    """A service draws at each request."""
    first, second = (np.concatenate(ae.generate(3, random_state=seed)) for seed in (1, 2))
    monkeypatch.setattr("refold.model._model.fit_mixture", None)
    monkeypatch.setattr(np.linalg, "svd", None)
    assert np.array_equal(np.concatenate(ae.generate(3, random_state=1)), first)
    assert not np.array_equal(first, second)
    assert ae.generate(0) == []


def test_temperature_makes_words_more_varied(word_model):
    draws = [word_model.generate(60, temperature=t, random_state=0) for t in (0.0, 0.4, 1.0, 20.0)]
    cold, cool, warm, hot = draws
    assert cold != cool
    assert set("".join(hot)) <= set("onie")
    valid = [np.mean([word in WORDS for word in words]) for words in (cold, warm, hot)]
    assert valid[0] >= valid[1] > valid[2]
    assert word_model.generate(60, temperature=20.0, random_state=0) == hot


def test_the_density_has_one_component_for_each_cluster():
    rng = np.random.default_rng(0)
    for num_clusters in (1, 3):
        centers = 30 * rng.normal(size=(num_clusters, 4))
        codes = centers[np.arange(300) % num_clusters] + rng.normal(size=(300, 4))
        density = fit_mixture(codes)
        assert len(density.weights) == num_clusters
        drawn = density.draw(2000, seed=0)
        np.testing.assert_allclose(drawn.mean(axis=0), codes.mean(axis=0), atol=3)
        np.testing.assert_allclose(drawn.std(axis=0), codes.std(axis=0), rtol=0.15)
    assert np.isfinite(fit_mixture(codes[:1]).draw(10, seed=0)).all()


def test_values_are_clipped_to_the_ranges_of_training(ae, sines):
    lowest, highest = sines[:200].values.min(), sines[:200].values.max()
    unclipped = np.concatenate(ae.generate(3000, clip=False, random_state=0))
    assert unclipped.min() < lowest or unclipped.max() > highest
    clipped = np.concatenate(ae.generate(3000, random_state=0))
    assert np.array_equal(clipped, np.clip(unclipped, lowest, highest))
    tripled = [3 * x for x in sines[:20].to_list()]  # other methods clip only on request
    for decode in (partial(ae.decode, ae.encode(tripled)), partial(ae.reconstruct, tripled)):
        assert np.concatenate(decode()).max() > highest
        assert np.concatenate(decode(clip=True)).max() == highest


def test_bad_arguments(ae):
    for options, message in (
        ({"n": -1}, "^n must be an integer of at least 0"),
        ({"temperature": "hot"}, "^temperature must be a number of at least 0"),
        ({"n": 3, "lengths": [1, 2]}, "one entry per code"),
        ({"n": 2, "lengths": [1, -2]}, "integers of at least 0"),
    ):
        with pytest.raises((ParameterError, DataError), match=message):
            ae.generate(**options)


def test_features_are_standardized_and_do_not_depend_on_other_codes(tmp_path):
    rng, numbers = np.random.default_rng(1), [x[:, 0] for x in draw_ragged_sequences()]
    rows = [[*zip(x, rng.choice(["a", "b"], len(x)), strict=True)] for x in numbers]
    ae = fit_without_training(rows, scale="sequence")
    codes = ae.encode(rows)
    features = ae.features(codes)
    assert features.shape == (24, 2052)  # the last two are statistics of the scale
    assert features.dtype == np.float32
    np.testing.assert_array_equal(ae.features(codes[[7, 3]]), features[[7, 3]])
    of_training = ae.features(ae.model_.require_reference().codes).astype(float)
    np.testing.assert_allclose(of_training.mean(axis=0), 0, atol=1e-5)
    assert set(np.round(of_training.std(axis=0), 4)) <= {0.0, 1.0}
    assert of_training.std(axis=0).mean() > 0.9
    with pytest.raises(DataError, match=r"codes must have shape \(n_sequences, 5\)"):
        ae.features(codes[:, :3])
    replace(ae.model_, reference=None).save(tmp_path / "old.refold")
    with pytest.raises(ParameterError, match="needs codes of the training data"):
        load(tmp_path / "old.refold").features(codes)
