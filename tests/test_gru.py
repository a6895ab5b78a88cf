"""`SequenceAutoencoder` with GRUs, from the estimator to the command line."""

import json
from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np
import pytest

import refold
from refold import SequenceAutoencoder
from refold.cli import main
from refold.errors import ModelFileError, ParameterError
from refold.model import pack_container, read_container, write_container

TINY = {"latent_dim": 3, "units": 8, "max_epochs": 1, "latent_steps": 0, "refit": False}
GRU = {**TINY, "cell": "gru", "random_state": 0}


@pytest.fixture(scope="module")
def sines():
    return refold.datasets.noisy_sines(30, seed=0)


@pytest.fixture(scope="module")
def fitted(sines):
    return SequenceAutoencoder(**GRU, forecast_steps=2).fit(sines)


def recurrent(model):
    """Return the recurrent layers of a model."""
    layers = [getattr(layer, "forward_layer", layer) for layer in model.layers]
    return [layer for layer in layers if isinstance(layer, keras.layers.RNN)]


def test_all_recurrent_layers_are_grus(fitted):
    for model in (fitted.encoder_, fitted.decoder_, fitted.forecaster_):
        assert [type(layer) for layer in recurrent(model)] == [keras.layers.GRU]


def test_the_cell_is_an_lstm_by_default(sines):
    specification = refold.models.Specification(
        "default", ["numeric"], [0], False, 3, 5, 8, 1, 0.0, 4.0, 1.0
    )
    models = refold.models.build(specification).models
    assert [type(layer) for layer in recurrent(models.encoder)] == [refold.layers.LSTM]
    assert SequenceAutoencoder().cell == "lstm"


def test_a_gru_model_is_exported(fitted, tmp_path):
    for part in ("encoder", "decoder", "forecaster"):
        exported = refold.export.to_onnx(fitted, tmp_path / f"{part}.onnx", part)
        assert exported.largest_difference < 1e-5


def test_a_gru_model_encodes_decodes_and_forecasts(fitted, sines):
    codes = fitted.transform(sines)
    assert codes.shape == (30, 3)
    assert np.isfinite(codes).all()
    back = fitted.inverse_transform(codes, sines.lengths)
    assert [len(one) for one in back] == sines.lengths.tolist()
    assert len(fitted.forecast(sines[:4]).values) == 4


def test_a_code_does_not_depend_on_other_sequences(fitted, sines):
    codes = fitted.transform(sines)
    shortest = int(np.argmin(sines.lengths))  # has the most padding in a batch with the others
    alone = fitted.transform(sines[shortest : shortest + 1])
    assert np.abs(alone - codes[shortest]).max() / codes.std(axis=0).min() < 1e-5


def test_threads_may_use_a_model_at_the_same_time(fitted, sines):
    with ThreadPoolExecutor(4) as threads:
        codes = list(threads.map(lambda _: fitted.transform(sines), range(40)))
    assert all(np.array_equal(some, codes[0]) for some in codes)


def test_a_saved_model_gives_the_same_codes(fitted, sines, tmp_path):
    fitted.save(tmp_path / "gru.refold")
    again = refold.SequenceAutoencoder.load(tmp_path / "gru.refold")
    assert again.cell == "gru"
    assert np.array_equal(again.transform(sines), fitted.transform(sines))


def test_grus_have_no_latent_optimization(fitted, sines, tmp_path):
    assert fitted.latent_steps_ == 0
    with pytest.raises(ParameterError, match=r"^latent_steps=3 needs LSTMs, and the .* cell='gru'"):
        SequenceAutoencoder(**GRU | {"latent_steps": 3}).fit(sines)
    # Earlier versions had it. The codes of their models are now those of the encoder.
    path = tmp_path / "old.refold"
    fitted.save(path)
    config, arrays = read_container(path)
    config["latent_steps"], config["parameters"]["latent_steps"] = 10, "auto"
    write_container(path, pack_container(config, arrays))
    assert np.array_equal(
        refold.SequenceAutoencoder.load(path).transform(sines), fitted.transform(sines)
    )


def test_model_files_without_a_cell_have_lstms(sines, tmp_path):
    path = tmp_path / "old.refold"
    ae = SequenceAutoencoder(**TINY, random_state=0).fit(sines)
    ae.save(path)
    config, arrays = read_container(path)
    del config["specification"]["cell"], config["parameters"]["cell"]
    write_container(path, pack_container(config, arrays))
    again = refold.SequenceAutoencoder.load(path)
    assert again.cell == "lstm"
    assert np.array_equal(again.transform(sines), ae.transform(sines))


def test_an_unknown_cell_is_refused(fitted, sines, tmp_path):
    with pytest.raises(ParameterError, match=r"cell must be 'lstm' or 'gru'\. Got 'rnn'"):
        SequenceAutoencoder(cell="rnn").fit(sines)
    with pytest.raises(ParameterError, match=r"cell must be 'lstm' or 'gru'\. Got 'rnn'"):
        refold.models.default(["numeric"], latent_dim=2, max_steps=3, cell="rnn")
    with pytest.raises(ParameterError, match="cell='gru' needs architecture='default'"):
        SequenceAutoencoder(**GRU, architecture="repeat").fit(sines)
    path = tmp_path / "changed.refold"
    fitted.save(path)
    config, arrays = read_container(path)
    config["specification"]["cell"] = "rnn"
    write_container(path, pack_container(config, arrays))
    with pytest.raises(ModelFileError, match=r"cell must be 'lstm' or 'gru'\. Got 'rnn'"):
        refold.SequenceAutoencoder.load(path)


def test_words_are_decoded_autoregressively(tmp_path, monkeypatch, capsys):
    """The command line is used, which decodes words autoregressively."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    words = ["".join(rng.choice(list("abc"), rng.integers(1, 6))) for _ in range(30)]
    (tmp_path / "words.txt").write_text("\n".join(words) + "\n")
    sizes = ["--latent-dim", "3", "--units", "8", "--max-epochs", "1", "--latent-steps", "0"]
    fit = ["fit", "words.txt", "-o", "words.refold", *sizes, "--no-refit", "--quiet"]
    assert main([*fit, "--cell", "rnn"]) == 2
    assert "--cell must be 'lstm' or 'gru'. Got 'rnn'" in capsys.readouterr().err
    assert main([*fit, "--cell", "gru"]) == 0
    capsys.readouterr()
    assert main(["info", "words.refold", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["cell"], facts["decoder"]) == ("gru", "autoregressive")

    ae = refold.SequenceAutoencoder.load("words.refold")
    codes = ae.transform(words)
    back = ae.decode(codes, [5] * 30)
    # The decoder predicts the decoded steps from themselves.
    labels = ae.schema_.columns[0].categories
    steps = np.array([[labels.index(letter) for letter in word] for word in back], "float32")
    predicted = ae.decoder_.predict([codes, steps[..., None]], verbose=0)
    assert np.array_equal(predicted.argmax(axis=-1), steps)
    assert len(ae.generate(5, temperature=1.0, random_state=0)) == 5
