"""What a report is made of: a sample of the data, its codes, and what comes back from them."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from refold._support.argument_checks import check_whole
from refold.errors import DataError
from refold.evaluation import PCABaseline, fidelity, pca_cross_fit
from refold.inference import HEAD, describe_longer
from refold.report._score import Quantity, Result, Score
from refold.sequences import Scan, Sequences

__all__ = ["ReportData", "Stage", "gather"]

Stage = Callable[[str], Any]

# Padded values at most of the sequences that are looked at, and sequences all the same; sequences
# at most that PCA is fitted on.
MOST_VALUES, FEWEST, MOST_TRAINING = 1 << 24, 8, 20_000
FOLDS = 5


@dataclass(frozen=True)
class ReportData:
    """Everything that the cards of a section are drawn from.

    Attributes
    ----------
    model : SequenceAutoencoder
    sequences : Sequences of shape (n,)
        Those that are looked at, in the columns of the model.
    lengths : array of int
        Of all sequences of the data.
    codes : array of shape (n, width)
    methods : dict of str to Sequences of shape (n,)
        What comes back: ``"Refold"``, and ``"PCA"`` where it could be fitted.
    labels : array of shape (n,) or None
    label_name : str
    note : str
        What PCA was fitted on, and how many sequences are longer than any in training.
    result : Result
    seed : int
    """

    model: Any
    sequences: Sequences
    lengths: np.ndarray
    codes: np.ndarray
    methods: dict[str, Sequences]
    labels: np.ndarray | None
    label_name: str
    note: str
    result: Result
    seed: int

    @property
    def sampled(self) -> bool:
        """Whether there are more sequences than are looked at."""
        return len(self.lengths) > len(self.sequences)


def gather(
    model: Any,
    source: Sequences | Scan,
    *,
    name: str,
    labels: Any,
    label_name: str | None,
    train: Sequences | Scan | None,
    max_sequences: int,
    seed: int,
    seconds: float | None,
    stage: Stage,
) -> ReportData:
    """Encode, decode and measure a sample of the data, and PCA beside it.

    Raises
    ------
    DataError
        If there is no sequence or no step, or the labels do not fit or are all the same.
    SchemaError
        If the columns are not those of the model.
    ParameterError
        If ``max_sequences`` is not at least 1, or ``seed`` not at least 0.
    """
    max_sequences = check_whole("max_sequences", max_sequences)
    seed = check_whole("seed", seed, 0)
    if not len(source):
        raise DataError("There is no sequence to report on. Give at least one.")
    if not source.lengths.any():
        raise DataError(
            f"There is nothing to report on: {len(source)} sequences, all of them empty."
        )
    labels = _checked_labels(labels, len(source))
    width = model.schema_.output_width
    rows = _sample(source.lengths, width, max_sequences, seed)
    others = None if train is None else _training(model, train, seed)
    stage("encoding")
    sequences = _taken(source, rows).align(model.schema_)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", f".* {HEAD}")  # reconstruct says so, too
        codes = np.asarray(model.encode(sequences))
    stage("decoding")
    back = _back(model, sequences, codes)
    stage("PCA")
    methods = {"Refold": back}
    size = codes.shape[1]
    linear, pca_size, pca_note = _linear(model, sequences, others, size, seed)
    longer = describe_longer(sequences.lengths, model.max_steps_, "reconstructions")
    if linear is not None:
        methods["PCA"] = linear
    history = model.history_.get("seconds") or [None]
    result = Result(
        name,
        len(sequences),
        size,
        pca_size,
        _scores(model, sequences, methods),
        history[-1] if seconds is None else seconds,
    )
    return ReportData(
        model,
        sequences,
        np.asarray(source.lengths),
        codes,
        methods,
        None if labels is None else labels[rows],
        label_name or "label",
        " ".join(note for note in (pca_note, longer) if note),
        result,
        seed,
    )


def _checked_labels(labels: Any, num: int) -> np.ndarray | None:
    if labels is None:
        return None
    labels = np.asarray(labels)
    if labels.shape != (num,):
        raise DataError(f"Expected one label for each of {num} sequences. Got {labels.shape}.")
    if labels.dtype == object:
        column_types = {type(label) for label in labels.tolist()}
        if (
            len(column_types) > 1 or type(None) in column_types
        ):  # text and missing ones, which have no order
            labels = labels.astype(str)
    distinct = np.unique(labels)
    if len(distinct) < 2:
        only = distinct.tolist()[0]
        raise DataError(f"There is but one label: {only!r}. Colours take at least two.")
    return labels


def _sample(lengths: np.ndarray, width: int, most: int, seed: int) -> np.ndarray:
    """Choose sequences at random, in order, all where they are few and short."""
    padded = max(1, int(lengths.max(initial=0))) * width
    count = min(len(lengths), most, max(FEWEST, MOST_VALUES // padded))
    if count == len(lengths):
        return np.arange(count)
    chosen = np.random.default_rng(seed).choice(len(lengths), count, replace=False)
    if not lengths[chosen].any():  # hardly a step in all of the data
        chosen[0] = lengths.argmax()
    return np.sort(chosen)


def _taken(source: Any, rows: np.ndarray) -> Sequences:
    return source[rows] if isinstance(source, Sequences) else source.take(rows)


def _back(model: Any, sequences: Sequences, codes: np.ndarray) -> Sequences:
    decoded = model.reconstruct(sequences, codes=codes)
    return Sequences.from_list(decoded, schema=model.schema_, ids=sequences.ids)


def _training(model: Any, train: Any, seed: int) -> Sequences:
    """Return what PCA is fitted on, of much a part."""
    rows = _sample(train.lengths, model.schema_.output_width, MOST_TRAINING, seed)
    others = _taken(train, rows).align(model.schema_)
    others = others[~model.held_back(others)]
    if len(others) < 2 or not others.lengths.any():
        raise DataError(
            "PCA is fitted on the sequences that the model was trained on, and needs two of them, "
            f"with a step. Got {len(others)} with {int(others.lengths.sum())} steps. Give other "
            "data."
        )
    return others


def _linear(
    model: Any, sequences: Sequences, others: Sequences | None, size: int, seed: int
) -> tuple[Sequences | None, int, str]:
    """Reconstruct by PCA of the training data, or of the other sequences; and say of which."""
    width = model.schema_.output_width
    units = model.error_scaler_
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of labels, which encoding has remarked on
        if others is not None:
            components = min(size, len(others), width * int(others.lengths.max()))
            note = (
                f"PCA {_of(components, size)}is fitted on {len(others):,} sequences of the "
                "training data that the model was trained on, and told the lengths; Refold reads "
                "them in the code."
            )
            return (
                PCABaseline(components).fit(others, units).reconstruct(sequences),
                components,
                note,
            )
        fit_on = ~model.held_back(sequences)
        num_fit = int(fit_on.sum())
        if num_fit < 3 or (sequences.lengths[fit_on] > 0).sum() < 2:
            return (
                None,
                0,
                "There is no PCA beside it, as these are too few sequences to fit it on.",
            )
        folds = min(FOLDS, num_fit)
        back = pca_cross_fit(sequences, size, units, folds=folds, seed=seed, fit_on=fit_on)
        fitted_on = num_fit - -(-num_fit // folds)
        components = min(size, fitted_on, width * int(sequences.lengths.max()))
        note = (
            f"PCA {_of(components, size)}is fitted on {folds - 1} of {folds} parts of these "
            "sequences and measured on the part left out, in turn, and told the lengths. Refold's "
            "error is that of the model as it is: smaller than on new sequences, if it was trained "
            "on these."
        )
        if num_fit < len(sequences):
            note += (
                f" PCA is not fitted on {len(sequences) - num_fit:,} of them either, which were "
                "held back from the training of the model."
            )
        return back, components, note


def _of(components: int, size: int) -> str:
    return "" if components == size else f"(with {components} numbers, as there are no more) "


def _scores(model: Any, sequences: Sequences, methods: dict[str, Sequences]) -> tuple[Score, ...]:
    """Return the scores that there are; the first one is the one that counts."""
    found = [fidelity(sequences, back, model.error_scaler_) for back in methods.values()]
    quantities: tuple[Quantity, ...] = ("nmse", "accuracy")
    if not model.schema_.numeric.any():
        quantities = ("exact", "accuracy")
    scores = []
    for quantity in quantities:
        ours, *others = (getattr(one, quantity) for one in found)
        if ours is not None:
            scores.append(Score(quantity, ours, others[0] if others else None))
    return tuple(scores)
