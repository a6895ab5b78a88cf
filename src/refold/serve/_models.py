"""Models by name, and what requests ask about them."""

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from msgspec import Struct

import refold.search
from refold.errors import ModelFileError, ParameterError
from refold.model import (
    Model,
    count_far,
    describe_far,
    describe_longer,
    describe_trained,
    far_limits,
)
from refold.network.packed.network import PackedNetwork
from refold.sequences import Sequences, local_path
from refold.sequences.types import NUMERIC

# Paths of the interface that a model's name would hide.
_RESERVED = frozenset({"health", "metrics", "models", "openapi.json", "ready", "search"})
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


class ModelColumn(Struct):
    """A column of the training data."""

    name: str
    type: str
    categories: int


class ModelAnswer(Struct):
    """What a client needs to know about a model."""

    name: str
    sha256: str
    model_hash: str
    columns: list[ModelColumn]
    layout: str
    code_size: int
    latent_dim: int
    latent_steps: int
    longest_training_sequence: int
    forecast_steps: int
    calibration_sequences: int
    index_rows: int | None


class ModelsAnswer(Struct):
    """All models."""

    models: list[ModelAnswer]


class ServedModel:
    """A loaded model and what requests ask about it."""

    def __init__(self, name: str, path: Path, index: str | None = None) -> None:
        self.name = name
        self.fitted = Model.load(path)
        if not isinstance(self.fitted.network, PackedNetwork):
            raise ModelFileError(
                f"{path} is not a default model with LSTMs. The service computes without Keras, so "
                "it serves no other."
            )
        with path.open("rb") as file:
            # of the model file; `hash` is that of what codes depend on
            self._digest = hashlib.file_digest(file, "sha256").hexdigest()
        self.hash = self.fitted.hash
        self.index: Any = None if index is None else refold.search.Index.open(index, self.fitted)
        self._low, self._high = far_limits(self.fitted.error_scaler)
        schema = self.fitted.schema
        self.code_size = self.fitted.code_size
        # whether numbers of a request are the model's values as they are
        self.reads_numbers = not schema.missing and all(
            column.column_type is NUMERIC for column in schema.columns
        )
        self.names = list(schema.names)
        self.width = schema.num_columns
        # in JSON, a sequence is a list of numbers, without rows
        self.flat = schema.layout == "series"

    def sequences(self, values: np.ndarray, offsets: np.ndarray) -> Sequences:
        """Return finite numbers of a numeric model as sequences, without the checks of others."""
        offsets = offsets.astype(np.int64)
        return Sequences.trusted(values, offsets, np.arange(len(offsets) - 1), self.fitted.schema)

    def describe(self) -> ModelAnswer:
        """Return what a client needs to know, and no training data."""
        fitted = self.fitted
        return ModelAnswer(
            name=self.name,
            sha256=self._digest,
            model_hash=self.hash,
            columns=[
                ModelColumn(column.name, column.type, len(column.categories))
                for column in fitted.schema.columns
            ],
            layout=fitted.schema.layout,
            code_size=fitted.code_size,
            latent_dim=fitted.specification.latent_dim,
            latent_steps=fitted.latent_steps,
            longest_training_sequence=fitted.max_steps,
            forecast_steps=fitted.specification.forecast_steps,
            calibration_sequences=fitted.num_calibrated,
            index_rows=None if self.index is None else len(self.index),
        )

    def warnings(self, sequences: Sequences, meaning: str | None) -> list[str]:
        """Return a line for each way in which sequences differ from those of the training."""
        # `meaning` is the use of the sequences; None if longer ones do not matter
        fitted, values, lines = self.fitted, sequences.values, []
        if meaning is not None and len(values) > fitted.max_steps:  # in all sequences
            lines.append(describe_longer(sequences.lengths, fitted.max_steps))
        missing = int(np.isnan(values).sum())
        if missing and not fitted.specification.observed_flags:
            lines.append(
                f"{missing} values are missing, and the model was fitted on data without gaps: it "
                "reads them as the mean."
            )
        for i in sequences.schema.categorical:
            column = sequences.schema.columns[i]
            unknown = int((values[:, i] == len(column.categories)).sum())
            if unknown:
                lines.append(
                    f"{unknown} entries of column {column.name!r} are no category of the model and "
                    "are read as unknown."
                )
        if meaning == "detection":
            lines.append(describe_trained(sequences, fitted.fingerprints.trained))
        if ((values < self._low) | (values > self._high)).any():
            lines.append(describe_far([count_far(values, fitted.error_scaler)], fitted.schema))
        return [line for line in lines if line is not None]


def read_models(
    paths: Mapping[str, str | Path], indexes: Mapping[str, str]
) -> dict[str, ServedModel]:
    """Read models by name, and the indexes of some of them."""
    if not paths:
        raise ParameterError("There is no model to serve. Name at least one file.")
    for name in paths:
        if not _NAME.fullmatch(name) or name in _RESERVED:
            raise ParameterError(
                f"A model cannot have the name {name!r}. Use letters, digits, dots, dashes and "
                f"underscores, and none of {', '.join(sorted(_RESERVED))}. Write NAME=MODEL."
            )
    for name in indexes.keys() - paths.keys():
        raise ParameterError(
            f"There is an index for {name!r}, and no such model. The models are "
            f"{', '.join(map(repr, paths))}."
        )
    return {name: ServedModel(name, Path(paths[name]), indexes.get(name)) for name in paths}


def named_paths(models: list[str]) -> dict[str, Path]:
    """Return model files by name, from ``MODEL`` or ``NAME=MODEL``."""
    paths: dict[str, Path] = {}
    for text in models:
        name, sign, path = text.partition("=")
        if not sign or "/" in name or "\\" in name:
            name, path = Path(text).stem, text
        if name in paths:
            raise ParameterError(f"Two models have the name {name!r}. Write NAME=MODEL.")
        paths[name] = local_path(path)
    return paths


def named_indexes(indexes: list[str], models: Mapping[str, Path]) -> dict[str, str]:
    """Return files of indexes by name, from ``INDEX`` or ``NAME=INDEX``."""
    places: dict[str, str] = {}
    for text in indexes:
        name, sign, place = text.partition("=")
        if not sign or name not in models:
            name, place = next(iter(models)), text
            if len(models) > 1:  # a single model needs no name
                raise ParameterError(
                    f"Write the name of a model before the index {text!r}: NAME=INDEX. The models "
                    f"are {', '.join(models)}."
                )
        places[name] = place
    return places
