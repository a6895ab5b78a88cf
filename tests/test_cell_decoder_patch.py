"""`SequenceAutoencoder` with GRUs, with an autoregressive decoder, and on patches."""

import json
import pickle
from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np
import pytest

import refold
from refold import SequenceAutoencoder
from refold.arguments import Arguments
from refold.cli import main
from refold.errors import ModelFileError, ParameterError
from refold.model import pack_container, read_container, write_container
from refold.sequences import Sequences, as_sequences
from refold.training._shards import Source
from refold.training._specify import pick_patch, specify
from small_data import TINY, ragged, untrained

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


def data_of(ae):
    return words() if ae.decoder == "autoregressive" else sines()


@pytest.fixture(scope="module")
def gru():
    return SequenceAutoencoder(**TINY | OPTIONS["gru"]).fit(sines())


@pytest.fixture(scope="module", params=OPTIONS)
def fitted(request, gru):
    if request.param == "gru":
        return gru
    options = TINY | OPTIONS[request.param]
    ae = SequenceAutoencoder(**options)
    return ae.fit(data_of(ae))


def test_codes_do_not_depend_on_others_and_decode_to_any_length(fitted):
    data = as_sequences(data_of(fitted))
    codes = fitted.encode(data)
    for i in (int(np.argmin(data.lengths)), 7):  # the first has the most padding in a batch
        alone = fitted.encode(data[i : i + 1])
        assert np.abs(alone - codes[i]).max() < 1e-5 * codes.std(axis=0).min()
    lengths = 7 * np.arange(len(codes)) % (2 * int(data.lengths.max()))
    with pytest.warns(UserWarning, match="lengths are longer than the longest in training"):
        longer = fitted.decode(codes, lengths)
    assert [len(one) for one in longer] == lengths.tolist()


def test_saved_and_pickled_models_give_the_same_bits(fitted, tmp_path):
    data = data_of(fitted)
    fitted.save(tmp_path / "model.refold")
    loaded = SequenceAutoencoder.load(tmp_path / "model.refold")
    for other in (loaded, pickle.loads(pickle.dumps(fitted))):  # noqa: S301
        for name in ("cell", "decoder", "patch"):
            assert getattr(other, name) == getattr(fitted, name)
        assert np.array_equal(other.encode(data), fitted.encode(data))


@pytest.mark.parametrize(
    ("name", "wrong", "message"),
    [
        ("cell", "rnn", r"cell must be 'lstm' or 'gru'\. Got 'rnn'"),
        ("decoder", "forward", "decoder must be 'parallel' or 'autoregressive'"),
        ("patch", 0, "does not hold what a model needs"),
    ],
)
def test_damaged_model_files_are_refused(name, wrong, message, tmp_path):
    path = tmp_path / "damaged.refold"
    untrained(ragged(), decoder="parallel", patch=1).save(path)
    config, arrays = read_container(path)
    config["specification"][name] = wrong
    write_container(path, pack_container(config, arrays))
    with pytest.raises(ModelFileError, match=message):
        SequenceAutoencoder.load(path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"cell": "rnn"}, r"cell must be 'lstm' or 'gru'\. Got 'rnn'"),
        ({"cell": "gru", "architecture": "repeat"}, "cell='gru' needs architecture='default'"),
        ({"cell": "gru", "latent_steps": 3}, "^latent_steps=3 needs LSTMs, and the .* cell='gru'"),
        ({"decoder": "forward"}, "decoder must be one of 'auto', 'parallel', 'autoregressive'"),
        (
            {"decoder": "autoregressive", "architecture": lambda **_: None},
            "decoder='autoregressive' needs architecture=",
        ),
        ({"patch": 0}, "patch must be 'auto' or a positive integer"),
        ({"patch": 4, "decoder": "autoregressive"}, "an autoregressive decoder needs patch=1"),
        ({"cell": "gru", "decoder": "autoregressive"}, "needs patch=1 and cell='lstm'. Got .*gru"),
    ],
)
def test_options_that_are_not_possible_are_refused(options, message):
    with pytest.raises(ParameterError, match=message):
        SequenceAutoencoder(**TINY | options).fit([np.ones((5, 1))] * 8)


def test_the_command_line_has_the_options(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "words.txt").write_text("\n".join(words()) + "\n")
    fit = ["fit", "words.txt", "-o", "m.refold", "--max-epochs", "1", "--units", "8", "--quiet"]
    fit += ["--latent-dim", "4", "--latent-steps", "0", "--no-refit"]
    assert main([*fit, "--decoder", "autoregressive"]) == 0
    assert main(["reconstruct", "m.refold", "words.txt", "-o", "back.txt"]) == 0
    assert len((tmp_path / "back.txt").read_text().splitlines()) == 60
    capsys.readouterr()
    assert main(["info", "m.refold", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["cell"], facts["decoder"], facts["patch"]) == ("lstm", "autoregressive", 1)
    for options, said in (
        (["--decoder", "forward"], "--decoder must be one of"),
        (
            ["--decoder", "autoregressive", "--architecture", "repeat"],
            "--decoder autoregressive needs --architecture default",
        ),
    ):
        assert main([*fit, *options]) == 2
        assert said in capsys.readouterr().err


# GRUs


def test_all_recurrent_layers_are_grus(gru):
    for model in (gru.encoder_, gru.decoder_, gru.model_.network.forecaster):
        layers = [getattr(layer, "forward_layer", layer) for layer in model.layers]
        recurrent = {type(layer) for layer in layers if isinstance(layer, keras.layers.RNN)}
        assert recurrent == {keras.layers.GRU}


def test_a_gru_forecasts(gru):
    assert len(gru.forecast(sines()[:4]).values) == 4


def test_threads_may_use_a_model_at_the_same_time(gru):
    with ThreadPoolExecutor(4) as threads:
        codes = list(threads.map(lambda _: gru.transform(sines()), range(12)))
    assert all(np.array_equal(some, codes[0]) for some in codes)


# Patches


def test_the_default_patch_depends_on_the_sequence_of_an_average_step():
    def by_rule(given, **options):
        arguments = Arguments.of(SequenceAutoencoder(**TINY | {"patch": "auto"} | options))
        return specify(Source(given), arguments, np.arange(len(given)))

    long = sines(6, longest=250)
    picked = pick_patch(np.repeat(long.lengths, long.lengths).mean())
    assert by_rule(long).patch == picked > 1
    few_long = [np.ones((300, 1)), *(np.ones((10, 1)) * i for i in range(90))]
    assert by_rule(as_sequences(words()), cell="gru").decoder == "parallel"
    assert by_rule(Sequences.from_list(few_long)).patch == 1
    assert by_rule(long, decoder="autoregressive").patch == 1
    assert by_rule(as_sequences(words()), patch=4).decoder == "parallel"
    assert {pick_patch(longest) for longest in range(101)} == {1}
    patches = [longest / pick_patch(longest) for longest in range(1, 5000)]
    assert max(patches) <= 100
    assert max(patches[100:]) <= 64
    assert min(patches[100:]) > 32
