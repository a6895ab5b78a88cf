"""Held-out errors of fits and of PCA by the size of the code."""

from collections.abc import Iterable
from typing import Any, NamedTuple

from refold import training
from refold._support.argument_checks import draw_seed, is_whole
from refold._support.console import log
from refold.errors import DataError, ParameterError
from refold.estimator import SequenceAutoencoder
from refold.evaluation import Fidelity


class ErrorCurve(NamedTuple):
    """Held-out errors by the size of the code.

    Attributes
    ----------
    sizes : tuple of int
        Latent dimensions, ascending.
    errors, pca : tuple of float
        Error of a fit with codes of each size, and of PCA with as many components, or with all of
        them if there are fewer.
    measure : {"NMSE", "1 - accuracy"}
        Measure of the errors: squared error over power of the numeric columns or, if no column is
        numeric, the share of the steps with a wrong token.
    num_sequences, num_held_out : int
        Number of all sequences used, and of held-out ones.
    complete : bool
        Whether all requested sizes are there; False after Ctrl-C.
    accuracy, pca_accuracy : tuple of float
        Share of the steps whose binary and categorical values are all correct; empty if all columns
        are numeric.

    Examples
    --------
    >>> curve = ErrorCurve((2, 4), (0.3, 0.1), (0.4, 0.15), "NMSE", 100, 10)
    >>> min(curve.errors)
    0.1
    """

    sizes: tuple[int, ...]
    errors: tuple[float, ...]
    pca: tuple[float, ...]
    measure: str
    num_sequences: int
    num_held_out: int
    complete: bool = True
    accuracy: tuple[float, ...] = ()
    pca_accuracy: tuple[float, ...] = ()


def error_curve(
    X: Any,
    sizes: Iterable[int] = (2, 4, 8, 16, 32),
    *,
    estimator: SequenceAutoencoder | None = None,
) -> ErrorCurve:
    """Fit sequences with codes of several sizes, and measure each fit on held-out sequences.

    All sizes use the same split and seed. PCA is fitted on the same training part, standardized and
    padded with zeros, and knows the true lengths.

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
        After Ctrl-C it has the finished sizes.

    Raises
    ------
    ParameterError
        If a size is not a positive integer, an argument of the estimator is invalid, or nothing is
        held out.
    DataError
        If the sequences cannot be used.
    KeyboardInterrupt
        On Ctrl-C before the first size is finished.

    Examples
    --------
    >>> import refold
    >>> sines = refold.datasets.noisy_sines(40, seed=0, max_steps=30)
    >>> short = refold.SequenceAutoencoder(units=8, latent_steps=0, max_epochs=2, random_state=0)
    >>> curve = refold.error_curve(sines, [2, 4], estimator=short)
    >>> curve.sizes, curve.measure, curve.num_held_out
    ((2, 4), 'NMSE', 4)
    """
    chosen = _check_sizes(sizes)
    estimator = SequenceAutoencoder() if estimator is None else estimator
    parameters = estimator.get_params(deep=False)
    training.check_arguments(parameters)
    sequences = training.open_training(X, parameters["missing_values"])
    if not len(sequences):
        raise DataError("There is no sequence to fit on. Give at least two.")
    seed, verbose = draw_seed(estimator.random_state), parameters["verbose"]
    trials = training.Trials(sequences, parameters, training.fit, seed=seed, most=chosen[-1])
    if verbose and trials.num_sequences < len(sequences):
        log(f"Fitting {trials.num_sequences} of {len(sequences)} sequences.")
    ours: list[Fidelity] = []
    pca: list[Fidelity] = []
    try:
        for i, size in enumerate(chosen, start=1):
            linear = trials.of_pca(size)
            found = trials.of_fit(size, parameters["time_budget"])
            ours.append(found)
            pca.append(linear)
            if verbose:
                log(f"{i} of {len(chosen)}: size {size}, {found.text(linear)}")
    except KeyboardInterrupt:
        if not ours:
            raise
    return ErrorCurve(
        chosen[: len(ours)],
        tuple(one.error for one in ours),
        tuple(one.error for one in pca[: len(ours)]),
        ours[0].measure,
        trials.num_sequences,
        len(trials.held_out.sequences),
        len(ours) == len(chosen),
        _accuracy(ours),
        _accuracy(pca[: len(ours)]),
    )


def _accuracy(measured: list[Fidelity]) -> tuple[float, ...]:
    return tuple(one.accuracy for one in measured if one.accuracy is not None)


def _check_sizes(sizes: Iterable[int]) -> tuple[int, ...]:
    given = tuple(sizes)
    for size in given:
        if not is_whole(size):
            raise ParameterError(f"sizes must be positive integers. Got {size!r}.")
    if not given:
        raise ParameterError("sizes must be positive integers, at least one. Got none.")
    return tuple(sorted({int(size) for size in given}))
