"""`make_report_section` measures a model and draws its figures; `report` writes a page of them."""

import contextlib
import os
import warnings
from dataclasses import replace
from functools import partial
from typing import cast

import numpy as np
from numpy.typing import ArrayLike
from rich.console import Console

from refold._support.messages import collect_warnings, warn_of_each
from refold._support.optional_imports import check_report_packages
from refold._support.rules import check_counts_match, check_integer, check_not_empty
from refold.errors import DataError
from refold.evaluation import PCABaseline, cross_validated_pca, errors_by_sequence, fidelity
from refold.model import Model, ModelLike, SequencesLike, adapt_to_data, describe_excess_lengths
from refold.plots.charts import get_pandas_categories
from refold.report._cards import CARD_FUNCTIONS, ReportData
from refold.report._page import Card, Quantity, Result, Score, Section, write_page
from refold.sequences import Sequences, Windows, as_sequences, uncut_windows

# Largest number of sequences in the sample that is measured, by default. It bounds the time of a
# report.
MAX_SAMPLED_SEQUENCES = 2000
# Largest number of values of the sample, padded to the longest sequence, which bounds the memory.
# Only a sample of `MIN_SAMPLED_SEQUENCES` sequences may have more.
MAX_PADDED_VALUES = 1 << 24
# Smallest number of sequences in a sample, however long they are.
MIN_SAMPLED_SEQUENCES = 8
# Largest number of training sequences that PCA is fitted on, which bounds its memory and time.
MAX_PCA_SEQUENCES = 20_000
# Largest number of folds in which PCA is fitted and measured if there is no training data.
MAX_PCA_FOLDS = 5


def report(
    model: ModelLike,
    sequences: SequencesLike,
    path: str | os.PathLike[str],
    *,
    labels: ArrayLike | None = None,
    label_name: str | None = None,
    train: SequencesLike | None = None,
    title: str = "Report",
    max_sequences: int = MAX_SAMPLED_SEQUENCES,
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
        Label of each sequence, which colors its code on the map of codes; by default its length.
        A pandas Categorical sets the order of the legend. Other labels are sorted, numbers first.
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
    check_report_packages()
    model_section = make_report_section(
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
    write_page(path, [replace(model_section, title="")], title=title)
    return cast(Result, model_section.result)  # a section of a model always has a result


def make_report_section(
    model: ModelLike,
    sequences: SequencesLike,
    *,
    title: str,
    summary: str = "",
    labels: ArrayLike | None = None,
    label_name: str | None = None,
    train: SequencesLike | None = None,
    max_sequences: int = MAX_SAMPLED_SEQUENCES,
    seed: int = 0,
    fit_seconds: float | None = None,  # by default from the history of the model
    verbose: int = 0,
) -> Section:
    """Measure a fitted model on sequences and draw the figures of a report; see `report`."""
    model, sequences = adapt_to_data(model, sequences)
    windows = _get_windows(sequences, model)
    all_sequences = windows.sequences
    max_sequences = check_integer("max_sequences", max_sequences)
    seed = check_integer("seed", seed, 0)
    check_not_empty(int(all_sequences.lengths.sum()), "sequence with a step", "to report on")
    label_order = tuple(get_pandas_categories(labels))
    if labels is not None:
        # one label for each series, repeated for its windows
        labels = _check_labels(labels, len(windows.ids))[windows.series]
    if train is not None:
        train = _sample_training_data(model, _get_windows(train, model).sequences, seed)
    rows = _sample_rows(all_sequences.lengths, model.schema.output_width, max_sequences, seed)
    status = Console(stderr=True).status("report")  # shows nothing before `with`
    with status if verbose else contextlib.nullcontext():
        status.update("report: encoding and decoding")
        sample = all_sequences[rows].convert_to_schema(model.schema)
        with collect_warnings() as data_warnings:  # both methods warn of the same things
            codes = np.asarray(model.encode(sample))
            decoded = model.reconstruct(sample, codes=codes)
        warn_of_each(data_warnings)
        reconstructed = Sequences.from_list(decoded, schema=model.schema).with_ids(sample.ids)
        reconstructions = {"Refold": reconstructed}
        status.update("report: PCA")
        by_pca, pca_size, pca_note = _reconstruct_by_pca(model, sample, train, codes.shape[1], seed)
        if by_pca is not None:
            reconstructions["PCA"] = by_pca
        # the scores that apply to the types of the columns, the main score first
        measures = [fidelity(sample, x, model.error_scaler) for x in reconstructions.values()]
        has_numbers = model.schema.numeric.any()
        quantities: tuple[Quantity, ...] = ("nmse" if has_numbers else "exact", "accuracy")
        scores = []
        for quantity in quantities:
            value, *pca_value = (getattr(measure, quantity) for measure in measures)
            if value is not None:
                scores.append(Score(quantity, value, pca_value[0] if pca_value else None))
        report_data = ReportData(
            model=model,
            sequences=sample,
            all_lengths=np.asarray(all_sequences.lengths),
            codes=codes,
            reconstructions=reconstructions,
            errors=errors_by_sequence(sample, reconstructed, model.error_scaler),
            scores=tuple(scores),
            labels=None if labels is None else labels[rows],
            label_name=label_name or "label",
            label_order=label_order,
            seed=seed,
        )
        cards: list[Card] = []
        for make_cards in CARD_FUNCTIONS:
            status.update(f"report: {make_cards.__name__.removeprefix('make_').replace('_', ' ')}")
            cards += make_cards(report_data)
    if fit_seconds is None:
        # time from the start of the training to the end of its last epoch; None without a history
        fit_seconds = [None, *model.history.epochs.get("seconds", ())][-1]
    result = Result(title, len(sample), codes.shape[1], pca_size, report_data.scores, fit_seconds)
    length_note = describe_excess_lengths(sample.lengths, model.max_training_length)
    full_summary = " ".join(text for text in (summary, pca_note, length_note) if text)
    return Section(title, full_summary, _make_key_figures(report_data, result), cards, result)


def _get_windows(sequences: SequencesLike, model: Model) -> Windows:
    """Return the windows of sequences; if the model has no ``window``, the sequences themselves."""
    if model.window is not None:
        return model.windows(sequences)
    if not isinstance(sequences, Sequences):
        sequences = as_sequences(sequences, schema=model.schema)
    return uncut_windows(sequences)


def _make_key_figures(report_data: ReportData, result: Result) -> list[tuple[str, str]]:
    """Return the key figures of a section, such as ("0.031", "NMSE, Refold")."""
    figures = []
    for score in result.scores:
        figures.append((score.format_number(score.value), f"{score.unit}, Refold"))
        if score.pca is not None:
            figures.append((score.format_number(score.pca), f"{score.unit}, PCA given the lengths"))
    figures.append((str(result.code_size), "code size"))
    lengths = report_data.sequences.lengths
    # sequences longer than any of the training are decoded at their true length
    has_decoded_length = lengths <= report_data.model.max_training_length
    if has_decoded_length.any() and lengths.min() < lengths.max():
        is_correct = report_data.reconstructions["Refold"].lengths == lengths
        correct_share = float(is_correct[has_decoded_length].mean())
        # rounded down to a tenth of a percent, so that 100 % means all
        figures.append((f"{int(1000 * correct_share) / 10:g} %", "lengths decoded correctly"))
    noun = "sequences" if report_data.model.window is None else "windows"
    figures.append((f"{len(report_data.all_lengths):,}", noun))
    if result.seconds is not None:
        figures.append((f"{result.seconds:.0f} s", "training"))
    return figures


def _check_labels(labels: ArrayLike, num_sequences: int) -> np.ndarray:
    """Return the labels as an array that can be sorted, or raise an error."""
    labels = np.asarray(labels).ravel()
    check_counts_match(len(labels), "labels", num_sequences, "sequences")
    if labels.dtype == object:
        types = {type(label) for label in labels.tolist()}
        if len(types) > 1 or type(None) in types:  # mixed types have no order
            labels = labels.astype(str)
    distinct = np.unique(labels).tolist()
    if len(distinct) < 2:
        raise DataError(f"There is only one label: {distinct[0]!r}. Colors need at least two.")
    return labels


def _sample_rows(lengths: np.ndarray, values_per_step: int, max_size: int, seed: int) -> np.ndarray:
    """Return the sorted indices of a random sample, or all indices if they are few enough."""
    padded_width = max(1, int(lengths.max(initial=0))) * values_per_step  # of a padded sequence
    max_padded = max(MIN_SAMPLED_SEQUENCES, MAX_PADDED_VALUES // padded_width)
    count = min(len(lengths), max_size, max_padded)
    if count == len(lengths):
        return np.arange(count)
    rows = np.random.default_rng(seed).choice(len(lengths), count, replace=False)
    if not lengths[rows].any():  # almost all sequences are empty; include one that is not
        rows[0] = lengths.argmax()
    return np.sort(rows)


def _sample_training_data(model: Model, fit_data: Sequences, seed: int) -> Sequences:
    """Return the training sequences that PCA is fitted on, or a sample of them."""
    rows = _sample_rows(fit_data.lengths, model.schema.output_width, MAX_PCA_SEQUENCES, seed)
    sample = fit_data[rows].convert_to_schema(model.schema)
    # only sequences that the model may have been trained on
    sample = sample[~model.held_back(sample)]
    if len(sample) < 2 or not sample.lengths.any():
        raise DataError(
            "PCA is fitted on the sequences that the model was trained on, and needs at least two, "
            f"not all of them empty. Got {len(sample)} with {int(sample.lengths.sum())} steps. "
            "Pass more training data."
        )
    return sample


def _reconstruct_by_pca(
    model: Model, sequences: Sequences, fit_data: Sequences | None, num_components: int, seed: int
) -> tuple[Sequences | None, int, str]:
    """Return reconstructions by PCA, its number of components, and a note on its fit."""
    scaler = model.error_scaler
    if fit_data is not None:
        num_fitted, max_steps = len(fit_data), int(fit_data.lengths.max())
        note = (
            f"is fitted on {num_fitted:,} sequences of the training data of the model. It is "
            "given the true lengths; Refold decodes them from the code."
        )

        def fit_pca_and_reconstruct() -> Sequences:  # called below, after `components` is set
            return PCABaseline(components).fit(fit_data, scaler).reconstruct(sequences)

    else:
        # PCA is cross-fitted on those of the sequences that the model may have been trained on
        is_training = ~model.held_back(sequences)
        num_usable = int(is_training.sum())
        if num_usable < 3 or (sequences.lengths[is_training] > 0).sum() < 2:
            return None, 0, "PCA is not shown, because there are too few sequences to fit it on."
        folds = min(MAX_PCA_FOLDS, num_usable)
        # the number of sequences to fit on if the largest fold (rounded up) is left out
        num_fitted, max_steps = num_usable - -(-num_usable // folds), int(sequences.lengths.max())
        note = (
            f"is fitted on {folds - 1} of {folds} parts of these sequences and measured on the "
            "part left out, in turn. It is given the true lengths. Refold is not fitted again: its "
            "error is that of the given model. If the model was trained on these sequences, its "
            "error is smaller than on new ones."
        )
        if num_usable < len(sequences):
            note += (
                f" PCA is not fitted on {len(sequences) - num_usable:,} of them, because they were "
                "held back from the training of the model."
            )
        # `cross_validated_pca` lowers `num_components` for each fold if necessary
        fit_pca_and_reconstruct = partial(
            cross_validated_pca,
            *(sequences, num_components, scaler),
            folds=folds,
            seed=seed,
            is_training=is_training,
        )
    # PCA has at most as many components as sequences, and as values of a padded sequence
    components = min(num_components, num_fitted, model.schema.output_width * max_steps)
    with warnings.catch_warnings():
        # encoding has already warned of unknown categories
        warnings.simplefilter("ignore", UserWarning)
        reconstructed = fit_pca_and_reconstruct()
    if components < num_components:
        note = f"(with {components} components, the maximum for this data) {note}"
    return reconstructed, components, f"PCA {note}"
