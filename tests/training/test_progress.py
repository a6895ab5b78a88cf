"""The progress display of a training."""

import pytest

from refold.training._cross_validation import folds
from refold.training._progress import Progress, doing


@pytest.fixture
def terminal(monkeypatch):
    """Make rich treat standard error as a terminal."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "120")


def test_the_initialization_shows_its_steps():
    with Progress(5, verbose=0) as progress:
        assert progress.description == "initialize"
        for number, _ in enumerate(folds(20, 0, "cross-validating components"), 1):
            wanted = f"initialize: cross-validating components, fold {number} of 5"
            assert progress.description == wanted
        progress.train()
        assert progress.description == "epoch"
        progress.initialize_again()
        doing("finding components")
        assert progress.description == "refit on all: initialize: finding components"
        progress.refit(3)
        assert progress.description == "refit on all: epoch"


def test_the_bar_counts_epochs_only(capsys, terminal):
    with Progress(5, verbose=1) as progress:
        doing("scaling")
        before = capsys.readouterr().err
        progress.train()
        progress.epoch(2, loss=0.5, val_loss=0.6)
    after = capsys.readouterr().err
    assert "initialize: scaling" in before
    assert "0/?" not in before
    assert "compiling" in after
    assert "2/5" in after
    assert "validation 0.6" in after
