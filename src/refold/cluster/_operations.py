"""What a worker does with some sequences: a model and its settings, and the table of results."""

import hashlib
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from refold.errors import ParameterError
from refold.kernels import packed
from refold.model import Model, dumps
from refold.network.packed.network import PackedNetwork
from refold.sequences import Sequences, codes_to_arrow


class ModelOperation(NamedTuple):
    """An operation with a model, as plain values that go to the workers and into the manifest."""

    name: str  # "encode", "reconstruct" or "detect"
    settings: dict[str, Any]
    id_name: str  # name of the column of ids


def packed_model(model: Model) -> bytes:
    """Return the file of a model for the workers, which have neither Keras nor JAX."""
    if not isinstance(model.network, PackedNetwork):
        specification = model.specification
        raise ParameterError(
            f"This model runs with Keras (architecture={specification.architecture!r}, "
            f"cell={specification.cell!r}). The workers of a cluster run the default model with "
            "LSTMs only. Use one machine, or fit the default model."
        )
    return dumps(model)


def hash_of(model: Model, operation: str) -> str:
    """Return a hash of all that determines the results of an operation."""
    calibration, reference = model.calibration, model.reference
    if operation != "detect" or calibration is None or reference is None:
        return model.hash
    digest = hashlib.sha256(model.hash.encode())
    statistics = reference.mean, reference.deviation, reference.precision, reference.typical
    for array in (calibration.scores, calibration.steps, *statistics):
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def computed(model: Model, operation: ModelOperation, sequences: Sequences) -> pa.Table:
    """Return one row for each sequence."""
    settings, ids = operation.settings, sequences.ids
    with packed.limited_threads(settings["threads"]):
        if operation.name == "encode":
            table = codes_to_arrow(model.encode(sequences), ids, settings["dtype"], model=model)
            # renaming drops the metadata
            named = table.rename_columns([operation.id_name, "code"])
            return named.replace_schema_metadata(table.schema.metadata)
        if operation.name == "detect":
            table = model.detect(sequences, settings["alpha"]).to_table(operation.id_name)
            # depends on all sequences
            return table.drop_columns(["adjusted_p_value"])
        decoded = model.reconstruct(sequences, clip=settings["clip"])
    back = Sequences.from_list(decoded, schema=model.schema).with_ids(ids)
    return back.to_arrow(operation.id_name)


def without_sequences(model: Model, operation: ModelOperation, *, text_ids: bool) -> pa.Table:
    """Return the table of no sequence."""
    ids = np.zeros(1, np.str_ if text_ids else np.int64)
    one = Sequences.from_list([np.zeros((1, model.schema.num_columns))], ids=ids)
    one = Sequences(one.values, one.offsets, ids, model.schema)
    return computed(model, operation, one).slice(0, 0)
