"""The data of a report: a sample of the sequences, their codes, reconstructions and scores."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from refold._support.argument_checks import check_one_each, check_some, check_whole
from refold.errors import DataError
from refold.evaluation import PCABaseline, fidelity, pca_cross_fit
from refold.model import HEAD, Model, describe_longer
from refold.report._score import Quantity, Result, Score
from refold.sequences import Sequences

Stage = Callable[[str], Any]

MAX_VALUES = 1 << 24  # padded values of the sample, unless MIN_SEQUENCES have more
MIN_SEQUENCES = 8
MAX_TRAINING = 20_000  # sequences that PCA is fitted on
FOLDS = 5  # of PCA without training data


@dataclass(frozen=True)
class ReportData:
    """Everything that the cards of a section are drawn from."""

    model: Model
    sequences: Sequences  # the sample, (n,), with the columns of the model
    lengths: np.ndarray  # of all sequences, in the sample or not
    codes: np.ndarray  # (n, width)
    methods: dict[str, Sequences]  # reconstructions by "Refold" and, if it could be fitted, "PCA"
    labels: np.ndarray | None  # (n,)
    label_name: str
    note: str  # what PCA was fitted on, and how many sequences are longer than any in training
    result: Result
    seed: int

    @property
    def sampled(self) -> bool:
        """Whether there are more sequences than in the sample."""
        return len(self.lengths) > len(self.sequences)


def gather(
    model: Model,
    source: Sequences,
    *,
    name: str,
    labels: ArrayLike | None,
    label_name: str | None,
    train: Sequences | None,
    max_sequences: int,
    seed: int,
    seconds: float | None,
    stage: Stage,
) -> ReportData:
    """Encode, decode and measure a sample of the data, by the model and by PCA."""
    max_sequences = check_whole("max_sequences", max_sequences)
    seed = check_whole("seed", seed, 0)
    check_some(len(source), "sequence", "to report on")
    if not source.lengths.any():
        raise DataError(
            f"There is nothing to report on: {len(source)} sequences, all of them empty."
        )
    labels = _checked_labels(labels, len(source))
    width = model.schema.output_width
    rows = _sample(source.lengths, width, max_sequences, seed)
    others = None if train is None else _training(model, train, seed)
    stage("encoding")
    sequences = source[rows].align(model.schema)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", f".* {HEAD}")  # reconstruct warns of the same
        codes = np.asarray(model.encode(sequences))
    stage("decoding")
    decoded = model.reconstruct(sequences, codes=codes)
    back = Sequences.from_list(decoded, schema=model.schema).with_ids(sequences.ids)
    stage("PCA")
    methods = {"Refold": back}
    size = codes.shape[1]
    linear, pca_size, pca_note = _linear(model, sequences, others, size, seed)
    longer = describe_longer(sequences.lengths, model.max_steps, "reconstructions")
    if linear is not None:
        methods["PCA"] = linear
    history = model.history.epochs.get("seconds") or [None]
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


def _checked_labels(labels: ArrayLike | None, num: int) -> np.ndarray | None:
    if labels is None:
        return None
    labels = np.asarray(labels)
    if labels.ndim != 1:
        raise DataError(f"labels must have shape (n_sequences,). Got {labels.shape}.")
    check_one_each(len(labels), "labels", num, "sequences")
    if labels.dtype == object:
        types = {type(label) for label in labels.tolist()}
        if len(types) > 1 or type(None) in types:  # mixed types have no order
            labels = labels.astype(str)
    distinct = np.unique(labels)
    if len(distinct) < 2:
        only = distinct.tolist()[0]
        raise DataError(f"There is only one label: {only!r}. Colors need at least two.")
    return labels


def _sample(lengths: np.ndarray, width: int, most: int, seed: int) -> np.ndarray:
    """Return the sorted indices of a random sample; all if there are few and they are short."""
    padded = max(1, int(lengths.max(initial=0))) * width
    count = min(len(lengths), most, max(MIN_SEQUENCES, MAX_VALUES // padded))
    if count == len(lengths):
        return np.arange(count)
    chosen = np.random.default_rng(seed).choice(len(lengths), count, replace=False)
    if not lengths[chosen].any():  # almost all sequences are empty; include one that is not
        chosen[0] = lengths.argmax()
    return np.sort(chosen)


def _training(model: Model, train: Sequences, seed: int) -> Sequences:
    """Return the training sequences that PCA is fitted on, or a sample of them."""
    rows = _sample(train.lengths, model.schema.output_width, MAX_TRAINING, seed)
    others = train[rows].align(model.schema)
    others = others[~model.held_back(others)]
    if len(others) < 2 or not others.lengths.any():
        raise DataError(
            "PCA is fitted on the sequences that the model was trained on, and needs at least two, "
            f"not all of them empty. Got {len(others)} with {int(others.lengths.sum())} steps. "
            "Pass more training data."
        )
    return others


def _linear(
    model: Model, sequences: Sequences, others: Sequences | None, size: int, seed: int
) -> tuple[Sequences | None, int, str]:
    """Return reconstructions by PCA, its number of components, and a note on its fit."""
    width = model.schema.output_width
    units = model.error_scaler
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # unknown categories, which encoding warned of
        if others is not None:
            components = min(size, len(others), width * int(others.lengths.max()))
            note = (
                f"PCA {_of(components, size)}is fitted on {len(others):,} sequences of the "
                "training data of the model. It is given the true lengths; Refold decodes them "
                "from the code."
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
                "PCA is not shown, because there are too few sequences to fit it on.",
            )
        folds = min(FOLDS, num_fit)
        back = pca_cross_fit(sequences, size, units, folds=folds, seed=seed, fit_on=fit_on)
        fitted_on = num_fit - -(-num_fit // folds)
        components = min(size, fitted_on, width * int(sequences.lengths.max()))
        note = (
            f"PCA {_of(components, size)}is fitted on {folds - 1} of {folds} parts of these "
            "sequences and measured on the part left out, in turn. It is given the true lengths. "
            "The error of Refold is that of the model as it is. If the model was trained on these "
            "sequences, its error is smaller than on new ones."
        )
        if num_fit < len(sequences):
            note += (
                f" PCA is not fitted on {len(sequences) - num_fit:,} of them, because they were "
                "held back from the training of the model."
            )
        return back, components, note


def _of(components: int, size: int) -> str:
    return (
        "" if components == size else f"(with {components} components, the maximum for this data) "
    )


def _scores(model: Model, sequences: Sequences, methods: dict[str, Sequences]) -> tuple[Score, ...]:
    """Return the scores that apply, the main one first."""
    found = [fidelity(sequences, back, model.error_scaler) for back in methods.values()]
    quantities: tuple[Quantity, ...] = ("nmse", "accuracy")
    if not model.schema.numeric.any():
        quantities = ("exact", "accuracy")
    scores = []
    for quantity in quantities:
        ours, *others = (getattr(one, quantity) for one in found)
        if ours is not None:
            scores.append(Score(quantity, ours, others[0] if others else None))
    return tuple(scores)
