"""A model warns of sequences unlike those of its training: longer, in other units, or the same."""

import warnings

import numpy as np
import pytest

import refold
from refold import Sequences
from refold.errors import DataError
from refold.model import describe_excess_lengths
from refold.sequences import write
from small_data import TINY, fit_without_training, read_as_mapped, sines, without_epochs


def warning_of(method, *arguments, **options):
    """Return the text of the only warning that a method causes."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        method(*arguments, **options)
    [warning] = caught
    return str(warning.message)


# Longer sequences

LONGER_MESSAGE = "1 of 4 sequences is longer than the longest in training: 30 steps against 6. "


def build_waves(*lengths):
    values = np.sin(np.arange(sum(lengths)) / 2)
    return Sequences(values[:, None], np.concatenate([[0], np.cumsum(lengths)]))


MIXED_WAVES = build_waves(5, 30, 6, 3)


@pytest.fixture(scope="module")
def ae():
    train = build_waves(*[3, 4, 5, 6] * 10)
    return fit_without_training(train[:20], latent_dim=2).calibrate(train[20:])


def test_each_method_warns_once_of_longer_sequences_and_of_no_others(ae):
    for method in (ae.score, ae.transform, lambda X: ae.detect(X, alpha=0.2)):
        assert warning_of(method, MIXED_WAVES).startswith(LONGER_MESSAGE)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            method(build_waves(6, 5, 3))
    text = warning_of(ae.inverse_transform, np.zeros((2, 2)), lengths=[9, 6])
    assert text.startswith("1 of 2 lengths is longer than the longest in training: 9 steps against")
    assert "ask for at most 6 steps with lengths=" in text


def test_longer_sequences_are_reconstructed_at_their_own_length(ae):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        back, codes = ae.reconstruct(MIXED_WAVES), ae.transform(MIXED_WAVES)
        assert len(back[1]) == 30
        assert all(map(np.array_equal, back, ae.reconstruct(MIXED_WAVES, codes=codes)))
    short = [0, 2, 3]
    for i, decoded in zip(short, ae.inverse_transform(codes[short]), strict=True):
        assert np.allclose(back[i], decoded, atol=1e-6)


def test_predicted_lengths_may_exceed_the_longest_by_a_tenth():
    assert describe_excess_lengths(np.array([22]), 20, "predicted length") is None
    text = describe_excess_lengths(np.array([23, 2]), 20, "predicted length")
    assert text.startswith("1 of 2 predicted lengths is longer than the longest in training: 23 st")


def test_blocks_of_files_are_counted_together(ae, tmp_path):
    write(build_waves(*[5] * 40, 30, 8), tmp_path / "waves.parquet")
    blocks = read_as_mapped(tmp_path / "waves.parquet", block_bytes=100)
    text = warning_of(lambda: list(ae.encode_blocks(blocks)))
    assert text.startswith("2 of 42 sequences are longer")
    assert len(blocks.block_sequence_offsets) > 2


# Other units

NAMES = ["weight", "pressure", "income", "claim", "jump", "visits", "tail", "flag"]
FAR_MESSAGE = "far outside of the training data"


def draw_table(seed, count=60):
    """Return columns with ordinary and heavy tails, one with many zeros, and a constant one."""
    rng, n = np.random.default_rng(seed), 20 * count
    columns = [rng.normal(60, 8, n), rng.normal(1013, 10, n), rng.lognormal(0, 2, n)]
    columns += [rng.pareto(1.5, n), rng.standard_t(2, n)]
    columns.append(np.where(rng.random(n) < 0.1, rng.poisson(30, n), 0))
    columns += [rng.standard_cauchy(n), np.ones(n)]
    x = np.stack(columns, axis=1).reshape(count, 20, -1)
    return Sequences.from_array(x, names=NAMES)


def scale_columns(sequences, factor, *names):
    return sequences.with_values(np.where(np.isin(NAMES, names), factor, 1.0) * sequences.values)


@pytest.fixture(scope="module")
def fitted():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of the constant column
        return fit_without_training(draw_table(0), latent_dim=4, calibration_fraction=0.4)


def test_ordinary_new_data_and_anomalies_cause_no_warning(fitted):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fitted.transform(draw_table(2))
        new = draw_table(1)
        new.values[7, 0] = 1e6
        new.values[::10] *= 1000
        fitted.detect(new, alpha=0.1)


def test_the_columns_in_other_units_are_named(fitted):
    # smaller numbers are far away if the mean is far from zero
    for name, factor in (("weight", 1000), ("visits", 1000), ("pressure", 0.001)):
        text = warning_of(fitted.transform, scale_columns(draw_table(1), factor, name))
        assert f"column '{name}' are {FAR_MESSAGE}, up to " in text
    assert text.startswith("100 % of the values")


def test_blocks_without_outliers_are_counted_exactly(fitted, tmp_path):
    data = draw_table(1, count=400)
    visits = data.values[:, 5]  # of which nine of ten are zero
    nonzero_rows = np.flatnonzero(visits)
    visits[nonzero_rows[: len(nonzero_rows) // 3]] *= 1000
    write(data, tmp_path / "a.parquet")
    blocks = read_as_mapped(tmp_path / "a.parquet", columns=NAMES, block_bytes=3000)
    for sequences in (data, blocks):
        text = warning_of(fitted.transform, sequences)
        assert f"3 % of the values of column 'visits' are {FAR_MESSAGE}" in text


def test_one_warning_of_other_units_for_each_call(fitted, tmp_path):
    scaled = scale_columns(draw_table(1), 1000, *NAMES)
    assert FAR_MESSAGE in warning_of(fitted.detect, scaled, alpha=0.1)
    write(scaled, tmp_path / "a.parquet")
    blocks = read_as_mapped(tmp_path / "a.parquet", columns=NAMES, block_bytes=3000)
    assert FAR_MESSAGE in warning_of(fitted.transform, blocks)


# Sequences of the training

REFUSAL = "The normal sequences are those that the model was trained on"


def test_training_sequences_are_refused_for_calibration_and_counted(uncalibrated, tmp_path):
    uncalibrated.save(tmp_path / "m.refold")
    loaded, new = refold.load(tmp_path / "m.refold"), sines(40, seed=1).to_list()
    held_back = loaded.held_back(sines(60))
    trained = sines(60)[~held_back].to_list()
    with pytest.raises(DataError, match=REFUSAL):
        loaded.calibrate(trained[::-1])
    text = warning_of(loaded.calibrate, [*new, *trained[:3]])
    assert text.startswith("3 of 43 normal sequences are among those")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        calibrated = loaded.calibrate([*new, *sines(60)[held_back].to_list()])
    text = warning_of(calibrated.detect, [*new, trained[0]], alpha=0.1)
    assert text.startswith("1 of 41 sequences is among those")


def test_repeated_sequences_cause_no_warning():
    rng = np.random.default_rng(0)
    series = list(rng.integers(0, 2, (100, 3)) + 0.5)  # eight different ones
    model = fit_without_training(series[:50], latent_dim=2).model_
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.calibrate(series[50:])


# Arrays that may be one series

VERBS = ("encode", "reconstruct", "residuals", "score", "errors", "forecast", "drift", "held_back")


def array_messages(method, X, words="An array of shape"):
    """Return the warnings of a call that contain these words."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        method(X)
    return [text for w in caught if words in (text := str(w.message))]


@pytest.mark.parametrize("shape", [(50, 1), (50, 3), (500, 3)])
def test_an_array_that_may_be_one_series_causes_one_warning(shape):
    x = np.random.default_rng(0).normal(size=shape)
    n, steps = shape
    plural = "s" * (steps > 1)
    message = (
        f"An array of shape ({n}, {steps}) was read as {n} sequences of {steps} step{plural}. If "
        f"it is one series of {n} steps with {steps} feature{plural}, pass X[None]; if it is {n} "
        f"sequences of {steps} step{plural}, pass X[..., None] to confirm."
    )
    series = refold.load("series")
    for method in (series.encode, series.reconstruct, series.residuals, series.adapt, series.score):
        assert array_messages(method, x) == [message]
        assert array_messages(method, x[None]) == array_messages(method, x[..., None]) == []


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_each_method_of_a_fitted_model_warns_of_such_an_array():
    x = np.random.default_rng(0).normal(size=(50, 3))
    ae = refold.SequenceAutoencoder(**TINY | {"latent_dim": 1, "refit": False}, forecast_steps=1)
    ae.calibration_fraction = 0.4
    assert len(array_messages(without_epochs(type(ae).fit).__get__(ae), x)) == 1
    methods = [getattr(ae, verb) for verb in VERBS]
    for method in (*methods, ae.transform, lambda X: ae.detect(X, alpha=0.2)):
        assert len(array_messages(method, x)) == 1
        assert array_messages(method, x[..., None]) == []
    # a fit on single steps gives one warning, too
    assert len(array_messages(fit_without_training, x[:, :1], "step")) == 1
    # rows of few sequences, and sequences of several steps, are as common as series
    assert array_messages(ae.encode, x[:19]) == array_messages(fit_without_training, x.T) == []


def test_a_file_of_an_array_that_may_be_one_series_is_to_be_saved(tmp_path):
    np.save(tmp_path / "x.npy", np.zeros((50, 2)))
    with pytest.warns(UserWarning, match="pass X") as caught:
        refold.sequences.read(tmp_path / "x.npy")
    assert "save X[None]" in caught[0].message.args[0].spell_for_command_line(str)
