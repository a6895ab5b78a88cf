"""Arrow IPC streams in both directions."""

from collections.abc import Container

import numpy as np
import pyarrow as pa

from refold.errors import RefoldError
from refold.sequences import MODEL_KEY, Sequences, codes_from_arrow, stored_model
from refold.serve._computations import check_steps
from refold.serve._json_bodies import check_count
from refold.serve._models import ServedModel
from refold.serve._service_errors import ServiceError, invalid
from refold.serve._settings import ServeSettings

MEDIA_TYPE = "application/vnd.apache.arrow.stream"
_DOUBLES, _FLOATS = pa.list_(pa.float64()), pa.list_(pa.float32())
_REFUSED = "The body cannot be read as an Arrow IPC stream."


def parse_table(body: bytes, settings: ServeSettings) -> pa.Table:
    """Return the table that a body holds; of its metadata, only the model of codes is kept."""
    # A body may come from anyone: its batches are validated in full, and types that describe more
    # rows than the body has bytes are refused.
    try:
        if is_compressed(body):
            raise invalid("Arrow buffers must not be compressed. Use Content-Encoding: gzip.")
        with pa.ipc.open_stream(pa.py_buffer(body)) as reader:
            for place, kind in enumerate(reader.schema.types):
                if kind != _DOUBLES and not _is_plain(kind):
                    raise invalid(
                        f"Column {reader.schema.names[place]!r} has the type {str(kind)[:60]}. "
                        "Expected lists of numbers or text, text, or integers."
                    )
            batches, rows = [], 0
            for batch in reader:
                rows += batch.num_rows
                check_count(rows, settings)
                batch.validate(full=True)
                batches.append(batch)
            table = pa.Table.from_batches(batches, reader.schema)
    except (pa.ArrowException, ValueError, OSError, KeyError, IndexError, MemoryError) as error:
        raise invalid(f"{_REFUSED} Write one with pyarrow.ipc.new_stream.") from error
    check_steps(_most_steps(table), settings.max_steps)
    model = stored_model(table)
    return table.replace_schema_metadata(None if model is None else {MODEL_KEY: model})


def sequences_from_table(table: pa.Table, model: ServedModel) -> Sequences:
    """Convert a table with a column of lists for each feature."""
    sequences = _plain_lists(table, model) if model.plain else None
    if sequences is not None:
        return sequences
    try:
        return Sequences.from_arrow(table).align(model.fitted.schema)
    except (RefoldError, ServiceError):
        raise
    except (pa.ArrowException, TypeError, ValueError, OverflowError, AttributeError) as error:
        raise invalid("The columns cannot be read as sequences.") from error


def _plain_lists(table: pa.Table, model: ServedModel) -> Sequences | None:
    """Convert finite numbers under the model's names; None for anything else."""
    if table.column_names != model.names or not len(table):
        return None
    batches = table.to_batches()
    if len(batches) != 1:
        return None
    first, columns = batches[0].column(0), []
    if first.type not in (_DOUBLES, _FLOATS):
        return None
    offsets = first.offsets
    bounds = offsets.to_numpy()
    for column in batches[0].columns:
        if column.type != first.type or column.null_count or column.offset or bounds[0]:
            return None
        numbers = column.values
        if numbers.null_count or not column.offsets.equals(offsets):
            return None
        columns.append(numbers.to_numpy()[: bounds[-1]])
    values = columns[0][:, None] if len(columns) == 1 else np.stack(columns, axis=1)
    return model.sequences(values, bounds) if np.isfinite(values).all() else None


def codes_from_table(table: pa.Table) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Return codes, ids and lengths of a table with the columns code, id and length."""
    lengths = None
    if "length" in table.column_names:
        column = table["length"]
        if not pa.types.is_integer(column.type) or column.null_count:
            raise invalid("The column 'length' must hold integers.")
        lengths = column.to_numpy()
        table = table.drop_columns(["length"])
    try:
        codes, ids = codes_from_arrow(table)
    except RefoldError:
        raise
    except (pa.ArrowException, TypeError, ValueError, AttributeError) as error:
        raise invalid("The column 'code' cannot be read as codes.") from error
    return codes, ids, lengths


def to_stream(table: pa.Table) -> bytes:
    """Return a table as an IPC stream."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


def id_name(names: Container[str]) -> str:
    """Return a name for the column of ids that no feature has."""
    name = "id"
    while name in names:
        name = f"sequence_{name}"
    return name


def is_compressed(body: bytes) -> bool:
    """Return whether a record batch of an IPC stream has compressed buffers."""
    # A few bytes of these could stand for gigabytes. PyArrow does not tell, so this reads the field
    # of the FlatBuffers message itself.
    position = 0
    while position + 8 <= len(body):
        size = int.from_bytes(body[position : position + 4], "little")
        position += 4
        if size == 0xFFFFFFFF:
            size = int.from_bytes(body[position : position + 4], "little")
            position += 4
        if size == 0:
            break
        message = body[position : position + size]
        table = int.from_bytes(message[:4], "little")
        kind, header = _field(message, table, 1), _field(message, table, 2)
        if header is not None and kind is not None and message[kind] in (2, 3):
            record = header + int.from_bytes(message[header : header + 4], "little")
            if message[kind] == 2:  # a dictionary, which holds a record batch
                inner = _field(message, record, 1)
                record = (
                    -1
                    if inner is None
                    else inner + int.from_bytes(message[inner : inner + 4], "little")
                )
            if record < 0 or _field(message, record, 3) is not None:
                return True
        length = _field(message, table, 3)
        inside = 0 if length is None else int.from_bytes(message[length : length + 8], "little")
        position += size + inside
    return False


def _field(message: bytes, table: int, number: int) -> int | None:
    """Return where a field of a FlatBuffers table is, or None if it is absent."""
    vtable = table - int.from_bytes(message[table : table + 4], "little", signed=True)
    entry = 4 + 2 * number
    if vtable < 0 or entry + 2 > int.from_bytes(message[vtable : vtable + 2], "little"):
        return None
    offset = int.from_bytes(message[vtable + entry : vtable + entry + 2], "little")
    if offset and table + offset >= len(message):
        raise ValueError("a field outside of its message")
    return table + offset if offset else None


def _is_plain(kind: pa.DataType, depth: int = 0) -> bool:
    types = pa.types
    if types.is_dictionary(kind):
        return types.is_string(kind.value_type) or types.is_large_string(kind.value_type)
    if types.is_list(kind) or types.is_large_list(kind):
        return depth < 2 and _is_plain(kind.value_type, depth + 1)
    if types.is_fixed_size_list(kind):
        return depth < 2 and kind.list_size > 0 and _is_plain(kind.value_type, depth + 1)
    text = types.is_string(kind) or types.is_large_string(kind)
    return text or types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind)


def _most_steps(table: pa.Table) -> int:
    """Return the steps of the column that has most, without reading its values."""
    most = 0
    for column in table.columns:
        kind = column.type
        if kind == _DOUBLES or pa.types.is_list(kind) or pa.types.is_large_list(kind):
            most = max(most, sum(len(chunk.values) for chunk in column.chunks))
        elif pa.types.is_string(kind) or pa.types.is_large_string(kind):
            most = max(most, sum(_count_bytes(chunk) for chunk in column.chunks))
    return most


def _count_bytes(chunk: pa.Array) -> int:
    """Return the bytes of the texts of an array, from their offsets."""
    if not len(chunk):
        return 0
    large = pa.types.is_large_string(chunk.type)
    offsets = np.frombuffer(chunk.buffers()[1], np.int64 if large else np.int32)
    return int(offsets[chunk.offset + len(chunk)] - offsets[chunk.offset])
