"""Data that is mapped from files gives the same results as data in memory."""

import functools

import numpy as np
import pytest

import refold
from refold import SequenceAutoencoder
from refold.cli import main
from refold.cli._code_files import read_code_file
from refold.errors import DataError, ParameterError
from refold.sequences import Scaler, Sequences, read, read_for, write
from refold.training import MultiprocessData, Processes
from refold.training._shards import FitBlocks, ShardLoader
from small_data import TINY, read_as_mapped
from training.small import fit_and_resume, same_weights

TINY = TINY | {"max_epochs": 2, "validation_fraction": 0.2}
MANY = 1 << 20  # bytes: one block holds everything


def draw_ragged_sequences(n=60, seed=0):
    rng = np.random.default_rng(seed)
    return Sequences.from_list([rng.normal(3, 2, (1 + i % 9, 2)) for i in range(n)])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a folder of three Parquet files."""
    folder = tmp_path_factory.mktemp("parts")
    for i in range(3):
        write(draw_ragged_sequences()[20 * i : 20 * i + 20], folder / f"part-{i}.parquet")
    return folder


def test_training_on_the_same_batches_gives_the_same_bits(folder):
    """With one shard, the order of batches is that of data in memory."""
    settings = TINY | {"scale": None}
    streamed = SequenceAutoencoder(**settings).fit(read_as_mapped(folder, block_bytes=MANY))
    whole = SequenceAutoencoder(**settings).fit(draw_ragged_sequences())
    assert same_weights(streamed, whole)
    for name in ("loss", "val_loss"):
        assert streamed.history_[name] == whole.history_[name]
    codes = streamed.transform(read_as_mapped(folder, block_bytes=100))
    np.testing.assert_allclose(codes, whole.transform(draw_ragged_sequences()), atol=1e-5)
    with pytest.raises(DataError, match=r"Take some of them, sequences\[indices\], or go through"):
        whole.score(read_as_mapped(folder))


def test_epochs_of_large_data_are_parts_of_a_pass(folder, monkeypatch):
    monkeypatch.setattr("refold.training._shards._MAX_EPOCH_TIME_STEPS", 100)
    data = read_as_mapped(folder, block_bytes=100)
    used = np.ones(60, bool)
    loader = ShardLoader(FitBlocks(data), lambda block: block, used, max_batch_steps=9, seed=0)
    assert loader.fit_data.epochs_per_pass == -(-int(data.lengths.sum()) // 100) == 3
    epochs = [list(loader.load_shards(i)) for i in range(1, 7)]
    shapes = {shard.data.values.shape for shards in epochs for shard in shards}
    assert len(shapes) == 1, "one shape is compiled"
    rows = [np.concatenate([shard.sequence_indices for shard in shards]) for shards in epochs]
    for one_pass in (rows[:3], rows[3:]):
        assert sorted(np.concatenate(one_pass).tolist()) == list(range(60))
    assert rows[0].tolist() != rows[3].tolist()
    settings = TINY | {"max_epochs": 3, "validation_fraction": 0, "refit": False}
    ae = SequenceAutoencoder(**settings).fit(data)
    assert ae.history_["epoch"] == [1, 2, 3]
    assert ae.history_["learning_rate"][-1] < 0.5 * max(ae.history_["learning_rate"])


def test_resumed_training_on_files_gives_the_same_bits(folder, tmp_path, monkeypatch):
    monkeypatch.setattr("refold.training._shards._MAX_EPOCH_TIME_STEPS", 100)
    data = read_as_mapped(folder, block_bytes=100)
    assert same_weights(*fit_and_resume(TINY | {"max_epochs": 4}, data, tmp_path, epoch=3))


@pytest.mark.usefixtures("skip_epochs")
def test_missing_values_in_files_are_found(tmp_path):
    data = draw_ragged_sequences()
    data.values[7, 1] = np.nan
    write(data, tmp_path / "gaps.parquet")
    short = TINY | {"max_epochs": 1, "validation_fraction": 0}
    ae = SequenceAutoencoder(**short).fit(read_as_mapped(tmp_path / "gaps.parquet"))
    assert ae.encoder_.input_shape[-1] == 4
    np.testing.assert_allclose(ae.scaler_.mean_, Scaler.fit(data).mean_)


@pytest.mark.usefixtures("skip_epochs")
def test_the_command_line_fits_to_a_folder(folder, tmp_path, monkeypatch, capsys):
    model, codes = tmp_path / "model.refold", tmp_path / "codes.parquet"
    settings = ["--latent-dim", "3", "--units", "8", "--seed", "0", "--latent-steps", "0"]
    for name, function in (("read", read), ("read_for", read_for)):
        limited = functools.partial(function, memory_bytes=100)
        monkeypatch.setattr(f"refold.sequences.{name}", limited)
    assert main(["fit", str(folder), "-o", str(model), *settings]) == 0
    assert main(["encode", str(model), str(folder), "-o", str(codes)]) == 0
    assert "60 codes with 3 dimensions" in capsys.readouterr().err
    found, ids, _ = read_code_file(codes)
    expected = refold.SequenceAutoencoder.load(model).transform(draw_ragged_sequences())
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert len(set(ids.tolist())) in {20, 60}
    assert main(["reconstruct", str(model), str(folder), "-o", str(tmp_path / "b.npz")]) == 2
    assert "holds the data in memory (60 sequences)" in capsys.readouterr().err


LENGTHS = np.random.default_rng(0).integers(1, 9, 101)
NUMBERED = Sequences(
    np.arange(LENGTHS.sum(), dtype=np.float32)[:, None], np.concatenate([[0], np.cumsum(LENGTHS)])
)
NUMBERED.block_bytes = 100


def test_processes_agree_on_shards_and_load_different_parts():
    used = np.ones(101, bool)
    used[::10] = False
    divided = [MultiprocessData.divide(Processes(i, 2), NUMBERED, 4) for i in range(2)]
    fit_data = [FitBlocks(data.sequences, data) for data in divided]
    loaders = [ShardLoader(data, lambda block: block, used, 9, seed=5) for data in fit_data]
    seen = []
    for shards in zip(*(loader.load_shards(1) for loader in loaders), strict=True):
        np.testing.assert_array_equal(shards[0].sequence_indices, shards[1].sequence_indices)
        assert shards[0].data.values.shape == shards[1].data.values.shape
        for index, shard in enumerate(shards):
            assert (shard.stored_indices < 50).all() == (index == 0)
            stored = np.intersect1d(shard.sequence_indices, shard.stored_indices)
            for index_in_data, position in zip(stored, shard.find_in_shard(stored), strict=True):
                assert int(shard.data.lengths[position]) == LENGTHS[index_in_data]
                start = int(shard.data.first_steps[position])
                assert shard.data.values[start, 0] == LENGTHS[:index_in_data].sum()
            seen += stored.tolist()
    assert sorted(seen) == np.flatnonzero(used).tolist()
    with pytest.raises(DataError, match="101 sequences for 200 parts"):
        MultiprocessData.divide(Processes(), NUMBERED, 200)
    with pytest.raises(ParameterError, match="3 parts cannot be divided among 2 processes"):
        MultiprocessData.divide(Processes(0, 2), NUMBERED, 3)
