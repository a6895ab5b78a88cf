"""A model warns of sequences unlike those of its training: longer, in other units, or the same."""

import copy
import warnings

import numpy as np
import pytest

import refold
from refold import Sequences
from refold.cli import main
from refold.errors import DataError
from refold.model import check_untrained, describe_longer
from refold.sequences import as_sequences, fingerprints, write
from refold.training._shards import Source
from refold.training._split import joined_fingerprints
from small_data import mapped, sines, untrained


def the_warning(call):
    """Return the text of the only warning of a call."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        call()
    [warning] = told
    return str(warning.message)


# Longer sequences

ONE = "1 of 4 sequences is longer than the longest in training: 30 steps against 6. "


def waves(*lengths):
    values = np.sin(np.arange(sum(lengths)) / 2)
    return Sequences(values[:, None], np.concatenate([[0], np.cumsum(lengths)]))


MIXED = waves(5, 30, 6, 3)


@pytest.fixture(scope="module")
def ae():
    train = waves(*[3, 4, 5, 6] * 10)
    return untrained(train[:20], latent_dim=2).calibrate(train[20:])


def test_each_method_warns_once_of_longer_sequences_and_of_no_others(ae):
    for method in (ae.reconstruct, ae.score, ae.transform, lambda X: ae.detect(X, alpha=0.2)):
        assert the_warning(lambda method=method: method(MIXED)).startswith(ONE)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            method(waves(6, 5, 3))
    text = the_warning(lambda: ae.inverse_transform(np.zeros((2, 2)), lengths=[9, 6]))
    assert text.startswith("1 of 2 lengths is longer than the longest in training: 9 steps against")
    assert "ask for at most 6 steps with lengths=" in text


def test_longer_sequences_are_reconstructed_at_their_own_length(ae):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        back, codes = ae.reconstruct(MIXED), ae.transform(MIXED)
        assert len(back[1]) == 30
        assert all(map(np.array_equal, back, ae.reconstruct(MIXED, codes=codes)))
    short = [0, 2, 3]
    for i, one in zip(short, ae.inverse_transform(codes[short]), strict=True):
        assert np.allclose(back[i], one, atol=1e-6)
    with pytest.raises(DataError, match=r"Got 1 codes for 4 sequences. Give one for each\."):
        ae.reconstruct(waves(5, 5, 6, 3), codes=codes[:1])


def test_predicted_lengths_may_exceed_the_longest_by_a_tenth():
    assert describe_longer(np.array([22]), 20, "predicted length") is None
    text = describe_longer(np.array([23, 2]), 20, "predicted length")
    assert text.startswith("1 of 2 predicted lengths is longer than the longest in training: 23 st")


def test_blocks_of_files_are_counted_together(ae, tmp_path):
    write(waves(*[5] * 40, 30, 8), tmp_path / "waves.parquet")
    blocks = mapped(tmp_path / "waves.parquet", block_bytes=100)
    text = the_warning(lambda: list(ae.encode_blocks(blocks)))
    assert text.startswith("2 of 42 sequences are longer")
    assert len(blocks.block_offsets) > 2


def test_a_command_warns_once(ae, tmp_path, capsys):
    model, data, out = (str(tmp_path / name) for name in ("m.refold", "d.npz", "out.csv"))
    ae.save(model)
    write(MIXED, data)
    assert main(["detect", model, data, "--alpha", "0.2", "-o", out]) == 0
    assert capsys.readouterr().err.count("Warning: 1 of 4 ") == 1


# Other units

NAMES = ["weight", "pressure", "income", "claim", "jump", "visits", "tail", "flag"]
FAR = "far outside of the training data"


def data(seed, count=60):
    """Columns with ordinary and with heavy tails, one with many zeros, and a constant one."""
    rng = np.random.default_rng(seed)
    n = 20 * count
    columns = [
        rng.normal(60, 8, n),
        rng.normal(1013, 10, n),
        rng.lognormal(0, 2, n),
        rng.pareto(1.5, n),
        rng.standard_t(2, n),
        np.where(rng.random(n) < 0.1, rng.poisson(30, n), 0),
        rng.standard_cauchy(n),
        np.ones(n),
    ]
    x = np.stack(columns, axis=1).reshape(count, 20, -1)
    return Sequences.from_array(x, names=NAMES)


def times(sequences, factor, *names):
    return sequences.with_values(np.where(np.isin(NAMES, names), factor, 1.0) * sequences.values)


@pytest.fixture(scope="module")
def of_units():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of the constant column
        return untrained(data(0), latent_dim=4, calibration_fraction=0.4, forecast_steps=2)


def test_ordinary_new_data_and_anomalies_cause_no_warning(of_units):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for seed in range(1, 10):
            of_units.transform(data(seed))
        new = data(1)
        of_units.transform(new[:0])
        new.values[7, 0] = 1e6
        new.values[::10] *= 1000
        of_units.detect(new, alpha=0.1)


def test_the_columns_in_other_units_are_named(of_units):
    for name in NAMES[:-2]:
        text = the_warning(lambda name=name: of_units.transform(times(data(1), 1000, name)))
        assert f"column '{name}' are {FAR}, up to " in text
        assert "\n" not in text
    # smaller numbers are far away if the mean is far from zero
    text = the_warning(lambda: of_units.transform(times(data(1), 0.001, "pressure")))
    assert f"100 % of the values of column 'pressure' are {FAR}" in text


@pytest.mark.parametrize("method", ["file", "score", "detect"])
def test_one_warning_of_other_units_for_each_call(of_units, method, tmp_path):
    wrong, model = times(data(1), 1000, *NAMES), copy.deepcopy(of_units)
    if method == "file":
        write(wrong, tmp_path / "a.parquet")
        wrong = mapped(tmp_path / "a.parquet", columns=NAMES, block_bytes=3000)
        method = "transform"
    options = {"alpha": 0.1} if method == "detect" else {}
    assert FAR in the_warning(lambda: getattr(model, method)(wrong, **options))


# Sequences of the training

REFUSED = "The normal sequences are those that the model was trained on"


def trained_on(source, held_back=()):
    """Return the fingerprints of what a fit trained on."""
    return joined_fingerprints(Source(source), np.array(held_back, np.uint64), None).trained


def accepted(normal, trained):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_untrained(normal, trained)


def test_the_training_sequences_are_refused_and_some_are_counted():
    series, others = sines(50), sines(50, seed=1)
    trained = trained_on(series)
    for normal in (series, series[::-1], series[:1]):
        with pytest.raises(DataError, match=REFUSED):
            check_untrained(normal, trained)
    mixed = as_sequences([*others.to_list(), *series[:3].to_list()])
    text = the_warning(lambda: check_untrained(mixed, trained))
    assert text.startswith("3 of 53 normal sequences are among those")
    accepted(others, trained)
    accepted(series[:5], trained_on(series, fingerprints(series[:5])))
    accepted(series, None)
    accepted(series[:0], trained)


def test_repeated_sequences_cause_no_warning():
    rng = np.random.default_rng(0)
    words = ["".join(rng.choice(list("ab"), 3)) for _ in range(100)]
    accepted(as_sequences(words[50:]), trained_on(as_sequences(words[:50])))


def test_a_saved_model_knows_the_sequences_of_its_training(bare, tmp_path):
    bare.save(tmp_path / "m.refold")
    loaded = refold.load(tmp_path / "m.refold")
    trained = sines(60)[~loaded.held_back(sines(60))]
    with pytest.raises(DataError, match=REFUSED):
        loaded.calibrate(trained)
    calibrated, new = loaded.calibrate(sines(40, seed=1)), sines(30, seed=2).to_list()
    text = the_warning(lambda: calibrated.detect([*new, trained.to_list()[0]], alpha=0.1))
    assert text.startswith("1 of 31 sequences is among those")
