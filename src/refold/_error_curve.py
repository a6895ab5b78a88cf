"""Held-out errors of autoencoders and of PCA by the number of latent dimensions."""

from collections.abc import Iterable

from refold import training
from refold._support.arrays import draw_seed
from refold._support.messages import log
from refold._support.rules import check_integer, check_not_empty
from refold.arguments import Arguments
from refold.estimator import SequenceAutoencoder
from refold.evaluation import ErrorCurve, Fidelity
from refold.model import SequencesLike


def error_curve(
    X: SequencesLike,
    sizes: Iterable[int] = (2, 4, 8, 16, 32),
    *,
    estimator: SequenceAutoencoder | None = None,
) -> ErrorCurve:
    """Fit autoencoders with codes of several sizes, and measure each on held-out sequences.

    All sizes use the same split and seed. PCA is fitted on the same training sequences,
    standardized and padded with zeros, and knows the true lengths.

    Parameters
    ----------
    X : Sequences, list of arrays, array, table or path
        Data as for `SequenceAutoencoder.fit`. Data in files is sampled.
    sizes : iterable of int, default=(2, 4, 8, 16, 32)
        Numbers of latent dimensions to fit.
    estimator : SequenceAutoencoder, optional
        Estimator with the settings, which is not fitted itself. ``time_budget`` holds for each
        size. ``latent_dim``, ``refit`` and ``calibration_fraction`` are ignored. ``verbose=1``
        shows progress.

    Returns
    -------
    ErrorCurve
        After Ctrl-C it has the finished sizes; without any, the KeyboardInterrupt is raised.

    Examples
    --------
    >>> import refold
    >>> sines = refold.datasets.noisy_sines(40, seed=0, max_steps=30)
    >>> short = refold.SequenceAutoencoder(units=8, latent_steps=0, max_epochs=2, random_state=0)
    >>> curve = refold.error_curve(sines, [2, 4], estimator=short)
    >>> curve.sizes, curve.measure, curve.num_held_out
    ((2, 4), 'NMSE', 4)
    """
    sizes = tuple(sizes)  # an iterator can be read only once
    check_not_empty(len(sizes), "size", "to fit")
    sizes = tuple(sorted({check_integer("sizes", latent_dim) for latent_dim in sizes}))
    estimator = SequenceAutoencoder() if estimator is None else estimator
    arguments = Arguments.of(estimator)
    training.check_arguments(arguments)
    windows = training.open_training_data(X, arguments)
    check_not_empty(len(windows.sequences), "sequence", "to fit on")
    seed, verbose = draw_seed(estimator.random_state), arguments.verbose
    trials = training.Trials(windows, arguments, training.fit, seed=seed, max_latent_dim=sizes[-1])
    if verbose and trials.num_sequences < len(windows.sequences):
        log(f"Fitting {trials.num_sequences} of {len(windows.sequences)} sequences.")
    pairs: list[tuple[Fidelity, Fidelity]] = []  # of the autoencoder and of PCA, for each size
    try:
        for i, latent_dim in enumerate(sizes, start=1):
            pca = trials.evaluator.pca_errors(latent_dim)
            autoencoder = trials.fit_error(latent_dim, arguments.time_budget)
            pairs.append((autoencoder, pca))
            if verbose:
                log(f"{i} of {len(sizes)}: size {latent_dim}, {autoencoder.text(pca)}")
    except KeyboardInterrupt:
        if not pairs:
            raise
    autoencoders, pcas = zip(*pairs, strict=True)
    return ErrorCurve(
        sizes[: len(pairs)],
        tuple(fidelity.error for fidelity in autoencoders),
        tuple(fidelity.error for fidelity in pcas),
        autoencoders[0].measure,
        trials.num_sequences,
        len(trials.evaluator.sequences),
        len(pairs) == len(sizes),
        tuple(fidelity.accuracy for fidelity in autoencoders if fidelity.accuracy is not None),
        tuple(fidelity.accuracy for fidelity in pcas if fidelity.accuracy is not None),
    )
