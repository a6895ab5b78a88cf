"""Bodies of requests and answers: JSON and Arrow IPC streams."""

import array
import contextlib
import functools
import itertools
import struct
from collections.abc import Iterator
from typing import Annotated, Any
from urllib.parse import parse_qsl

import msgspec
import numpy as np
import pyarrow as pa
from pyarrow.compute import call_function

from refold.sequences import MODEL_KEY, Sequences, check_model, codes_from_arrow, stored_model
from refold.serve._operations import (
    AnyRequest,
    AnySequence,
    CodeT,
    RequestInputs,
    SequenceT,
    ServedModel,
)
from refold.serve._settings import ServeSettings, ServiceError, check_limit, invalid

ARROW = "application/vnd.apache.arrow.stream"
_CHAIN = itertools.chain.from_iterable
# What PyArrow and Python raise at bytes that they cannot read, such as names that are not UTF-8.
_UNREADABLE = (pa.ArrowException, struct.error, ValueError, OSError)
_FLOATS = (pa.list_(pa.float64()), pa.list_(pa.float32()))


# JSON


def read_json(
    body: bytes, kind: type[AnyRequest], model: ServedModel, settings: ServeSettings
) -> RequestInputs:
    """Read a request, with numbers without a detour if the model is numeric."""
    fields, numbers_only = None, False
    if model.reads_numbers:
        with contextlib.suppress(ValueError):  # of which the general decoder tells the reason
            fields = _decoder(kind, model.code_size, model.width, flat=model.flat).decode(body)
            numbers_only = True
    try:
        with _checked_fields(kind):
            fields = fields or _decoder(kind, model.code_size).decode(body)
    except (ValueError, RecursionError) as error:
        reason = str(error).removeprefix("JSON is malformed: ")
        raise ServiceError(422, "invalid_json", f"The body is not JSON: {reason}.") from None
    inputs = RequestInputs(model, fields)
    if (entries := getattr(fields, "sequences", None)) is not None:
        check_limit("sequences", len(entries), settings)
        check_limit("steps", sum(map(len, entries)), settings)
        if numbers_only and entries:
            inputs.sequences = _from_numbers(entries, model)
        else:
            inputs.sequences = Sequences.from_list(entries, schema=model.fitted.schema)
        # before others are computed with them
        model.fitted.scaler.check(inputs.sequences)
        fields.sequences = []  # lists take much more memory than arrays
    if (entries := getattr(fields, "codes", None)) is not None:
        check_limit("sequences", len(entries), settings)
        inputs.codes = np.array(entries)
        fields.codes = []
    return inputs


@functools.cache
def _decoder(
    kind: type[AnyRequest], code_size: int, width: int = 0, *, flat: bool = False
) -> msgspec.json.Decoder[Any]:
    """Return a decoder of requests with rows of ``width`` numbers, or any sequences if it is 0."""

    def numbers(count: int) -> Any:
        return Annotated[list[float], msgspec.Meta(min_length=count, max_length=count)]

    steps = list[float] if flat else list[numbers(width)]
    types = {SequenceT: steps if width else AnySequence, CodeT: numbers(code_size)}
    parameters = getattr(kind, "__parameters__", ())
    if parameters:
        kind = kind[tuple(types[name] for name in parameters)]  # type: ignore[index]
    return msgspec.json.Decoder(kind)


@contextlib.contextmanager
def _checked_fields(kind: type[AnyRequest]) -> Iterator[None]:
    """Refuse a request with a wrong field, and name the place of the value."""
    try:
        yield
    except msgspec.ValidationError as error:
        names = ", ".join(kind.__struct_fields__)
        reason = str(error).replace(" - at ", " at ")
        raise invalid(f"{reason}. The fields of this request are {names}.") from None


def _from_numbers(entries: list[Any], model: ServedModel) -> Sequences:
    """Convert lists of numbers, or of rows of numbers, which need no other check."""
    offsets = np.array([0, *itertools.accumulate(map(len, entries))])
    steps = entries[0] if len(entries) == 1 else [*_CHAIN(entries)]
    numbers = array.array("d", steps if model.flat else [*_CHAIN(steps)])
    return model.sequences(np.frombuffer(numbers).reshape(-1, model.width), offsets)


def to_json(content: object) -> bytes:
    """Return content as JSON, with NaN as null; it may hold arrays and numbers of NumPy."""

    def plain(value: Any) -> Any:
        # the text of warnings has a class of its own
        return str(value) if isinstance(value, str) else value.tolist()

    return msgspec.json.encode(content, enc_hook=plain)


# Arrow


def read_table(
    body: bytes, kind: type[AnyRequest], model: ServedModel, settings: ServeSettings, query: bytes
) -> RequestInputs:
    """Read a request whose sequences or codes are a table, and other fields are in the query."""
    table = _parsed_table(body, settings)
    names = kind.__struct_fields__
    has_codes = "codes" in names and ("sequences" not in names or "code" in table.column_names)
    columns: dict[str, list[Any]] = {}
    if has_codes or "sequences" in names:
        columns["codes" if has_codes else "sequences"] = []
    if has_codes and "length" in table.column_names:
        if "lengths" in names:
            columns["lengths"] = table["length"].to_pylist()
        table = table.drop_columns(["length"])
    inputs = RequestInputs(model, _query_fields(query, kind, columns))
    if has_codes:
        doubt = check_model(stored_model(table), model, "The table")
        inputs.doubts = () if doubt is None else (doubt,)
        if "id" in table.column_names and pa.types.is_nested(table["id"].type):
            raise invalid("The column 'id' holds lists. Expected text or integers.")
        inputs.codes, inputs.ids = codes_from_arrow(table)
    elif "sequences" in names:
        sequences = _numbers_of(table, model) if model.reads_numbers else None
        if sequences is None:
            sequences = Sequences.from_arrow(table).align(model.fitted.schema)
        model.fitted.scaler.check(sequences)
        inputs.sequences, inputs.ids = sequences, sequences.ids
    return inputs


def _parsed_table(body: bytes, settings: ServeSettings) -> pa.Table:
    """Return the table that a body holds; of its metadata, only the model of codes is kept."""
    # A body may come from anyone: its batches are validated in full, and types that describe more
    # rows than the body has bytes are refused.
    try:
        if _is_compressed(body):
            raise invalid("Arrow buffers must not be compressed.")
        with pa.ipc.open_stream(pa.py_buffer(body)) as reader:
            for name, kind in zip(reader.schema.names, reader.schema.types, strict=True):
                if kind not in _FLOATS and not _is_plain(kind):
                    raise invalid(
                        f"Column {name!r} has the type {str(kind)[:60]}. "
                        "Expected lists of numbers or text, text, or integers."
                    )
            batches, rows = [], 0
            for batch in reader:
                rows += batch.num_rows
                check_limit("sequences", rows, settings)
                batch.validate(full=True)
                batches.append(batch)
            table = pa.Table.from_batches(batches, reader.schema)
    except _UNREADABLE as error:
        raise invalid(
            "The body cannot be read as an Arrow IPC stream. Write one with pyarrow.ipc.new_stream."
        ) from error
    check_limit("steps", max(map(_count_steps, table.columns), default=0), settings)
    model = stored_model(table)
    return table.replace_schema_metadata(None if model is None else {MODEL_KEY: model})


def _is_plain(kind: pa.DataType, depth: int = 0) -> bool:
    """Return whether a column is text, numbers or lists of them, at most two deep."""
    types = pa.types
    if types.is_dictionary(kind):
        kind = kind.value_type
        return types.is_string(kind) or types.is_large_string(kind)
    fixed = types.is_fixed_size_list(kind)
    if fixed or types.is_list(kind) or types.is_large_list(kind):
        is_sized = not fixed or kind.list_size > 0
        return is_sized and depth < 2 and _is_plain(kind.value_type, depth + 1)
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


def _is_compressed(body: bytes) -> bool:
    """Return whether a record batch of an IPC stream has compressed buffers."""
    # A few bytes of these could stand for gigabytes. PyArrow checks the FlatBuffers messages and
    # does not tell, so this follows their offsets to the field `compression`.
    for message in pa.ipc.MessageReader.open_stream(pa.py_buffer(body)):
        if message.type != "schema":
            content = message.metadata
            batch = _table_at(content, _field(content, _table_at(content, 0), 2))
            if message.type == "dictionary":  # which holds a record batch
                batch = _table_at(content, _field(content, batch, 1))
            if _field(content, batch, 3):
                return True
    return False


def _table_at(message: pa.Buffer, place: int) -> int:
    """Return where the table of FlatBuffers is that a place of a message refers to."""
    return place + struct.unpack_from("<I", message, place)[0]


def _field(message: pa.Buffer, table: int, number: int) -> int:
    """Return where a field of a table of FlatBuffers is, or 0 if it is absent."""
    fields = table - struct.unpack_from("<i", message, table)[0]
    entry, (size,) = 4 + 2 * number, struct.unpack_from("<H", message, fields)
    offset = struct.unpack_from("<H", message, fields + entry)[0] if entry < size else 0
    return table + offset if offset else 0


def _query_fields(query: bytes, kind: type[AnyRequest], columns: dict[str, list[Any]]) -> Any:
    """Return the fields of the query of a URL, which are JSON values or words."""
    try:
        pairs = dict(parse_qsl(query.decode("ascii"), keep_blank_values=True, max_num_fields=50))
    except ValueError as error:
        raise invalid("The query of the URL cannot be read.") from error
    values: dict[str, Any] = {}
    for name, text in pairs.items():
        try:
            values[name] = msgspec.json.decode(text)
        except (ValueError, RecursionError):
            values[name] = text
    with _checked_fields(kind):
        return msgspec.convert(values | columns, kind)


def _numbers_of(table: pa.Table, model: ServedModel) -> Sequences | None:
    """Convert one batch of finite numbers under the model's names; None for anything else."""
    batches = table.to_batches()
    if table.column_names != model.names or len(batches) != 1 or not len(table):
        return None
    columns = batches[0].columns
    if columns[0].type not in _FLOATS:
        return None
    bounds = columns[0].offsets.to_numpy()
    for column in columns:
        missing = column.null_count or column.values.null_count
        if missing or column.type != columns[0].type:
            return None
        if bounds[0] or not column.offsets.equals(columns[0].offsets):
            return None
    values = np.stack([column.values.to_numpy()[: bounds[-1]] for column in columns], axis=1)
    return model.sequences(values, bounds) if np.isfinite(values).all() else None


def to_stream(table: pa.Table, warnings: list[str]) -> bytes:
    """Return a table as an IPC stream, whose metadata hold the warnings."""
    if warnings:
        metadata = {**(table.schema.metadata or {}), b"refold.warnings": to_json(warnings)}
        table = table.replace_schema_metadata(metadata)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()
