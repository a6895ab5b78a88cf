"""Sequences longer than any in training are reconstructed at their own length, with a warning."""

import re

import numpy as np
import pytest

import refold
from refold import Sequences
from refold.cli import main
from refold.errors import DataError
from refold.model._longer_sequences import describe_longer, lengths_to_write
from refold.network.keras.network import keras_models
from refold.sequences import write
from small_data import mapped, untrained

ONE = r"^1 of 4 sequences is longer than the longest in training: 30 steps against 6\. "


def waves(*lengths):
    values = np.sin(np.arange(sum(lengths)) / 2)
    return Sequences(values[:, None], np.concatenate([[0], np.cumsum(lengths)]))


MIXED = waves(5, 30, 6, 3)


@pytest.fixture(scope="module")
def ae():
    train = waves(*[3, 4, 5, 6] * 10)
    return untrained(train[:20], latent_dim=2).calibrate(train[20:])


@pytest.mark.parametrize(
    ("lengths", "meaning", "expected"),
    [
        ([3, 6], "codes", None),
        ([], "codes", None),
        ([9, 7, 6], "codes", "2 of 3 sequences are longer .*: up to 9 steps against 6. The model"),
        ([9], "reconstructions", "1 of 1 sequence is longer .*: 9 steps against 6. They are dec"),
        ([7, 10], "predictions", "1 of 2 predicted lengths is longer .* the true lengths with l"),
        ([6], "predictions", None),
    ],
)
def test_the_messages(lengths, meaning, expected):
    message = describe_longer(np.array(lengths, int), 6, meaning)
    assert (message is None) if expected is None else re.match(expected, message)


def test_a_predicted_length_may_exceed_the_longest_by_a_tenth():
    assert describe_longer(np.array([22]), 20, "predictions") is None
    assert "23 steps against 20" in describe_longer(np.array([23]), 20, "predictions")


def test_a_network_with_a_fixed_number_of_steps_cuts_longer_sequences():
    lengths = np.array([9, 4])
    assert lengths_to_write(lengths, np.array([5, 3]), trained=6, most=6).tolist() == [6, 3]
    message = describe_longer(lengths, 6, "reconstructions", most=6)
    assert "They are cut to 6 steps, the most that this architecture writes." in message


def test_longer_sequences_are_reconstructed_at_their_own_length(ae):
    with pytest.warns(UserWarning, match=ONE + "They are decoded at their own length") as caught:
        back = ae.reconstruct(MIXED)
    assert len(caught) == 1
    with pytest.warns(
        UserWarning, match=ONE + "The model never saw the steps after step 6"
    ) as caught:
        codes = ae.transform(MIXED)
    assert len(caught) == 1
    with pytest.warns(UserWarning, match=ONE):
        again = ae.reconstruct(MIXED, codes=codes)
    assert len(back[1]) == 30
    assert all(map(np.array_equal, back, again))
    short = [0, 2, 3]
    for i, one in zip(short, ae.inverse_transform(codes[short]), strict=True):
        assert back[i].shape == one.shape
        assert np.allclose(back[i], one, atol=1e-6)


def test_codes_of_other_sequences_are_refused(ae):
    with pytest.raises(DataError, match=r"Got 1 codes for 3 sequences. Give one for each\."):
        ae.reconstruct(waves(3, 4, 5), codes=np.zeros((1, 2)))


def test_sequences_as_long_as_in_training_cause_no_warning(ae):
    sequences = waves(6, 5, 3)
    ae.reconstruct(sequences)
    ae.score(sequences)
    ae.detect(sequences, alpha=0.2)


def test_score_and_detect_warn(ae):
    with pytest.warns(UserWarning, match=ONE + "They are decoded at their own length") as caught:
        ae.score(MIXED)
    assert len(caught) == 1
    with pytest.warns(UserWarning, match=ONE + ".* anomalous for their length alone") as caught:
        ae.detect(MIXED, alpha=0.2)
    assert len(caught) == 1


def test_lengths_to_decode_to(ae):
    codes = ae.transform(waves(5, 6))
    with pytest.warns(UserWarning, match="1 of 2 lengths is longer .*: 9 steps against 6"):
        assert [len(one) for one in ae.inverse_transform(codes, lengths=[9, 6])] == [9, 6]


def test_predicted_lengths(ae, tmp_path):
    ae.save(tmp_path / "m.refold")
    other = refold.SequenceAutoencoder.load(tmp_path / "m.refold")
    *_, bias = keras_models(other.model_.network).length.trainable_variables
    bias.assign([20.0, 0.0])  # 20 standard deviations above the mean length
    codes = np.zeros((2, 2), np.float32)
    with pytest.warns(UserWarning, match="2 of 2 predicted lengths are longer .*: up to 12 steps"):
        other.inverse_transform(codes)


def test_blocks_of_files_are_counted_together(ae, tmp_path):
    write(waves(*[5] * 40, 30, 8), tmp_path / "waves.parquet")
    blocks = mapped(tmp_path / "waves.parquet", block_bytes=100)
    with pytest.warns(UserWarning, match="2 of 42 sequences are longer") as caught:
        assert len(ae.transform(blocks)) == 42
    assert len(caught) == 1
    with pytest.warns(UserWarning, match="2 of 42 sequences are longer") as caught:
        parts = list(ae.encode_blocks(blocks))
    assert len(caught) == 1
    assert len(parts) == len(blocks.block_offsets) - 1 > 1
    assert [i for _, ids in parts for i in ids] == list(range(42))


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("encode {m} {d} -o {o}.npy", "or give --lengths to refold decode."),
        ("reconstruct {m} {d} -o {o}.npz", "They are decoded at their own length"),
        ("detect {m} {d} --alpha 0.2 -o {o}.csv", "or cut with --window."),
        ("report {m} {d} -o {o}.html", "They are decoded at their own length"),
        ("decode {m} {c} --lengths 3,9,3,3 -o {o}.npz", "Ask for at most 6 steps"),
    ],
)
def test_commands_warn_once(ae, tmp_path, capsys, command, expected):
    model, data, codes = tmp_path / "m.refold", tmp_path / "d.npz", tmp_path / "c.npy"
    ae.save(model)
    write(MIXED, data)
    np.save(codes, np.zeros((4, 2), np.float32))
    given = command.format(m=model, d=data, c=codes, o=tmp_path / "out")
    assert main(given.split()) == 0
    message = [line for line in capsys.readouterr().err.splitlines() if "in training: " in line]
    assert len(message) == 1
    assert message[0].startswith("Warning: 1 of 4 ")
    assert expected in message[0]
    if command.startswith("report"):
        page = (tmp_path / "out.html").read_text(encoding="utf-8")
        assert "is longer than the longest in training: 30 steps against 6" in page
