"""The data of a report: a sample of the sequences, their codes, reconstructions and scores."""

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from refold._support.argument_checks import check_one_each
from refold.errors import DataError
from refold.evaluation import PCABaseline, SequenceErrors, fidelity, pca_cross_fit
from refold.model import Model
from refold.report._score import Quantity, Score
from refold.sequences import Sequences

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
    errors: SequenceErrors  # of Refold, by sequence
    scores: tuple[Score, ...]  # the main one first
    labels: np.ndarray | None  # (n,)
    label_name: str
    seed: int

    @property
    def sampled(self) -> bool:
        """Whether there are more sequences than in the sample."""
        return len(self.lengths) > len(self.sequences)


def check_labels(labels: ArrayLike, num: int) -> np.ndarray:
    """Return one label for each sequence, in types that can be sorted."""
    labels = np.asarray(labels)
    if labels.ndim != 1:
        raise DataError(f"labels must have shape (n_sequences,). Got {labels.shape}.")
    check_one_each(len(labels), "labels", num, "sequences")
    if labels.dtype == object:
        types = {type(label) for label in labels.tolist()}
        if len(types) > 1 or type(None) in types:  # mixed types have no order
            labels = labels.astype(str)
    distinct = np.unique(labels).tolist()
    if len(distinct) < 2:
        raise DataError(f"There is only one label: {distinct[0]!r}. Colors need at least two.")
    return labels


def sample_rows(lengths: np.ndarray, width: int, limit: int, seed: int) -> np.ndarray:
    """Return the sorted indices of a random sample; all if there are few and they are short."""
    padded = max(1, int(lengths.max(initial=0))) * width
    count = min(len(lengths), limit, max(MIN_SEQUENCES, MAX_VALUES // padded))
    if count == len(lengths):
        return np.arange(count)
    rows = np.random.default_rng(seed).choice(len(lengths), count, replace=False)
    if not lengths[rows].any():  # almost all sequences are empty; include one that is not
        rows[0] = lengths.argmax()
    return np.sort(rows)


def training_sample(model: Model, train: Sequences, seed: int) -> Sequences:
    """Return the training sequences that PCA is fitted on, or a sample of them."""
    rows = sample_rows(train.lengths, model.schema.output_width, MAX_TRAINING, seed)
    train = train[rows].align(model.schema)
    train = train[~model.held_back(train)]
    if len(train) < 2 or not train.lengths.any():
        raise DataError(
            "PCA is fitted on the sequences that the model was trained on, and needs at least two, "
            f"not all of them empty. Got {len(train)} with {int(train.lengths.sum())} steps. "
            "Pass more training data."
        )
    return train


def reconstruct_by_pca(
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


def scores_of(
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
