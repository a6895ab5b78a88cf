"""Arrow IPC streams in both directions."""

from collections.abc import Container
from typing import Any
from urllib.parse import parse_qsl

import msgspec
import numpy as np
import pyarrow as pa
from pyarrow.compute import call_function

from refold.errors import RefoldError
from refold.sequences import MODEL_KEY, Sequences, check_model, codes_from_arrow, stored_model
from refold.serve._inputs import RequestInputs, check_count, check_steps
from refold.serve._json_bodies import refused
from refold.serve._messages import AnyRequest
from refold.serve._models import ServedModel
from refold.serve._service_errors import invalid
from refold.serve._settings import ServeSettings

MEDIA_TYPE = "application/vnd.apache.arrow.stream"
_FLOATS = (pa.list_(pa.float64()), pa.list_(pa.float32()))


def read_table(
    body: bytes, kind: type[AnyRequest], model: ServedModel, settings: ServeSettings, query: bytes
) -> RequestInputs:
    """Read a request whose sequences or codes are a table, and other fields are in the query."""
    table = parse_table(body, settings)
    names = kind.__struct_fields__
    has_codes = "codes" in names and ("sequences" not in names or "code" in table.column_names)
    column = "codes" if has_codes else "sequences"
    fields = _query_fields(query, kind, {column: []} if column in names else {})
    if has_codes:
        doubt = check_model(stored_model(table), model, "The table")
        codes, ids, lengths = codes_from_table(table)
        if lengths is not None and "lengths" in names:
            fields.lengths = lengths
        return RequestInputs(fields, codes=codes, ids=ids, doubt=doubt)
    if "sequences" not in names:
        return RequestInputs(fields)
    sequences = sequences_from_table(table, model)
    return RequestInputs(fields, sequences, ids=sequences.ids)


def parse_table(body: bytes, settings: ServeSettings) -> pa.Table:
    """Return the table that a body holds; of its metadata, only the model of codes is kept."""
    # A body may come from anyone: its batches are validated in full, and types that describe more
    # rows than the body has bytes are refused.
    try:
        if is_compressed(body):
            raise invalid("Arrow buffers must not be compressed. Use Content-Encoding: gzip.")
        with pa.ipc.open_stream(pa.py_buffer(body)) as reader:
            for field in reader.schema:
                if field.type not in _FLOATS and not _is_plain(field.type):
                    raise invalid(
                        f"Column {field.name!r} has the type {str(field.type)[:60]}. "
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
        raise invalid(
            "The body cannot be read as an Arrow IPC stream. Write one with pyarrow.ipc.new_stream."
        ) from error
    check_steps(max(map(_count_steps, table.columns), default=0), settings)
    model = stored_model(table)
    return table.replace_schema_metadata(None if model is None else {MODEL_KEY: model})


def sequences_from_table(table: pa.Table, model: ServedModel) -> Sequences:
    """Convert a table with a column of lists for each feature."""
    sequences = _from_numbers(table, model) if model.reads_numbers else None
    if sequences is not None:
        return sequences
    try:
        return Sequences.from_arrow(table).align(model.fitted.schema)
    except RefoldError:
        raise
    except (pa.ArrowException, TypeError, ValueError, OverflowError, AttributeError) as error:
        raise invalid("The columns cannot be read as sequences.") from error


def codes_from_table(table: pa.Table) -> tuple[np.ndarray, np.ndarray, list[int] | None]:
    """Return codes, ids and lengths of a table with the columns code, id and length."""
    lengths = None
    if "length" in table.column_names:
        column = table["length"]
        if not pa.types.is_integer(column.type) or column.null_count:
            raise invalid("The column 'length' must hold integers.")
        lengths = column.to_pylist()
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


def _query_fields(query: bytes, kind: type[AnyRequest], columns: dict[str, list[Any]]) -> Any:
    """Return the fields of the query of a URL: JSON values or words."""
    try:
        pairs = dict(parse_qsl(query.decode("ascii"), keep_blank_values=True, max_num_fields=50))
    except ValueError:
        raise invalid("The query of the URL cannot be read.") from None
    for name in pairs.keys() & {"sequences", "codes"}:
        raise invalid(f"The query cannot hold {name!r}. Send a column of the table.")
    values = {name: _json_or_text(text) for name, text in pairs.items()}
    try:
        return msgspec.convert(values | columns, kind)
    except msgspec.ValidationError as error:
        raise refused(error, kind) from None


def _json_or_text(text: str) -> Any:
    """Return a value of a query."""
    try:
        return msgspec.json.decode(text)
    except (ValueError, RecursionError):
        return text


def _from_numbers(table: pa.Table, model: ServedModel) -> Sequences | None:
    """Convert one batch of finite numbers under the model's names; None for anything else."""
    batches = table.to_batches()
    if table.column_names != model.names or len(batches) != 1 or not len(table):
        return None
    first, columns = batches[0].column(0), []
    if first.type not in _FLOATS or first.offset:
        return None
    bounds = first.offsets.to_numpy()
    if bounds[0]:
        return None
    for column in batches[0].columns:
        if column.type != first.type or column.null_count or column.values.null_count:
            return None
        if column.offset or not column.offsets.equals(first.offsets):
            return None
        columns.append(column.values.to_numpy()[: bounds[-1]])
    values = columns[0][:, None] if len(columns) == 1 else np.stack(columns, axis=1)
    return model.sequences(values, bounds) if np.isfinite(values).all() else None


def _is_plain(kind: pa.DataType, depth: int = 0) -> bool:
    """Return whether a column is text, numbers or lists of them, at most two deep."""
    types = pa.types
    if types.is_dictionary(kind):
        return types.is_string(kind.value_type) or types.is_large_string(kind.value_type)
    if types.is_list(kind) or types.is_large_list(kind):
        return depth < 2 and _is_plain(kind.value_type, depth + 1)
    if types.is_fixed_size_list(kind):
        return depth < 2 and kind.list_size > 0 and _is_plain(kind.value_type, depth + 1)
    text = types.is_string(kind) or types.is_large_string(kind)
    return text or types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind)


def _count_steps(column: pa.ChunkedArray) -> int:
    """Return the steps of a column of lists, or the bytes of a column of text."""
    kind = column.type
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return sum(len(chunk.values) for chunk in column.chunks)
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return call_function("sum", [call_function("binary_length", [column])]).as_py() or 0
    return 0
