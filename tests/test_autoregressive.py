"""`SequenceAutoencoder` with an autoregressive decoder, from fit to saved model."""

import pickle

import numpy as np
import pytest

import refold
import small_data
from refold import Checkpoint, SequenceAutoencoder
from refold.cli import main
from refold.errors import DataError, ModelFileError, ParameterError
from refold.model import pack_container, read_container, write_container
from refold.training.loop import _checkpoint

TINY = {
    "latent_dim": 4,
    "units": 8,
    "max_epochs": 3,
    "batch_size": 16,
    "latent_steps": 0,
    "random_state": 0,
    "decoder": "autoregressive",
}


def words(n=60, seed=0):
    rng = np.random.default_rng(seed)
    return ["".join(rng.choice(list("abc"), rng.integers(0, 6))) for _ in range(n)]


def mixed():
    rows = {
        "id": [i // 5 for i in range(60)],
        "level": [None if i % 7 == 0 else float(i % 11) for i in range(60)],
        "event": ["abc"[i % 3] for i in range(60)],
    }
    return refold.Sequences.from_table(rows, id="id")


def weights(ae):
    return list(ae.model_.network.arrays().values())


def same(a, b):
    return all(map(np.array_equal, weights(a), weights(b)))


@pytest.fixture(scope="module")
def fitted():
    return SequenceAutoencoder(**TINY).fit(words())


def test_decoded_steps_are_those_that_the_decoder_predicts_from_them(fitted):
    codes = fitted.transform(words())
    back = fitted.decode(codes, [6] * 60)
    labels = fitted.schema_.columns[0].categories
    steps = np.array([[labels.index(letter) for letter in word] for word in back], "float32")
    predicted = fitted.decoder_.predict([codes, steps[..., None]], verbose=0)
    assert np.array_equal(predicted.argmax(axis=-1), steps)


def test_decoding_does_not_depend_on_other_codes_or_lengths(fitted):
    codes = fitted.transform(words())
    back = fitted.decode(codes)
    assert [fitted.decode(codes[i : i + 1])[0] for i in range(10)] == back[:10]
    assert fitted.decode(codes[::-1])[::-1] == back
    lengths = np.arange(60) % 14  # some are longer than any in training
    with pytest.warns(UserWarning, match="lengths are longer than the longest in training"):
        longer = fitted.decode(codes, lengths)
    assert [len(word) for word in longer] == lengths.tolist()
    with pytest.warns(UserWarning, match="60 of 60 lengths are longer"):
        whole = fitted.decode(codes, [14] * 60)
    assert longer == [word[:length] for word, length in zip(whole, lengths, strict=True)]


def test_longer_sequences_are_reconstructed_at_their_own_length(fitted):
    with pytest.warns(UserWarning, match="1 of 2 sequences is longer .*: 9 steps against 5"):
        assert len(fitted.reconstruct(["ab", "abababbab"])[1]) == 9


def test_no_codes_decode_to_no_sequences(fitted):
    assert fitted.decode(np.zeros((0, 4))) == []
    assert fitted.decode(np.zeros((2, 4)), [0, 0]) == ["", ""]
    with pytest.raises(DataError, match="codes must have shape"):
        fitted.decode(np.zeros((2, 5)))


def test_saving_and_pickling_preserve_the_model(tmp_path):
    ae = SequenceAutoencoder(**TINY, scale="sequence", validation_fraction=0).fit(mixed())
    ae.save(tmp_path / "mixed.refold")
    codes = ae.transform(mixed())
    back = ae.decode(codes)
    for other in (
        refold.SequenceAutoencoder.load(tmp_path / "mixed.refold"),
        pickle.loads(pickle.dumps(ae)),  # noqa: S301
    ):
        assert other.decoder == "autoregressive"
        assert np.array_equal(other.transform(mixed()), codes)
        assert [b.tolist() for b in other.decode(codes)] == [b.tolist() for b in back]


def test_old_model_files_without_a_decoder_are_parallel(tmp_path):
    given = small_data.ragged()
    ae = SequenceAutoencoder(**small_data.TINY, decoder="parallel").fit(given)
    ae.save(tmp_path / "old.refold")
    config, arrays = read_container(tmp_path / "old.refold")
    del config["specification"]["decoder"], config["parameters"]["decoder"]
    write_container(tmp_path / "old.refold", pack_container(config, arrays))
    old = refold.SequenceAutoencoder.load(tmp_path / "old.refold")
    assert old.model_.network.specification.decoder == "parallel"
    assert all(map(np.array_equal, old.reconstruct(given), ae.reconstruct(given)))
    config["specification"]["decoder"] = "forward"
    write_container(tmp_path / "old.refold", pack_container(config, arrays))
    with pytest.raises(ModelFileError, match="decoder must be 'parallel' or 'autoregressive'"):
        refold.SequenceAutoencoder.load(tmp_path / "old.refold")


def test_resumed_training_gives_the_same_bits(tmp_path, monkeypatch, fitted):
    path, kept = tmp_path / "checkpoint", []
    write = _checkpoint.save_checkpoint

    def keep(*arguments):
        write(*arguments)
        kept.append(path.read_bytes())

    with monkeypatch.context() as patch:
        patch.setattr(_checkpoint, "save_checkpoint", keep)
        unbroken = SequenceAutoencoder(**TINY).fit(words(), checkpoint=Checkpoint(path, 0.0))
    assert same(unbroken, fitted)
    for data in (kept[len(kept) // 3], kept[len(kept) // 2]):
        path.write_bytes(data)
        assert same(SequenceAutoencoder(**TINY).fit(words(), checkpoint=path, resume=True), fitted)


def test_only_the_default_model_can_be_autoregressive():
    with pytest.raises(
        ParameterError, match="decoder must be one of 'auto', 'parallel', 'autoregressive'"
    ):
        SequenceAutoencoder(**TINY | {"decoder": "forward"}).fit(words())
    numbers = np.zeros((8, 4, 1))
    for architecture in ("repeat", lambda **sizes: None):
        ae = SequenceAutoencoder(**TINY | {"architecture": architecture})
        with pytest.raises(ParameterError, match="decoder='autoregressive' needs architecture="):
            ae.fit(numbers)


def test_the_command_line_has_the_option(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    refold.sequences.write(refold.Sequences.from_list(words()), "words.txt")
    fit = ["fit", "words.txt", "-o", "words.refold", "--max-epochs", "1", "--units", "8"]
    fit += ["--latent-dim", "4", "--batch-size", "16", "--latent-steps", "0", "--seed", "0"]
    assert main([*fit, "--decoder", "autoregressive"]) == 0
    assert refold.SequenceAutoencoder.load("words.refold").decoder == "autoregressive"
    assert main(["reconstruct", "words.refold", "words.txt", "-o", "back.txt"]) == 0
    assert len((tmp_path / "back.txt").read_text().splitlines()) == 60
    assert main(["info", "words.refold"]) == 0
    assert "autoregressive" in capsys.readouterr().out
    assert main([*fit, "--decoder", "forward"]) == 2
    assert "--decoder must be one of" in capsys.readouterr().err
    assert main([*fit, "--decoder", "autoregressive", "--architecture", "repeat"]) == 2
    assert "--decoder autoregressive needs --architecture default" in capsys.readouterr().err
