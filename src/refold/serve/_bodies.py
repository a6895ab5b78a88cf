"""Functions that parse the bodies of requests, and write answers: JSON and Arrow IPC streams."""

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

from refold._support.messages import collect_warnings
from refold.sequences import (
    MODEL_HASH_KEY,
    Sequences,
    check_model_hash,
    codes_from_arrow,
    has_lists,
    stored_model_hash,
)
from refold.serve._operations import (
    BaseRequest,
    CheckedRequest,
    CodeTypeVar,
    JsonSequence,
    SequenceTypeVar,
    ServedModel,
)
from refold.serve._settings import ServeSettings, ServiceError, check_limit, make_request_error

# Media type of Arrow IPC streams.
ARROW_TYPE = "application/vnd.apache.arrow.stream"
_flatten = itertools.chain.from_iterable  # joins the entries of lists, one level deep
# Exceptions of PyArrow and Python for malformed bytes, such as names that are not UTF-8.
_READ_ERRORS = (pa.ArrowException, struct.error, ValueError, OSError)
# Types of Arrow columns whose values become a NumPy array without a copy.
_FLOAT_LIST_TYPES = (pa.list_(pa.float64()), pa.list_(pa.float32()))


# JSON


def parse_json(
    body: bytes, request_type: type[BaseRequest], served: ServedModel, limits: ServeSettings
) -> CheckedRequest:
    """Return the fields, sequences and codes of a JSON request, after checks."""
    fields, has_only_numbers = None, False
    if served.takes_raw_numbers:
        # a decoder that accepts only numbers is tried first, because it is faster; if it fails, the
        # decoder for all values reports the error
        with contextlib.suppress(ValueError):
            fields = _make_json_decoder(
                request_type, served.code_size, served.num_columns, is_flat=served.takes_flat_lists
            ).decode(body)
            has_only_numbers = True
    try:
        with _describe_field_errors(request_type):
            fields = fields or _make_json_decoder(request_type, served.code_size).decode(body)
    except (ValueError, RecursionError) as error:
        reason = str(error).removeprefix("JSON is malformed: ")
        raise ServiceError(422, "invalid_json", f"The body is not JSON: {reason}.") from None
    request, model = CheckedRequest(served, fields), served.fitted_model
    sequence_lists, code_lists = (getattr(fields, name, None) for name in ("sequences", "codes"))
    if sequence_lists is not None:
        check_limit("sequences", len(sequence_lists), limits)
        check_limit("steps", sum(map(len, sequence_lists)), limits)
        if has_only_numbers and sequence_lists:
            offsets = np.array([0, *itertools.accumulate(map(len, sequence_lists))])
            # The steps of all sequences. A step is a list of numbers, or one number if the model
            # takes flat lists. A single sequence needs no copy.
            steps = sequence_lists[0] if len(sequence_lists) == 1 else [*_flatten(sequence_lists)]
            # array.array converts a list of numbers faster than NumPy does; "d" is float64
            numbers = array.array("d", steps if served.takes_flat_lists else [*_flatten(steps)])
            values = np.frombuffer(numbers).reshape(-1, served.num_columns)
            request.sequences = served.make_sequences_unchecked(values, offsets)
        else:
            with collect_warnings() as request.warnings:
                request.sequences = Sequences.from_list(sequence_lists, schema=model.schema)
        # checked now, because in a batch, an error would also affect other requests
        model.scaler.check_scaled_range(request.sequences)
        fields.sequences = []  # frees the lists, which take much more memory than the arrays
    if code_lists is not None:
        check_limit("sequences", len(code_lists), limits)
        request.codes = np.array(code_lists)
        fields.codes = []
    return request


@functools.cache
def _make_json_decoder(
    request_type: type[BaseRequest], code_size: int, num_columns: int = 0, *, is_flat: bool = False
) -> msgspec.json.Decoder[Any]:
    """Return a decoder for requests. A step has num_columns numbers; 0 allows any values."""

    def make_list_type(num_values: int) -> Any:
        return Annotated[list[float], msgspec.Meta(min_length=num_values, max_length=num_values)]

    numeric_sequence = list[float] if is_flat else list[make_list_type(num_columns)]
    # Request classes are generic. These types replace the type variables of sequences and codes.
    types = {
        SequenceTypeVar: numeric_sequence if num_columns else JsonSequence,
        CodeTypeVar: make_list_type(code_size),
    }
    if type_variables := getattr(request_type, "__parameters__", ()):
        request_type = request_type[tuple(types[name] for name in type_variables)]  # type: ignore[index]
    return msgspec.json.Decoder(request_type)


@contextlib.contextmanager
def _describe_field_errors(request_type: type[BaseRequest]) -> Iterator[None]:
    """Turn a validation error into the error of a request, which also lists the allowed fields."""
    try:
        yield
    except msgspec.ValidationError as error:
        names = ", ".join(request_type.__struct_fields__)
        reason = str(error).replace(" - at ", " at ")
        raise make_request_error(f"{reason}. The fields of this request are {names}.") from None


def to_json(content: object) -> bytes:
    """Return content as JSON, with NaN as null. Content may hold NumPy arrays and numbers."""

    def to_builtin(value: Any) -> Any:
        # warnings are a subclass of str, which msgspec does not know
        return str(value) if isinstance(value, str) else value.tolist()

    return msgspec.json.encode(content, enc_hook=to_builtin)


# Arrow


def parse_arrow(
    body: bytes,
    request_type: type[BaseRequest],
    served: ServedModel,
    limits: ServeSettings,
    url_query: bytes,
) -> CheckedRequest:
    """Return the fields, sequences and codes of a request whose body is an Arrow table."""
    table = _read_arrow_table(body, limits)
    names = request_type.__struct_fields__
    # if the operation takes sequences or codes, a column "code" tells that the table has codes
    has_codes = "codes" in names and ("sequences" not in names or "code" in table.column_names)
    # codes are lists of a fixed size, whose numbers are no steps
    columns = [c for c in table.columns if not (has_codes and pa.types.is_fixed_size_list(c.type))]
    check_limit("steps", max(map(_count_steps_or_bytes, columns), default=0), limits)
    # The query of the URL has the other fields. Sequences and codes stay in the table, and an empty
    # list takes their place in the fields.
    table_fields: dict[str, list[Any]] = {}
    if has_codes or "sequences" in names:
        table_fields["codes" if has_codes else "sequences"] = []
    if has_codes and "length" in table.column_names:
        if "lengths" in names:
            table_fields["lengths"] = table["length"].to_pylist()
        table = table.drop_columns(["length"])
    try:
        query = parse_qsl(url_query.decode("ascii"), keep_blank_values=True, max_num_fields=50)
    except ValueError as error:
        raise make_request_error("The query of the URL cannot be read.") from error
    values: dict[str, Any] = {}
    for name, text in query:
        try:
            values[name] = msgspec.json.decode(text)
        except (ValueError, RecursionError):  # a word without the quotes of JSON
            values[name] = text
    with _describe_field_errors(request_type):
        request = CheckedRequest(served, msgspec.convert(values | table_fields, request_type))
    if has_codes:
        # raises an error for codes of another model, and returns a warning if no hash is stored
        warning = check_model_hash(stored_model_hash(table), served, "The table")
        request.warnings = [] if warning is None else [warning]
        if "id" in table.column_names and pa.types.is_nested(table["id"].type):
            raise make_request_error("The column 'id' holds lists. Expected text or integers.")
        request.codes, request.ids = codes_from_arrow(table)
    elif "sequences" in names:
        sequences = _sequences_from_float_table(table, served) if served.takes_raw_numbers else None
        if sequences is None:
            with collect_warnings() as request.warnings:
                data = Sequences.from_arrow(table)
                sequences = data.convert_to_schema(served.fitted_model.schema)
        served.fitted_model.scaler.check_scaled_range(sequences)
        request.sequences, request.ids = sequences, sequences.ids
    return request


def _read_arrow_table(body: bytes, limits: ServeSettings) -> pa.Table:
    """Return the table of a body. Of its metadata, only the hash of the codes' model is kept."""
    # A body may be malicious. All batches are validated in full. Types such as null are refused,
    # because with them a few bytes can describe a billion rows.
    try:
        if _has_compressed_buffers(body):
            raise make_request_error("Arrow buffers must not be compressed.")
        with pa.ipc.open_stream(pa.py_buffer(body)) as reader:
            for name, dtype in zip(reader.schema.names, reader.schema.types, strict=True):
                if dtype not in _FLOAT_LIST_TYPES and not _is_supported_arrow_type(dtype):
                    raise make_request_error(
                        f"Column {name!r} has the type {str(dtype)[:60]}. "
                        "Expected lists of numbers or text, text, or integers."
                    )
            batches, num_rows = [], 0
            for batch in reader:
                num_rows += batch.num_rows
                check_limit("sequences", num_rows, limits)
                batch.validate(full=True)
                batches.append(batch)
            table = pa.Table.from_batches(batches, reader.schema)
    except _READ_ERRORS as error:
        raise make_request_error(
            "The body cannot be read as an Arrow IPC stream. Write one with pyarrow.ipc.new_stream."
        ) from error
    model_hash = stored_model_hash(table)
    metadata = None if model_hash is None else {MODEL_HASH_KEY: model_hash}
    return table.replace_schema_metadata(metadata)


def _is_supported_arrow_type(dtype: pa.DataType, depth: int = 0) -> bool:
    """Return whether values are text or numbers, alone or in lists of at most two levels."""
    types = pa.types
    if types.is_dictionary(dtype):
        dtype = dtype.value_type
        return types.is_string(dtype) or types.is_large_string(dtype)
    is_fixed_size = types.is_fixed_size_list(dtype)
    if is_fixed_size or types.is_list(dtype) or types.is_large_list(dtype):
        # lists of the fixed size 0 need no bytes, so a few bytes could describe a billion of them
        has_values = not is_fixed_size or dtype.list_size > 0
        return has_values and depth < 2 and _is_supported_arrow_type(dtype.value_type, depth + 1)
    is_text = types.is_string(dtype) or types.is_large_string(dtype)
    return is_text or types.is_integer(dtype) or types.is_floating(dtype) or types.is_boolean(dtype)


def _count_steps_or_bytes(column: pa.ChunkedArray) -> int:
    """Return the number of steps in lists, or of bytes in text, where a step has a byte or more."""
    if has_lists(column):
        return sum(len(chunk.values) for chunk in column.chunks)
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        return call_function("sum", [call_function("binary_length", [column])]).as_py() or 0
    return 0


def _has_compressed_buffers(body: bytes) -> bool:
    """Return whether a record batch of an IPC stream has compressed buffers."""
    # A few compressed bytes could expand to gigabytes. PyArrow does not tell whether buffers are
    # compressed. This function therefore follows the offsets in the metadata of each message, which
    # are FlatBuffers. The comments name fields of Message.fbs in the Arrow format.
    for message in pa.ipc.MessageReader.open_stream(pa.py_buffer(body)):
        if message.type != "schema":
            buffer = message.metadata
            # field 2 of a Message: the header, which is a RecordBatch or a DictionaryBatch
            header = _locate_flatbuffer_field(buffer, _follow_flatbuffer_offset(buffer, 0), 2)
            position = _follow_flatbuffer_offset(buffer, header)
            if message.type == "dictionary":  # field 1 of a DictionaryBatch: its RecordBatch
                batch = _locate_flatbuffer_field(buffer, position, 1)
                position = _follow_flatbuffer_offset(buffer, batch)
            # field 3 of a RecordBatch: the compression
            if _locate_flatbuffer_field(buffer, position, 3):
                return True
    return False


def _follow_flatbuffer_offset(buffer: pa.Buffer, offset_position: int) -> int:
    """Return the position to which the FlatBuffers offset at ``offset_position`` points."""
    return offset_position + struct.unpack_from("<I", buffer, offset_position)[0]


def _locate_flatbuffer_field(buffer: pa.Buffer, table_position: int, field_index: int) -> int:
    """Return the position of a field in a FlatBuffers table, or 0 if the field is absent."""
    # A table begins with the distance back to its vtable. A vtable holds 16-bit integers: the size
    # of the vtable, the size of the table, and the offset of each field in the table.
    vtable_position = table_position - struct.unpack_from("<i", buffer, table_position)[0]
    (vtable_size,) = struct.unpack_from("<H", buffer, vtable_position)
    entry_offset = 4 + 2 * field_index
    if entry_offset >= vtable_size:  # a table leaves out absent fields at its end
        return 0
    (field_offset,) = struct.unpack_from("<H", buffer, vtable_position + entry_offset)
    return table_position + field_offset if field_offset else 0


def _sequences_from_float_table(table: pa.Table, served: ServedModel) -> Sequences | None:
    """Return a table of finite floats in the model's layout as sequences; None for other tables."""
    batches = table.to_batches()
    if table.column_names != served.column_names or len(batches) != 1 or not len(table):
        return None
    columns = batches[0].columns
    if columns[0].type not in _FLOAT_LIST_TYPES:
        return None
    offsets = columns[0].offsets.to_numpy()
    # no column may have nulls; the lists of all columns must have the same lengths, and the first
    # list must begin at index 0 of the values
    for column in columns:
        has_nulls = column.null_count or column.values.null_count
        if has_nulls or column.type != columns[0].type:
            return None
        if offsets[0] or not column.offsets.equals(columns[0].offsets):
            return None
    values = np.stack([column.values.to_numpy()[: offsets[-1]] for column in columns], axis=1)
    return served.make_sequences_unchecked(values, offsets) if np.isfinite(values).all() else None


def to_arrow_stream(table: pa.Table, warnings: list[str]) -> bytes:
    """Return a table as an Arrow IPC stream, with the warnings in its metadata."""
    if warnings:
        metadata = {**(table.schema.metadata or {}), b"refold.warnings": to_json(warnings)}
        table = table.replace_schema_metadata(metadata)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()
