"""`SequenceAutoencoder` on patches, and the rule for their default size."""

import json
from dataclasses import replace

import numpy as np
import pytest

import refold
import small_data
from refold import SequenceAutoencoder
from refold.arguments import Arguments
from refold.cli import main
from refold.errors import ModelFileError, ParameterError
from refold.model import pack_container, read_container, write_container
from refold.models import Specification, build
from refold.sequences import Sequences
from refold.training._specify import pick_patch, specify
from refold.training._split import Source

TINY = {
    "latent_dim": 3,
    "units": 8,
    "max_epochs": 2,
    "refit": False,
    "latent_steps": 0,
    "random_state": 0,
    "patch": 4,
}


def sines(n=24, longest=30):
    return refold.datasets.noisy_sines(n, seed=0, min_steps=1, max_steps=longest)


@pytest.fixture(scope="module")
def fitted():
    return SequenceAutoencoder(**TINY).fit(sines())


def test_a_code_does_not_depend_on_other_sequences(fitted):
    given = sines()
    codes = fitted.transform(given)
    assert codes.shape == (24, 3)
    for i in (0, 7, 20):
        alone = fitted.transform([given.to_list()[i]])
        assert np.abs(alone - codes[i]).max() < 1e-4 * codes.std(axis=0).min()
    back = fitted.inverse_transform(codes, given.lengths)
    assert [len(y) for y in back] == given.lengths.tolist()


def test_lengths_beyond_those_in_training(fitted):
    codes = fitted.encode(sines(6))
    lengths = np.array([0, 1, 30, 31, 33, 70])
    with pytest.warns(UserWarning, match="lengths are longer than the longest in training"):
        longer = fitted.decode(codes, lengths)
    assert [len(y) for y in longer] == lengths.tolist()
    assert np.isfinite(np.concatenate(longer)).all()
    shorter = fitted.decode(codes, np.minimum(lengths, 5))
    for a, b in zip(longer, shorter, strict=True):
        assert np.allclose(a[: len(b)], b, atol=1e-5)


def test_patches_are_better_than_pca_on_pulses():
    rng = np.random.default_rng(0)
    starts = rng.integers(10, 70, size=80)
    steps = [np.where(np.abs(np.arange(80) - s) < 3, 2.5, 0.0)[:, None] for s in starts]
    settings = TINY | {"units": 24, "max_epochs": 200, "patch": 8, "latent_dim": 2}
    settings |= {"validation_fraction": 0}
    ae = SequenceAutoencoder(**settings).fit(steps)
    pca = refold.evaluation.PCABaseline(2).fit(Sequences.from_list(steps))
    error = np.mean((np.array(ae.reconstruct(steps)) - np.array(steps)) ** 2)
    beside = pca.reconstruct(Sequences.from_list(steps)).to_list()
    assert error < 0.6 * np.mean((np.array(beside) - np.array(steps)) ** 2)


def test_a_saved_model_gives_the_same_bits(fitted, tmp_path):
    fitted.save(tmp_path / "patches.refold")
    again = refold.SequenceAutoencoder.load(tmp_path / "patches.refold")
    assert again.patch_ == again.patch == 4
    assert np.array_equal(again.transform(sines()), fitted.transform(sines()))


def test_old_model_files_have_patches_of_one_step(tmp_path):
    path = tmp_path / "old.refold"
    small_data.untrained(small_data.ragged(), patch=1).save(path)
    config, arrays = read_container(path)
    del config["specification"]["patch"], config["parameters"]["patch"]
    write_container(path, pack_container(config, arrays))
    assert refold.SequenceAutoencoder.load(path).patch_ == 1
    for wrong in (10**6, 0, "four", 2.0):
        config["specification"]["patch"] = wrong
        write_container(path, pack_container(config, arrays))
        with pytest.raises(ModelFileError, match="patch is"):
            refold.SequenceAutoencoder.load(path)


def test_with_gaps_and_every_other_option():
    options = {"depth": 2, "denoise": "0.2,steps:0.2", "scale": "sequence", "latent_steps": 3}
    options |= {"validation_fraction": 0}
    given = [np.array(values) for values in sines().to_list()]
    for values in given[::2]:
        values[1:6:2] = np.nan
    ae = SequenceAutoencoder(**TINY | options).fit(given)
    codes = ae.transform(given)
    assert np.isfinite(codes).all()
    assert np.isfinite(np.concatenate(ae.inverse_transform(codes))).all()


def test_words_are_decoded_in_parallel_with_patches():
    words = ["abcabc", "cab", "bb", "accb"] * 5
    ae = SequenceAutoencoder(**TINY, validation_fraction=0).fit(words)
    assert ae.model_.network.specification.decoder == "parallel"
    lengths = [len(word) for word in words]
    back = ae.inverse_transform(ae.transform(words), lengths)
    assert [len(word) for word in back] == lengths


def test_the_default_depends_on_the_sequence_of_an_average_step():
    def by_rule(given, **options):
        arguments = Arguments.of(SequenceAutoencoder(**TINY | {"patch": "auto"} | options))
        return specify(Source(given), arguments, np.arange(len(given))).patch

    long = sines(6, longest=250)
    picked = pick_patch(np.repeat(long.lengths, long.lengths).mean())
    assert by_rule(long) == picked > 1
    few_long = [np.ones((300, 1)), *(np.ones((10, 1)) * i for i in range(90))]
    assert by_rule(Sequences.from_list(few_long)) == 1
    assert by_rule(long, decoder="autoregressive") == 1


def test_short_sequences_have_patches_of_one_step():
    assert {pick_patch(longest) for longest in range(101)} == {1}
    patches = [longest / pick_patch(longest) for longest in range(1, 5000)]
    assert max(patches) <= 100
    assert max(patches[100:]) <= 64
    assert min(patches[100:]) > 32


@pytest.mark.parametrize("wrong", [0, -1, 1.5, True, None, "few"])
def test_bad_patches_are_refused(wrong):
    with pytest.raises(ParameterError, match="patch must be 'auto' or a positive integer"):
        SequenceAutoencoder(**TINY | {"patch": wrong}).fit(sines())


def test_models_without_patches_say_so():
    with pytest.raises(ParameterError, match="and 1 for an autoregressive decoder"):
        SequenceAutoencoder(**TINY, decoder="autoregressive").fit(sines())
    with pytest.raises(ParameterError, match="patch=4 needs architecture='default'"):
        SequenceAutoencoder(**TINY, architecture="repeat").fit([np.ones((5, 1))] * 4)
    specification = Specification("default", ["numeric"], [0], False, 3, 5, 8, 1, 0.0, 4.0, 1.0)
    with pytest.raises(ParameterError, match="patch must be a positive integer"):
        build(replace(specification, patch=0))


@pytest.mark.usefixtures("no_epochs")
def test_the_command_line_has_the_option(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    refold.sequences.write(sines(), "sines.jsonl")
    fit = ["fit", "sines.jsonl", "-o", "m.refold", "--max-epochs", "2", "--units", "8", "-q"]
    fit += ["--latent-steps", "0", "--no-refit", "--latent-dim", "3"]
    assert main([*fit, "--patch", "4"]) == 0
    capsys.readouterr()
    assert main(["info", "m.refold", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["patch"] == 4
    assert main([*fit, "--patch", "0"]) == 2
    assert "--patch must be" in capsys.readouterr().err
    assert main([*fit, "--patch", "5", "--decoder", "autoregressive"]) == 2
    assert "--decoder" in capsys.readouterr().err
