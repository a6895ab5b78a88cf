"""Checkpoint files with the state and the identity of a training."""

import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from refold.errors import ModelFileError
from refold.model import pack_container, read_container, write_container


def save_checkpoint(
    path: str | os.PathLike[str],
    identity: Mapping[str, Any],
    values: Mapping[str, Any],
    arrays: dict[str, np.ndarray],
) -> None:
    """Write a checkpoint atomically."""
    write_container(
        path, pack_container({"checkpoint": dict(values), "identity": dict(identity)}, arrays)
    )


def load_checkpoint(
    path: str | os.PathLike[str],
) -> tuple[dict[str, Any], dict[str, Any], dict[str, np.ndarray]]:
    """Read a checkpoint."""
    config, arrays = read_container(path)
    if "checkpoint" not in config:
        raise ModelFileError(
            f"{path} is a model, not a checkpoint of a training. Load it with refold.load, or name "
            "the checkpoint."
        )
    return config["identity"], config["checkpoint"], arrays
