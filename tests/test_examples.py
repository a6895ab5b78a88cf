"""The examples run with few epochs and write their pictures; what notebooks show."""

import functools
import runpy
from pathlib import Path

import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient

import refold
from refold import Sequences
from refold.datasets import noisy_sines
from small_data import fit_without_training

EXAMPLES = Path(__file__).parents[1] / "examples"


def run(name, *arguments):
    runpy.run_path(str(EXAMPLES / name))["main"]([str(argument) for argument in arguments])


@pytest.fixture
def small(monkeypatch):
    """Set small sizes for the autoencoders of an example, as in tests/test_docs.py."""
    autoencoder = functools.partial(refold.SequenceAutoencoder, units=8, latent_steps=0)
    monkeypatch.setattr(refold, "SequenceAutoencoder", autoencoder)


@pytest.mark.parametrize("answer", ["first", "second"])
def test_the_answers_of_the_question_write_their_pictures(answer, tmp_path, capsys):
    run(f"question/{answer}_answer.py", tmp_path / "pictures", "--epochs", 2)
    assert "encoder_lstm" in capsys.readouterr().out
    for picture in ("losses", "codes", "reconstruction"):
        path = tmp_path / "pictures" / f"{answer}_{picture}.png"
        assert path.read_bytes().startswith(b"\x89PNG")


def test_the_effect_of_padding(capsys):
    run("question/padding.py", "--epochs", 2, "--ramp-epochs", 2)
    printed = capsys.readouterr().out
    assert "11 different sequences, 6 different arrays" in printed
    assert "default: 0\n" in printed


# In `make test`, tests/test_docs.py trains the classifier of docs/how-to/tools.md.
@pytest.mark.slow
def test_an_encoder_in_a_classifier(capsys):
    options = ["--max-epochs", 1, "--epochs", 2, "--labels", 4, "--seeds", 0]
    run("classifier/classify.py", "vowels", *options)
    printed = capsys.readouterr().out
    for way in ("frozen", "fine-tuned", "from scratch"):
        assert f" 4 per class  {way}" in printed


@pytest.mark.usefixtures("small")
def test_losses_in_tensorboard(tmp_path, capsys):
    run("tracking/tensorboard.py", tmp_path, "--max-epochs", 2)
    (file,) = tmp_path.glob("events*")
    events, printed = file.read_bytes(), capsys.readouterr().out
    assert events.count(b"validated/loss") == events.count(b"validated/val_loss") == 2
    assert f"2 epochs, then {events.count(b'refit/loss')} on all sequences" in printed
    assert len((tmp_path / "00000/default/tensors.tsv").read_text().splitlines()) == 370


def test_the_notebook():
    notebook = nbformat.read(EXAMPLES / "notebook" / "refold.ipynb", as_version=4)
    for cell in notebook.cells:
        cell.source = cell.source.replace("max_epochs = None", "max_epochs = 2")
        cell.source = cell.source.replace("verbose=1", "verbose=1, units=8, latent_steps=0")
    NotebookClient(notebook, timeout=300).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    messages = [output.text for output in outputs if output.get("name") == "stderr"]
    assert not [text for text in messages if "longer than the longest in training" not in text]
    displayed = [output.data for output in outputs if "data" in output]
    (bar,) = [
        data for data in displayed if "epoch" in data["text/plain"] and "━" in data["text/plain"]
    ]
    assert "<pre>" in bar["text/html"]
    assert sum("image/png" in data for data in displayed) == 2
    assert any(">held-out loss<" in data.get("text/html", "") for data in displayed)


def test_models_and_sequences_show_their_facts():
    ae = fit_without_training(noisy_sines(40, seed=0, max_steps=30), latent_dim=4)
    assert "<span>Fitted</span>" in ae._repr_html_()
    html = ae.model_._repr_html_()
    for fact in ("1 numeric: x0", "30 steps", "4 latent dimensions", f"{ae.n_parameters_:,}"):
        assert f">{fact}<" in html
    values = [[[1.0, np.nan], [2.0, 3.5]], [], [[1.5, 2.5]]]
    sequences = Sequences.from_list(values, names=["<b>", "y"], ids=["<i>", "j", "k"])
    html = sequences._repr_html_()
    assert "<b>" not in html
    assert "&lt;i&gt;, j, k" in html
    for fact in ("3 sequences, 3 steps", "2 numeric: &lt;b&gt;, y", "1 of 6 entries"):
        assert f">{fact}<" in html
