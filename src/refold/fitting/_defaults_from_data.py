"""What the data decides where an argument leaves it open."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from refold.errors import ParameterError
from refold.fitting._data_sources import FileSource, MemorySource
from refold.models import DECODERS, Architecture, Specification, most_linear_steps
from refold.sequences import Schema
from refold.training import Corruption, pick_patch

__all__ = ["check_latent_steps", "pick_latent_steps", "rocket_dim_within", "specify"]

_DROPOUT = 0.2
# Steps of a sequence of symbols up to which more sequences come back whole if it is written step by
# step, with no linear path; beyond, hardly any does, and more symbols come back all at once.
_FEW_SYMBOLS = 32
# Numbers of a code from which some are for telling sequences apart, and how many: with fewer
# numbers, or more of them for that, the error would be larger than that of PCA of the same size.
_MANY_NUMBERS, _DISCRIMINATIVE = 32, 8
# Steps of the search for a code, and training sequences from which it is left out by default.
_REFINE_STEPS, _FEW_TO_REFINE = 10, 2000


def specify(
    source: MemorySource | FileSource, parameters: Mapping[str, Any], chosen: np.ndarray
) -> Specification:
    """Write down what the network is to be built from.

    Parameters
    ----------
    source : MemorySource or FileSource
    parameters : mapping
        The estimator's arguments, checked.
    chosen : array of int
        The sequences that are trained on.

    Returns
    -------
    Specification

    Raises
    ------
    ParameterError
        If steps are to be dropped from what cannot do without any, or nothing can be forecast.
    """
    schema, lengths = source.sequences.schema, source.sequences.lengths
    architecture, typical = parameters["architecture"], _typical(lengths)
    symbols = architecture == "default" and not schema.numeric.any()
    room = most_linear_steps(schema.output_width, int(parameters["latent_dim"]))
    at_once = _FEW_SYMBOLS < typical <= room
    decoder = _pick_decoder(parameters, stepwise=symbols and not at_once)
    drops_steps = Corruption.of(parameters["denoise"]).steps > 0
    if drops_steps and isinstance(architecture, str) and architecture != "default":
        raise ParameterError(
            f"architecture={architecture!r} knows no missing values, which denoise="
            f"{parameters['denoise']!r} makes of steps. Use architecture='default', or noise alone."
        )
    _check_forecast(parameters, int(lengths.max()))
    return Specification(
        architecture=architecture if isinstance(architecture, str) else "custom",
        column_types=[column.type for column in schema.columns],
        num_categories=[len(column.categories) for column in schema.columns],
        observed_flags=source.has_gaps() or drops_steps,
        latent_dim=int(parameters["latent_dim"]),
        max_steps=max(1, int(lengths.max())),
        units=int(parameters["units"]),
        depth=int(parameters["depth"]),
        cell=parameters["cell"],
        dropout=_DROPOUT,
        length_mean=float(lengths[chosen].mean()),
        length_deviation=float(lengths[chosen].std()),
        decoder=decoder,
        variational=bool(parameters["variational"]),
        patch=_pick_patch(parameters, decoder, typical),
        linear_path=at_once and not DECODERS[decoder].reads_previous if symbols else None,
        rocket_dim=_pick_discriminative(parameters, len(chosen), int(lengths.max()), schema),
        forecast_steps=int(parameters["forecast_steps"]),
    )


def _check_forecast(parameters: Mapping[str, Any], longest: int) -> None:
    steps = parameters["forecast_steps"]
    if not steps:
        return
    if steps >= longest:
        raise ParameterError(
            f"forecast_steps={steps} needs a sequence that is longer, and the longest has "
            f"{longest} step{'' if longest == 1 else 's'}. Ask for fewer steps."
        )
    if parameters["scale"] == "sequence":
        raise ParameterError(
            "scale='sequence' takes the level of a sequence from all of it, what is to be forecast "
            "included. Use scale='features' with forecast_steps."
        )


def _typical(lengths: np.ndarray) -> float:
    """Return the length of the sequence that an average step is in.

    Few long ones among many short ones are no reason to take all of them for long.
    """
    steps = lengths.astype(float)
    return float((steps**2).sum() / max(1.0, steps.sum()))


def _pick_decoder(parameters: Mapping[str, Any], *, stepwise: bool) -> str:
    """Pick what most comes back by: few symbols step by step, many, and numbers, all at once."""
    if parameters["decoder"] != "auto":
        return parameters["decoder"]
    return "autoregressive" if stepwise and parameters["patch"] in ("auto", 1) else "parallel"


def _pick_patch(parameters: Mapping[str, Any], decoder: str, length: float) -> int:
    if parameters["patch"] != "auto":
        return int(parameters["patch"])
    if parameters["architecture"] != "default" or not DECODERS[decoder].takes_patches:
        return 1
    return pick_patch(length)


def _pick_discriminative(
    parameters: Mapping[str, Any], chosen: int, longest: int, schema: Schema
) -> int:
    """Pick how many numbers of a code are for telling sequences apart: of many, eight.

    None where the input is corrupted, since what sequences look like is then not what it was; no
    more than there are sequences to find components of; and where the code has room for every
    value, those beyond it.
    """
    size, wanted = int(parameters["latent_dim"]), parameters["rocket_dim"]
    if wanted != "auto":
        return int(wanted)
    possible = schema.numeric.any() and parameters["architecture"] == "default"
    possible = possible and not parameters["variational"]
    if not possible or size < _MANY_NUMBERS or Corruption.of(parameters["denoise"]):
        return 0
    num_values = longest * schema.output_width
    room = size - num_values if size >= num_values else size
    return min(_DISCRIMINATIVE, room, max(0, chosen - 1))


def rocket_dim_within(rocket_dim: int | str, size: int) -> int:
    """Return how many discriminative numbers a code has whose size its error decides.

    Those that are asked for, as far as one is left to reconstruct; none where that is left open,
    so that errors fall with the size.

    Examples
    --------
    >>> rocket_dim_within("auto", 64), rocket_dim_within(8, 64), rocket_dim_within(8, 3)
    (0, 8, 2)
    """
    return 0 if isinstance(rocket_dim, str) else min(rocket_dim, size - 1)


def pick_latent_steps(parameters: Mapping[str, Any], source: MemorySource | FileSource) -> int:
    """Pick the number of steps of the search for a code.

    Left open, there is one where the encoder is furthest from the best code, with few sequences to
    train on, and where a single wrong step makes a sequence wrong, without numeric columns; not
    where data comes from files, since there speed counts.

    Parameters
    ----------
    parameters : mapping
        The estimator's arguments, checked.
    source : MemorySource or FileSource
        All that the model is fitted on, those held out included.

    Returns
    -------
    int

    Raises
    ------
    ParameterError
        If a search is asked for, and the model has none.

    Examples
    --------
    >>> from refold.sequences import as_sequences
    >>> left_open = {"latent_steps": "auto", "variational": False, "architecture": "default"}
    >>> few, many, words = [[0.5]] * 100, [[0.5]] * 5000, ["word"] * 5000
    >>> sources = [MemorySource(as_sequences(data)) for data in (few, many, words)]
    >>> [pick_latent_steps(left_open, source) for source in sources]
    [10, 0, 10]
    """
    architecture, variational = parameters["architecture"], parameters["variational"]
    if parameters["latent_steps"] != "auto":
        return check_latent_steps(parameters["latent_steps"], architecture, variational=variational)
    if architecture != "default" or variational or isinstance(source, FileSource):
        return 0
    few = len(source.sequences) < _FEW_TO_REFINE
    return _REFINE_STEPS if few or not source.sequences.schema.numeric.any() else 0


def check_latent_steps(latent_steps: int, architecture: Architecture, *, variational: bool) -> int:
    """Return a number of steps of the search for a code that the model can take.

    Parameters
    ----------
    latent_steps : int
    architecture : str or callable
    variational : bool

    Returns
    -------
    int

    Raises
    ------
    ParameterError
        If a search is asked for, and the model has none.

    Examples
    --------
    >>> check_latent_steps(5, "dense", variational=False)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    refold.errors.ParameterError: latent_steps=5 needs the default model, ... 'dense'. Use 0.
    """
    if latent_steps and variational:
        raise ParameterError(
            f"latent_steps={latent_steps} moves codes away from the mean that variational=True "
            "gives. Use 0."
        )
    if latent_steps and architecture != "default":
        own = callable(architecture) or architecture == "custom"
        name = "of your own" if own else repr(architecture)
        raise ParameterError(
            f"latent_steps={latent_steps} needs the default model, and the architecture is {name}. "
            "Use 0."
        )
    return int(latent_steps)
