"""The report: what it measures of a model and sequences, as a section, and a page with one."""

import contextlib
import os
import warnings
from dataclasses import replace
from typing import cast

import numpy as np
from numpy.typing import ArrayLike
from rich.console import Console

from refold._support.output import LONGER
from refold._support.rules import check_one_each, check_some, check_whole
from refold.errors import DataError
from refold.evaluation import PCABaseline, errors_by_sequence, fidelity, pca_cross_fit
from refold.model import Model, ModelLike, SequencesLike, adapted, describe_longer
from refold.plots.charts import category_order
from refold.report._cards import (
    ReportData,
    architecture,
    code_map,
    data,
    errors,
    latent_cards,
    losses,
    reconstructions,
)
from refold.report._page import (
    Card,
    Quantity,
    Result,
    Score,
    Section,
    check_packages,
    write_page,
)
from refold.sequences import Sequences, Windows, as_sequences, whole_windows

MAX_SEQUENCES = 2000
MAX_VALUES = 1 << 24  # padded values of the sample, unless MIN_SEQUENCES have more
MIN_SEQUENCES = 8
MAX_TRAINING = 20_000  # sequences that PCA is fitted on
FOLDS = 5  # of PCA without training data
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
        Colors of the codes on the map; by default the lengths. The legend is in the order of a
        Categorical of pandas, or sorted by numbers and names.
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
    write_page(path, [replace(part, title="")], title=title)
    return cast(Result, part.result)  # a section of a model has one


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
    model, sequences = adapted(model, sequences)
    windows = _opened(sequences, model)
    source, train = windows.sequences, None if train is None else _opened(train, model).sequences
    max_sequences = check_whole("max_sequences", max_sequences)
    seed = check_whole("seed", seed, 0)
    check_some(int(source.lengths.sum()), "sequence with a step", "to report on")
    label_order = tuple(category_order(labels))
    if labels is not None:
        labels = _check_labels(labels, len(windows.lengths))[windows.series]
    train = None if train is None else _training_sample(model, train, seed)
    rows = _sample_rows(source.lengths, model.schema.output_width, max_sequences, seed)
    status = Console(stderr=True).status("report")  # silent until it is entered
    with status if verbose else contextlib.nullcontext():
        status.update("report: encoding and decoding")
        sample = source[rows].align(model.schema)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", f".* {LONGER}")  # reconstruct warns of the same
            codes = np.asarray(model.encode(sample))
        decoded = model.reconstruct(sample, codes=codes)
        back = Sequences.from_list(decoded, schema=model.schema).with_ids(sample.ids)
        status.update("report: PCA")
        linear, pca_size, note = _reconstruct_by_pca(model, sample, train, codes.shape[1], seed)
        methods = {"Refold": back} if linear is None else {"Refold": back, "PCA": linear}
        material = ReportData(
            model=model,
            sequences=sample,
            lengths=np.asarray(source.lengths),
            codes=codes,
            methods=methods,
            errors=errors_by_sequence(sample, back, model.error_scaler),
            scores=_scores_of(model, sample, methods),
            labels=None if labels is None else labels[rows],
            label_name=label_name or "label",
            label_order=label_order,
            seed=seed,
        )
        cards: list[Card] = []
        for draw_cards in CARDS:
            status.update(f"report: {draw_cards.__name__.replace('_', ' ')}")
            cards += draw_cards(material)
    if seconds is None:
        seconds = [None, *model.history.epochs.get("seconds", ())][-1]
    result = Result(title, len(sample), codes.shape[1], pca_size, material.scores, seconds)
    longer = describe_longer(sample.lengths, model.max_steps)
    text = " ".join(part for part in (summary, note, longer) if part)
    return Section(title, text, _facts(material, result), cards, result)


def _opened(data: SequencesLike, model: Model) -> Windows:
    """Open sequences, each as one window if the model does not cut them."""
    if model.window is not None:
        return model.windows(data)
    is_open = isinstance(data, Sequences)
    return whole_windows(data if is_open else as_sequences(data, schema=model.schema))


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
    noun = "sequences" if material.model.window is None else "windows"
    facts.append((f"{len(material.lengths):,}", noun))
    if result.seconds is not None:
        facts.append((f"{result.seconds:.0f} s", "training"))
    return facts


def _check_labels(labels: ArrayLike, num: int) -> np.ndarray:
    """Return one label for each sequence, in types that can be sorted."""
    labels = np.asarray(labels).ravel()
    check_one_each(len(labels), "labels", num, "sequences")
    if labels.dtype == object:
        types = {type(label) for label in labels.tolist()}
        if len(types) > 1 or type(None) in types:  # mixed types have no order
            labels = labels.astype(str)
    distinct = np.unique(labels).tolist()
    if len(distinct) < 2:
        raise DataError(f"There is only one label: {distinct[0]!r}. Colors need at least two.")
    return labels


def _sample_rows(lengths: np.ndarray, width: int, limit: int, seed: int) -> np.ndarray:
    """Return the sorted indices of a random sample; all if there are few and they are short."""
    padded = max(1, int(lengths.max(initial=0))) * width
    count = min(len(lengths), limit, max(MIN_SEQUENCES, MAX_VALUES // padded))
    if count == len(lengths):
        return np.arange(count)
    rows = np.random.default_rng(seed).choice(len(lengths), count, replace=False)
    if not lengths[rows].any():  # almost all sequences are empty; include one that is not
        rows[0] = lengths.argmax()
    return np.sort(rows)


def _training_sample(model: Model, train: Sequences, seed: int) -> Sequences:
    """Return the training sequences that PCA is fitted on, or a sample of them."""
    rows = _sample_rows(train.lengths, model.schema.output_width, MAX_TRAINING, seed)
    train = train[rows].align(model.schema)
    train = train[~model.held_back(train)]
    if len(train) < 2 or not train.lengths.any():
        raise DataError(
            "PCA is fitted on the sequences that the model was trained on, and needs at least two, "
            f"not all of them empty. Got {len(train)} with {int(train.lengths.sum())} steps. "
            "Pass more training data."
        )
    return train


def _reconstruct_by_pca(
    model: Model, sequences: Sequences, train: Sequences | None, size: int, seed: int
) -> tuple[Sequences | None, int, str]:
    """Return reconstructions by PCA, its number of components, and a note on its fit."""
    fit_on = np.ones(0, bool) if train is not None else ~model.held_back(sequences)
    num_fit = int(fit_on.sum())
    if train is None and (num_fit < 3 or (sequences.lengths[fit_on] > 0).sum() < 2):
        return None, 0, "PCA is not shown, because there are too few sequences to fit it on."
    folds = min(FOLDS, num_fit)
    units = model.error_scaler
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # unknown categories, which encoding warned of
        if train is not None:
            longest, num_train = int(train.lengths.max()), len(train)
            components = min(size, num_train, model.schema.output_width * longest)
            back = PCABaseline(components).fit(train, units).reconstruct(sequences)
            note = (
                f"is fitted on {num_train:,} sequences of the training data of the model. It is "
                "given the true lengths; Refold decodes them from the code."
            )
        else:
            longest, num_train = int(sequences.lengths.max()), num_fit - -(-num_fit // folds)
            components = min(size, num_train, model.schema.output_width * longest)
            back = pca_cross_fit(sequences, size, units, folds=folds, seed=seed, fit_on=fit_on)
            note = (
                f"is fitted on {folds - 1} of {folds} parts of these sequences and measured on the "
                "part left out, in turn. It is given the true lengths. The error of Refold is that "
                "of the model as it is. If the model was trained on these sequences, its error is "
                "smaller than on new ones."
            )
            if num_fit < len(sequences):
                note += (
                    f" PCA is not fitted on {len(sequences) - num_fit:,} of them, because they "
                    "were held back from the training of the model."
                )
    if components < size:
        note = f"(with {components} components, the maximum for this data) {note}"
    return back, components, f"PCA {note}"


def _scores_of(
    model: Model, sequences: Sequences, methods: dict[str, Sequences]
) -> tuple[Score, ...]:
    """Return the scores that apply, the main one first."""
    measures = [fidelity(sequences, back, model.error_scaler) for back in methods.values()]
    quantities: tuple[Quantity, ...] = ("nmse", "accuracy")
    if not model.schema.numeric.any():
        quantities = ("exact", "accuracy")
    scores = []
    for quantity in quantities:
        ours, *others = (getattr(measure, quantity) for measure in measures)
        if ours is not None:
            scores.append(Score(quantity, ours, others[0] if others else None))
    return tuple(scores)
