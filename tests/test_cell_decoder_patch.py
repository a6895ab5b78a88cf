"""`SequenceAutoencoder` with GRUs, with an autoregressive decoder, and on patches."""

from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np
import pytest

import refold
from refold import SequenceAutoencoder
from refold.sequences import as_sequences
from refold.training._specify import pick_patch
from small_data import TINY
from training.small import specification_of

TINY = TINY | {"refit": False}
OPTIONS = {
    "gru": {"cell": "gru", "forecast_steps": 2},
    "autoregressive": {"decoder": "autoregressive"},
    "patches": {"patch": 4},
}


def sines(n=24, longest=30):
    return refold.datasets.noisy_sines(n, seed=0, min_steps=4, max_steps=longest)


def words(n=60, seed=0):
    rng = np.random.default_rng(seed)
    return ["".join(rng.choice(list("abc"), rng.integers(1, 6))) for _ in range(n)]


def make_data(ae):
    return words() if ae.decoder == "autoregressive" else sines()


@pytest.fixture(scope="module")
def gru():
    return SequenceAutoencoder(**TINY | OPTIONS["gru"]).fit(sines())


@pytest.fixture(scope="module", params=OPTIONS)
def fitted(request, gru):
    if request.param == "gru":
        return gru
    ae = SequenceAutoencoder(**TINY | OPTIONS[request.param])
    return ae.fit(make_data(ae))


def test_codes_do_not_depend_on_others_and_decode_to_any_length(fitted):
    data = as_sequences(make_data(fitted))
    codes = fitted.encode(data)
    for i in (int(np.argmin(data.lengths)), 7):  # the first has the most padding in a batch
        single = fitted.encode(data[i : i + 1])
        assert np.abs(single - codes[i]).max() < 1e-5 * codes.std(axis=0).min()
    lengths = 7 * np.arange(len(codes)) % (2 * int(data.lengths.max()))
    with pytest.warns(UserWarning, match="lengths are longer than the longest in training"):
        longer = fitted.decode(codes, lengths)
    assert [len(sequence) for sequence in longer] == lengths.tolist()


def test_all_recurrent_layers_are_grus_and_forecast(gru):
    for model in (gru.encoder_, gru.decoder_, gru.model_.network.forecaster):
        layers = [getattr(layer, "forward_layer", layer) for layer in model.layers]
        recurrent = {type(layer) for layer in layers if isinstance(layer, keras.layers.RNN)}
        assert recurrent == {keras.layers.GRU}
    assert len(gru.forecast(sines()[:4]).values) == 4


def test_threads_may_use_a_model_at_the_same_time(gru):
    with ThreadPoolExecutor(4) as threads:
        codes = list(threads.map(lambda _: gru.transform(sines()), range(12)))
    assert all(np.array_equal(result, codes[0]) for result in codes)


def test_the_default_patch_depends_on_the_sequence_of_an_average_step():
    long = sines(6, longest=250)
    picked = pick_patch(np.repeat(long.lengths, long.lengths).mean())
    assert specification_of(long, 3).patch == picked > 1
    few_long = [np.ones((300, 1)), *(np.ones((10, 1)) * i for i in range(90))]
    assert specification_of(words(), 3, cell="gru").decoder == "parallel"
    assert specification_of(few_long, 3).patch == 1
    assert specification_of(long, 3, decoder="autoregressive").patch == 1
    assert specification_of(words(), 3, patch=4).decoder == "parallel"
    assert {pick_patch(longest) for longest in range(101)} == {1}
    patches = [longest / pick_patch(longest) for longest in range(1, 5000)]
    assert max(patches) <= 100
    assert max(patches[100:]) <= 64
    assert min(patches[100:]) > 32
