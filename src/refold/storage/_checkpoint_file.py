"""Checkpoint files with the state and the identity of a training."""

import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from refold.errors import ModelFileError
from refold.storage._safetensors_file import pack, read, write


def save_checkpoint(
    path: str | os.PathLike[str],
    identity: Mapping[str, Any],
    values: Mapping[str, Any],
    arrays: dict[str, np.ndarray],
) -> None:
    """Write a checkpoint atomically.

    Parameters
    ----------
    path : path
        File to write.
    identity : mapping
        Facts that must be the same when the training is resumed, as plain JSON values.
    values : mapping
        Plain JSON values.
    arrays : dict of arrays
        Weights and the state of the optimizer, by name.

    Examples
    --------
    >>> import tempfile
    >>> path = tempfile.mkdtemp() + "/checkpoint"
    >>> save_checkpoint(path, {"units": 8}, {"epoch": 3}, {"weights": np.zeros(2)})
    >>> load_checkpoint(path)[1]
    {'epoch': 3}
    """
    write(path, pack({"checkpoint": dict(values), "identity": dict(identity)}, arrays))


def load_checkpoint(
    path: str | os.PathLike[str],
) -> tuple[dict[str, Any], dict[str, Any], dict[str, np.ndarray]]:
    """Read a checkpoint.

    Parameters
    ----------
    path : path
        File to read.

    Returns
    -------
    identity, values : dict
    arrays : dict of arrays

    Raises
    ------
    ModelFileError
        If the file is not a checkpoint, is truncated or changed, or comes from a newer version.
    MissingFileError
        If the file does not exist.

    Examples
    --------
    >>> import tempfile
    >>> path = tempfile.mkdtemp() + "/checkpoint"
    >>> save_checkpoint(path, {"units": 8}, {"epoch": 3}, {})
    >>> identity, values, arrays = load_checkpoint(path)
    >>> identity["units"], values["epoch"]
    (8, 3)
    """
    config, arrays = read(path)
    if "checkpoint" not in config:
        raise ModelFileError(
            f"{path} is a model, not a checkpoint of a training. Load it with refold.load, or name "
            "the checkpoint."
        )
    return config["identity"], config["checkpoint"], arrays
