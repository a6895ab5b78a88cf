"""Latent dimensions that hold ROCKET features."""

import copy
import re
from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from refold import SequenceAutoencoder
from refold.arguments import Arguments
from refold.cli import main
from refold.errors import ParameterError
from refold.evaluation import PCABaseline
from refold.sequences import as_sequences, write
from refold.training._choose_latent_dim import rocket_dim_within
from refold.training._specify import specify
from refold.training._split import Source

TINY = {
    "latent_dim": 6,
    "units": 8,
    "max_epochs": 2,
    "validation_fraction": 0,
    "latent_steps": 0,
    "random_state": 0,
}


def waves(n=80, seed=0):
    """Draw slow and fast noisy waves with random phases."""
    rng = np.random.default_rng(seed)
    fast = np.arange(n) % 2
    time = np.arange(50) / 50
    phases = rng.uniform(0, 2 * np.pi, n)
    values = np.sin(2 * np.pi * (3 + fast)[:, None] * time + phases[:, None])
    return values[:, :, None] + 0.3 * rng.normal(size=(n, 50, 1)), fast


@pytest.fixture(scope="module")
def fitted():
    """Return a model with features in eight of 32 dimensions."""
    return SequenceAutoencoder(**TINY | {"latent_dim": 32}, rocket_dim=8).fit(waves(120)[0])


def test_features_are_standardized_and_nothing_changes_them(fitted):
    given = waves(120)[0]
    numbers = fitted.transform(given)[:, -8:]
    np.testing.assert_allclose(numbers.mean(axis=0), 0, atol=1e-3)
    np.testing.assert_allclose(numbers.std(axis=0), 1, atol=1e-3)
    np.testing.assert_allclose(np.corrcoef(numbers.T), np.eye(8), atol=1e-3)
    changes = {"latent_dim": 32, "max_epochs": 5, "rocket_dim": 8}
    longer = SequenceAutoencoder(**TINY | changes).fit(given)
    np.testing.assert_allclose(longer.transform(given)[:, -8:], numbers, atol=1e-4)
    # Nor does latent optimization. These are shorter than the training sequences, whose codes can
    # hardly be improved.
    given = as_sequences([wave[: 20 + i % 20] for i, wave in enumerate(waves(64, seed=1)[0])])
    plain = fitted.transform(given)
    codes = copy.deepcopy(fitted).set_params(latent_steps="auto").transform(given)
    np.testing.assert_allclose(codes[:, -8:], plain[:, -8:], atol=1e-4)
    assert np.abs(codes[:, :-8] - plain[:, :-8]).max() > 1e-3


def by_rule(X, latent_dim, found=None, **changes):
    """Return the largest number of features; ``found`` is a size chosen by a share."""
    arguments = Arguments.of(SequenceAutoencoder(latent_dim, **changes))
    if found is not None:
        rocket_dim = rocket_dim_within(arguments.rocket_dim, found)
        arguments = replace(arguments, latent_dim=found, rocket_dim=rocket_dim)
    source = Source(as_sequences(X))
    return specify(source, arguments, np.arange(len(source.sequences) - 1)).rocket_dim


def test_the_default_is_at_most_eight_from_32_dimensions():
    given = waves(12)[0]
    assert [by_rule(given, size) for size in (31, 32, 40, 200)] == [0, 8, 8, 8]
    # A code with room for every value has features only in the remaining dimensions.
    assert [by_rule(given[:, :steps], 32) for steps in (33, 32, 28, 10)] == [8, 0, 4, 8]
    assert by_rule(given[:6], 32) == 4
    assert by_rule(["ab", "ba", "abc"] * 4, 32) == 0
    assert by_rule(given, 32, denoise=0.3) == by_rule(given, 32, variational=True) == 0


def test_a_size_chosen_by_a_share_has_only_requested_features():
    given = waves(12)[0]
    assert by_rule(given, 0.5, found=40) == 0
    assert by_rule(given, 0.5, found=2, rocket_dim=1) == 1
    assert by_rule(given, 0.5, found=3, rocket_dim=8) == 2


@pytest.mark.usefixtures("no_epochs")
def test_features_of_gaps_categories_and_lengths():
    rng = np.random.default_rng(0)
    lengths = [1 + i % 7 for i in range(30)]
    series = [np.stack([rng.normal(size=n), rng.integers(3, size=n)], axis=1) for n in lengths]
    series[3][:, 0], series[5] = np.nan, np.zeros((0, 2))
    data = as_sequences(series, column_types=["numeric", "categorical"])
    ae = SequenceAutoencoder(**TINY, rocket_dim=2).fit(data)
    codes = ae.transform(data)
    assert np.isfinite(codes).all()
    alone = np.concatenate([ae.transform(data[i : i + 1]) for i in range(6)])
    np.testing.assert_allclose(alone[:, -2:], codes[:6, -2:], atol=1e-4)
    others = data.with_values(np.where([False, True], 2 - data.values, data.values))
    moved = ae.transform(others) - codes
    assert np.abs(moved[:, -2:]).max() > 0.1


def test_features_separate_classes_that_principal_components_do_not(fitted):
    (x, y), (new, wanted) = waves(120), waves(200, seed=1)
    given, others = as_sequences(x), as_sequences(new)
    pca = PCABaseline(32).fit(given)
    probe = make_pipeline(StandardScaler(), LogisticRegression())
    ours = probe.fit(fitted.transform(given), y).score(fitted.transform(others), wanted)
    theirs = probe.fit(pca.transform(given), y).score(pca.transform(others), wanted)
    assert ours > 0.9
    assert theirs < 0.75


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rocket_dim": 6}, "from 0 to 5, because a latent dimension must be left to learn"),
        ({"rocket_dim": 2, "variational": True}, "with variational=True all are learned"),
        ({"rocket_dim": 2, "architecture": "repeat"}, "rocket_dim=2 needs architecture="),
    ],
)
def test_incompatible_options(options, message):
    with pytest.raises(ParameterError, match=message):
        SequenceAutoencoder(**TINY, **options).fit(waves(8)[0])


@pytest.mark.usefixtures("no_epochs")
def test_the_command_line_has_the_option(tmp_path, capsys):
    write(as_sequences(waves(120)[0]), tmp_path / "waves.parquet")
    data, model = str(tmp_path / "waves.parquet"), str(tmp_path / "waves.refold")
    options = ["--latent-dim", "32", "--units", "8", "--max-epochs", "1", "-q"]
    options += ["--validation-fraction", "0", "--latent-steps", "0"]
    assert main(["fit", data, "-o", model, *options, "--rocket-dim", "8"]) == 0
    assert main(["info", model]) == 0
    assert re.search(r"^rocket dim +8 *$", capsys.readouterr().out, re.MULTILINE)
    assert main(["fit", data, "-o", model, *options, "--rocket-dim", "32"]) == 2
    assert "--rocket-dim must be from 0 to 31, because" in capsys.readouterr().err
