"""The report: a section from a model and sequences, and a page with one section."""

import contextlib
import os
import warnings
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike
from rich.console import Console

from refold._support.argument_checks import check_some, check_whole
from refold.errors import DataError
from refold.evaluation import errors_by_sequence
from refold.model import HEAD, Model, ModelLike, SequencesLike, describe_longer, model_of
from refold.report._code_cards import code_map, latent_cards
from refold.report._measurement_cards import architecture, data, errors, losses
from refold.report._page import Card, Section, check_packages, write_page
from refold.report._report_data import (
    ReportData,
    check_labels,
    reconstruct_by_pca,
    sample_rows,
    scores_of,
    training_sample,
)
from refold.report._score import Result
from refold.report._sequence_cards import reconstructions
from refold.sequences import Sequences, as_sequences

MAX_SEQUENCES = 2000
CARDS = (data, architecture, losses, errors, reconstructions, code_map, latent_cards)


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
    write_page(path, [replace(part, title="")], title=title)
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
    source, train = _opened(sequences, model), None if train is None else _opened(train, model)
    max_sequences = check_whole("max_sequences", max_sequences)
    seed = check_whole("seed", seed, 0)
    check_some(len(source), "sequence", "to report on")
    if not source.lengths.any():
        raise DataError(
            f"There is nothing to report on: {len(source)} sequences, all of them empty."
        )
    labels = None if labels is None else check_labels(labels, len(source))
    train = None if train is None else training_sample(model, train, seed)
    rows = sample_rows(source.lengths, model.schema.output_width, max_sequences, seed)
    status = Console(stderr=True).status("report")  # silent until it is entered
    with status if verbose else contextlib.nullcontext():
        status.update("report: encoding and decoding")
        sample = source[rows].align(model.schema)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", f".* {HEAD}")  # reconstruct warns of the same
            codes = np.asarray(model.encode(sample))
        decoded = model.reconstruct(sample, codes=codes)
        back = Sequences.from_list(decoded, schema=model.schema).with_ids(sample.ids)
        status.update("report: PCA")
        linear, pca_size, note = reconstruct_by_pca(model, sample, train, codes.shape[1], seed)
        methods = {"Refold": back} if linear is None else {"Refold": back, "PCA": linear}
        material = ReportData(
            model=model,
            sequences=sample,
            lengths=np.asarray(source.lengths),
            codes=codes,
            methods=methods,
            errors=errors_by_sequence(sample, back, model.error_scaler),
            scores=scores_of(model, sample, methods),
            labels=None if labels is None else labels[rows],
            label_name=label_name or "label",
            seed=seed,
        )
        cards: list[Card] = []
        for draw_cards in CARDS:
            status.update(f"report: {draw_cards.__name__.replace('_', ' ')}")
            cards += draw_cards(material)
    if seconds is None:
        seconds = [None, *model.history.epochs.get("seconds", ())][-1]
    result = Result(title, len(sample), codes.shape[1], pca_size, material.scores, seconds)
    longer = describe_longer(sample.lengths, model.max_steps, "reconstructions")
    text = " ".join(part for part in (summary, note, longer) if part)
    return Section(title, text, _facts(material, result), cards, result)


def _opened(data: SequencesLike, model: Model) -> Sequences:
    return data if isinstance(data, Sequences) else as_sequences(data, schema=model.schema)


def _facts(material: ReportData, result: Result) -> list[tuple[str, str]]:
    """Return the key figures, each with its meaning."""
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
