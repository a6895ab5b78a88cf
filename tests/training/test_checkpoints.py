"""An interrupted training that is resumed gives the same model as an uninterrupted one."""

import copy
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import keras
import numpy as np
import pytest

import refold
from refold import Checkpoint, SequenceAutoencoder
from refold.cli import main
from refold.errors import FileAccessError, ModelFileError, ParameterError
from refold.model import pack_container, write_container
from refold.training.loop._checkpoint import ResumableTraining, load_checkpoint
from refold.training.loop._compiled_steps import TrainingEngine
from refold.training.loop._training import Clock, InterruptHandler
from training import script
from training.script import SETTINGS, data
from training.small import same_weights

SCRIPT = Path(__file__).with_name("script.py")
PATHS = os.pathsep.join([str(SCRIPT.parents[1]), os.environ.get("PYTHONPATH", "")])
ENVIRONMENT = {**os.environ, "PYTHONPATH": PATHS}
SHORT = SETTINGS | {"max_epochs": 4}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Return a short fit and its last checkpoint."""
    path = tmp_path_factory.mktemp("whole") / "checkpoint"
    return SequenceAutoencoder(**SHORT).fit(data(), checkpoint=path), path


def test_a_killed_training_gives_the_same_model_after_resuming(tmp_path):
    unbroken = SequenceAutoencoder(**SETTINGS).fit(data())
    checkpoint, model = tmp_path / "checkpoint", tmp_path / "model.refold"
    command = [sys.executable, SCRIPT, checkpoint, model]
    with subprocess.Popen(command, env=ENVIRONMENT, stderr=subprocess.PIPE, text=True) as process:
        while not checkpoint.exists() and process.poll() is None:
            time.sleep(0.01)
        assert checkpoint.exists(), process.communicate()[1][-3000:]
        time.sleep(np.random.default_rng().uniform(0, 0.4))
        process.kill()
    load_checkpoint(checkpoint)
    script.main(checkpoint, model)
    assert {path.name for path in tmp_path.iterdir()} == {"checkpoint", "model.refold"}
    ended = refold.SequenceAutoencoder.load(model)
    assert same_weights(ended, unbroken)
    for name in ("loss", "val_loss"):
        assert ended.history_[name] == unbroken.history_[name]
    assert ended.initial_loss_ == unbroken.initial_loss_


def test_checkpoints_by_epochs(tmp_path, monkeypatch):
    epochs = []
    monkeypatch.setattr(ResumableTraining, "write", lambda _, saved: epochs.append(saved.epoch))
    checkpoint = Checkpoint(tmp_path / "checkpoint", seconds=1e6, epochs=2)
    SequenceAutoencoder(**SHORT | {"refit": False}).fit(data(), checkpoint=checkpoint)
    assert epochs == [1, 3, 5]


def test_a_finished_training_is_read_from_its_last_checkpoint(tmp_path):
    """It was stopped early, has no seed, and numbers of NumPy."""
    settings = SHORT | {"refit": False, "max_epochs": np.int64(60), "patience": 2}
    settings |= {"random_state": None, "learning_rate": np.float32(0.01)}
    checkpoint = Checkpoint(tmp_path / "checkpoint", 0.0)
    first = SequenceAutoencoder(**settings).fit(data(), checkpoint=checkpoint)
    assert len(first.history_["loss"]) < 60
    again = SequenceAutoencoder(**settings).fit(data(), checkpoint=checkpoint, resume=True)
    assert same_weights(again, first)
    assert again.history_["loss"] == first.history_["loss"]


@pytest.mark.usefixtures("ctrl_c")
def test_ctrl_c_keeps_the_best_weights_and_saves_the_end_of_the_last_epoch(
    tmp_path, whole, monkeypatch
):
    path, whole = tmp_path / "checkpoint", whole[0]
    train, chunks = TrainingEngine.train_batches, []

    def press_in_the_second_epoch(*arguments, **options):
        chunks.append(None)
        if len(chunks) == 10:
            signal.raise_signal(signal.SIGINT)
        return train(*arguments, **options)

    def press_at_the_end_of_the_third_epoch(epoch, logs):
        if epoch == 2:
            signal.raise_signal(signal.SIGINT)

    ae = SequenceAutoencoder(**SHORT)
    press = keras.callbacks.LambdaCallback(on_epoch_end=press_at_the_end_of_the_third_epoch)
    with pytest.raises(KeyboardInterrupt, match=r"interrupted; the weights of epoch \d are kept\."):
        ae.fit(data(), callbacks=[press])
    assert ae.history_["epoch"] == [1, 2, 3]
    assert ae.interrupted_
    assert ae.transform(data()).shape == (60, 3)
    with monkeypatch.context() as patch:
        patch.setattr(Clock, "num_chunk_updates", lambda *_: 1)
        patch.setattr(TrainingEngine, "train_batches", press_in_the_second_epoch)
        with pytest.raises(KeyboardInterrupt, match=r"after epoch 1\. Its state is saved"):
            ae.fit(data(), checkpoint=Checkpoint(path, 1e6))
    values = load_checkpoint(path)[1]
    assert values["epoch"] == 2
    assert values["history"]["loss"] == ae.history_["loss"] == whole.history_["loss"][:1]
    ae.fit(data(), checkpoint=path, resume=True)
    assert same_weights(ae, whole)
    for name in ("epoch", "phase", "loss", "val_loss"):
        assert ae.history_[name] == whole.history_[name]


@pytest.mark.usefixtures("ctrl_c")
@pytest.mark.skipif(os.name == "nt", reason="signals of another kind")
def test_the_command_can_resume_after_ctrl_c_in_the_refit(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    refold.sequences.write(data(), "sines.npz")
    settings = ["--latent-dim", "3", "--units", "8", "--latent-steps", "0", "--seed", "0"]
    settings += ["--max-epochs", "20", "--patience", "20", "--batch-size", "8"]

    def fit(output, *options):
        return main(["fit", "sines.npz", "-o", output, *settings, *options])

    checkpoint = Path("model.refold.checkpoint")
    write, pressed = ResumableTraining.write, []

    def press_in_the_refit(self, progress):
        write(self, progress)
        if progress.phase == "refit" and not pressed:
            pressed.append(True)
            signal.raise_signal(signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(ResumableTraining, "write", press_in_the_refit)
        assert fit("model.refold", "--resume") == 130
    messages = capsys.readouterr().err.splitlines()
    assert any("so a new training run starts" in message for message in messages)
    assert messages[-1] == (
        "Interrupted: Stopped by Ctrl-C in the refit. The weights before the refit were written. "
        "--resume continues from 'model.refold.checkpoint'."
    )
    validated = refold.load("model.refold").encode(data())
    assert fit("alone.refold", "--no-refit") == 0
    np.testing.assert_array_equal(validated, refold.load("alone.refold").encode(data()))
    assert fit("model.refold") == 2  # nothing is lost by mistake
    assert "Continue that run with --resume, or delete the file" in capsys.readouterr().err
    assert fit("model.refold", "--resume") == fit("whole.refold") == 0
    resumed, whole = (refold.load(f"{name}.refold") for name in ("model", "whole"))
    assert resumed.history.epochs["phase"][-1] == "refit"
    np.testing.assert_array_equal(resumed.encode(data()), whole.encode(data()))
    assert not checkpoint.exists()


@pytest.mark.usefixtures("ctrl_c")
def test_a_second_ctrl_c_interrupts_at_once_and_an_ignored_one_stays_ignored():
    with InterruptHandler() as interrupt:
        signal.raise_signal(signal.SIGINT)
        assert interrupt.is_interrupted
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with InterruptHandler() as interrupt:
        signal.raise_signal(signal.SIGINT)
    assert not interrupt.is_interrupted
    assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN


def test_a_checkpoint_of_another_training_is_refused_with_the_difference(tmp_path, whole):
    path = shutil.copy(whole[1], tmp_path)
    for changes, sequences, message in [
        ({"units": 9}, data(), "units was 8 and is 9"),
        ({}, data()[:59], "the data is not the same"),
    ]:
        with pytest.raises(ParameterError, match=f"belongs to another training: {message}"):
            SequenceAutoencoder(**SHORT | changes).fit(sequences, checkpoint=path, resume=True)
    SequenceAutoencoder(**SHORT | {"verbose": 0, "time_budget": 60.0}).fit(
        data(), checkpoint=path, resume=True
    )


def test_files_that_are_not_checkpoints_of_this_version(tmp_path, whole):
    path, ae = tmp_path / "model.refold", copy.deepcopy(whole[0])
    identity, values, arrays = load_checkpoint(whole[1])
    parameters = {k: v for k, v in identity["parameters"].items() if k != "forecast_steps"}
    config = {"identity": {**identity, "parameters": parameters}, "checkpoint": values}
    write_container(path, pack_container(config, arrays))
    with pytest.raises(ModelFileError, match="from another version of Refold"):
        ae.fit(data(), checkpoint=path, resume=True)
    ae.save(path)
    with pytest.raises(ModelFileError, match="is a model, not a checkpoint of a training"):
        ae.fit(data(), checkpoint=path, resume=True)
    with pytest.raises(ModelFileError, match="is a checkpoint of a training, not a model"):
        refold.SequenceAutoencoder.load(whole[1])
    with pytest.raises(ParameterError, match="resume=True needs a checkpoint"):
        ae.fit(data(), resume=True)


def test_a_path_that_is_not_writable_is_refused_before_training(tmp_path):
    seen = []
    callback = keras.callbacks.LambdaCallback(on_train_begin=seen.append)
    path = tmp_path / "nowhere" / "checkpoint"
    with pytest.raises(FileAccessError, match="nowhere"):
        SequenceAutoencoder(**SHORT).fit(data(), checkpoint=path, callbacks=[callback])
    assert seen == []
