"""The display in notebooks: facts of models and sequences, a progress bar, and errors."""

import re

import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient

from refold import SequenceAutoencoder, Sequences
from refold._support.progress_bars import progress_bar
from refold.datasets import noisy_sines
from refold.errors import ParameterError
from small_data import untrained

TRACKED = """
from refold._support.progress_bars import progress_bar

with progress_bar() as bar:
    total = sum(bar.track(range(10_000), description="encode"))
total
"""

MISTAKEN = """
import refold

refold.load("nothing.refold")
"""


def text(html):
    return re.sub(r"<[^>]*>", "|", html)


def test_the_diagram_says_whether_the_estimator_is_fitted():
    ae = SequenceAutoencoder(4, units=8, latent_steps=0)
    before = ae._repr_html_()
    assert "<span>Not fitted</span>" in before
    fitted = untrained(noisy_sines(20, seed=0))
    for html in (fitted._repr_html_(), fitted._repr_mimebundle_()["text/html"]):
        assert "<span>Fitted</span>" in html


def test_a_model_shows_its_facts():
    sizes = {"latent_dim": 4, "units": 8, "latent_steps": 0}  # as in the doctests
    ae = SequenceAutoencoder(**sizes, max_epochs=2, refit=False, random_state=0)
    ae.fit(noisy_sines(40, seed=0, max_steps=30))
    html = ae.model_._repr_html_()
    assert html.count("Model</caption>") == 1
    shown = text(html)
    for fact in (
        "1 numeric: x0",
        "30 steps",
        "4 latent dimensions",
        f"{ae.n_parameters_:,}",
        f"{min(ae.history_['val_loss']):.4g}",
    ):
        assert f"|{fact}|" in shown


def test_sequences_show_their_facts():
    values = [[[1.0, np.nan], [2.0, 3.5]], [], [[1.5, 2.5]]]
    sequences = Sequences.from_list(values, names=["<b>", "y"], ids=["<i>", "j", "k"])
    html = sequences._repr_html_()
    assert "<b>" not in html
    assert "<i>" not in html
    shown = text(html)
    for fact in ("3 sequences, 3 steps", "2 numeric: &lt;b&gt;, y", "1 of 6 entries"):
        assert f"|{fact}|" in shown
    assert "|empty||1|" in shown.replace("||||", "||").replace("|||", "||")
    assert "&lt;i&gt;, j, k" in shown
    assert "0 to 2 steps, median 1" in shown


def test_no_sequences_and_many_columns():
    html = Sequences(np.zeros((0, 9)), [0])._repr_html_()
    assert "0 sequences, 0 steps" in html
    assert "9 numeric: x0, x1, x2, x3, x4, ..." in html
    many = noisy_sines(7, seed=0)._repr_html_()
    assert "0, 1, 2, 3, 4, ..." in many
    assert "missing" not in many


def test_a_notebook_shows_a_bar_as_one_output_and_an_error_in_one_line():
    cells = [nbformat.v4.new_code_cell(code) for code in (TRACKED, MISTAKEN)]
    notebook = nbformat.v4.new_notebook(cells=cells)
    NotebookClient(notebook, timeout=120, kernel_name="python3", allow_errors=True).execute()
    bar, total = notebook.cells[0].outputs  # and no warning
    assert bar.output_type == "display_data"
    assert "100%" in bar.data["text/plain"]
    assert bar.data["text/html"].startswith("<pre>")
    assert total.data["text/plain"] == "49995000"
    (mistake,) = notebook.cells[1].outputs
    shown = "\n".join(mistake.traceback)
    assert "refold.load" in shown
    assert shown.endswith("MissingFileError: There is no model file nothing.refold.")
    assert "_file.py" not in shown, "frames inside Refold"


def test_outside_a_notebook_the_bar_is_that_of_the_terminal(capsys):
    with progress_bar() as bar:
        assert sum(bar.track([1, 2], description="encode")) == 3
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "encode" in captured.err


def test_an_error_shows_the_call_and_one_line():
    with pytest.raises(ParameterError, match="latent_dim") as caught:
        SequenceAutoencoder(latent_dim=-1).fit([[1.0, 2.0]])
    shown = caught.value._render_traceback_()
    assert "SequenceAutoencoder(latent_dim=-1).fit" in "\n".join(shown)
    assert len(shown) == 2
    assert shown[-1].startswith("ParameterError: latent_dim must be")
