"""The report: a section from a model and sequences, and a page with one section."""

import contextlib
import os
from collections.abc import Iterator

from numpy.typing import ArrayLike
from rich.console import Console

from refold.model import Model, ModelLike, SequencesLike, model_of
from refold.report._code_map_card import code_map
from refold.report._code_sweep_cards import latent_cards
from refold.report._error_cards import error_cards
from refold.report._page import Section, check_packages, write_page
from refold.report._reconstruction_cards import reconstructions
from refold.report._report_data import ReportData, Stage, gather
from refold.report._score import Result
from refold.report._training_cards import architecture, data, losses
from refold.sequences import Sequences, as_sequences

MAX_SEQUENCES = 2000


def report(
    model: ModelLike,
    sequences: SequencesLike,
    path: str | os.PathLike[str],
    *,
    labels: ArrayLike | None = None,
    label_name: str | None = None,
    train: SequencesLike | None = None,
    title: str = "Report",
    max_sequences: int = MAX_SEQUENCES,
    seed: int = 0,
    verbose: int = 0,
) -> Result:
    """Write a report on a fitted model and sequences as one HTML file.

    Parameters
    ----------
    model : Model or SequenceAutoencoder
        Fitted.
    sequences : Sequences, list of arrays, array or table
        Data with the columns of the model.
    path : str or PathLike
        File to write. If writing fails, there is no partial file.
    labels : sequence of shape (n_sequences,), optional
        Colors of the codes on the map; by default the lengths.
    label_name : str, optional
        Name of the labels.
    train : Sequences, list of arrays, array or table, optional
        Training data of the model, on which PCA is fitted. By default PCA is cross-fitted on
        ``sequences``: fitted on some parts and measured on the part left out, in turn.
    title : str
        Heading of the page.
    max_sequences : int, default=2000
        Maximum number of sequences, drawn at random; fewer if they are very long.
    seed : int, default=0
        Seed of the sample and of the figures.
    verbose : {0, 1}, default=0
        1 shows progress on standard error.

    Returns
    -------
    Result
        Measured scores.

    Raises
    ------
    MissingExtraError
        If the extra ``plots`` is not installed.
    DataError
        If all sequences are empty or there are none, or there is not one label per sequence, or all
        labels are the same.
    SchemaError
        If the columns are not those of the model.
    ParameterError
        If ``max_sequences`` is not at least 1.
    FileAccessError
        If the file cannot be written.

    Examples
    --------
    >>> import tempfile, refold
    >>> sines = refold.datasets.noisy_sines(40, seed=0, max_steps=30)
    >>> settings = {"units": 8, "latent_steps": 0, "max_epochs": 2, "random_state": 0}
    >>> model = refold.SequenceAutoencoder(4, **settings).fit(sines)
    >>> report(model, sines, tempfile.mkdtemp() + "/sines.html").code_size
    4
    """
    check_packages()
    part = section(
        model,
        sequences,
        title=title,
        labels=labels,
        label_name=label_name,
        train=train,
        max_sequences=max_sequences,
        seed=seed,
        verbose=verbose,
    )
    if part.result is None:
        raise TypeError("a section of a model has a result")
    alone = Section("", part.summary, part.facts, part.cards, part.result)
    write_page(path, [alone], title=title)
    return part.result


def section(
    model: ModelLike,
    sequences: SequencesLike,
    *,
    title: str,
    summary: str = "",
    labels: ArrayLike | None = None,
    label_name: str | None = None,
    train: SequencesLike | None = None,
    max_sequences: int = MAX_SEQUENCES,
    seed: int = 0,
    seconds: float | None = None,  # of training; by default from the history of the model
    verbose: int = 0,
) -> Section:
    """Measure a fitted model on sequences and draw the figures of a report; see `report`."""
    model = model_of(model)
    with _stages(verbose) as stage:
        material = gather(
            model,
            _source(sequences, model),
            name=title,
            labels=labels,
            label_name=label_name,
            train=None if train is None else _source(train, model),
            max_sequences=max_sequences,
            seed=seed,
            seconds=seconds,
            stage=stage,
        )
        stage("errors")
        cards = [
            data(material),
            architecture(material),
            losses(material),
            *error_cards(material),
            reconstructions(material),
            code_map(material, stage),
            *latent_cards(material, stage),
        ]
    text = f"{summary} {material.note}".strip()
    cards = [card for card in cards if card is not None]
    return Section(title, text, _facts(material), cards, material.result)


def _source(data: SequencesLike, model: Model) -> Sequences:
    return data if isinstance(data, Sequences) else as_sequences(data, schema=model.schema)


def _facts(material: ReportData) -> list[tuple[str, str]]:
    result = material.result
    facts = []
    for score in result.scores:
        facts.append((score.number(score.value), f"{score.unit}, Refold"))
        if score.pca is not None:
            facts.append((score.number(score.pca), f"{score.unit}, PCA given the lengths"))
    facts.append((str(result.code_size), "code size"))
    lengths = material.sequences.lengths
    # longer sequences are decoded at their true length, not at one from the code
    decoded = lengths <= material.model.max_steps
    if decoded.any() and lengths.min() < lengths.max():
        right = float((material.methods["Refold"].lengths == lengths)[decoded].mean())
        facts.append((f"{int(1000 * right) / 10:g} %", "lengths decoded correctly"))
    facts.append((f"{len(material.lengths):,}", "sequences"))
    if result.seconds is not None:
        facts.append((f"{result.seconds:.0f} s", "training"))
    return facts


@contextlib.contextmanager
def _stages(verbose: int) -> Iterator[Stage]:
    """Show progress on standard error if ``verbose``."""
    if not verbose:
        yield lambda _: None
        return
    with Console(stderr=True).status("report") as status:
        yield lambda name: status.update(f"report: {name}")
