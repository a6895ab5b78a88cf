"""Fields of requests: how each is read from JSON or from the query, and its JSON Schema."""

from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import parse_qsl

import orjson

from refold._support.rules import FLAG, Rule, number, whole
from refold.serve._service_errors import invalid

_REQUIRED: Any = object()


@dataclass(frozen=True)
class RequestField:
    """A field of a request."""

    name: str
    schema: dict[str, Any]  # JSON Schema, for the description of the interface
    rule: Rule
    default: Any = _REQUIRED  # if the field is absent

    @property
    def required(self) -> bool:
        """Whether the field must be there."""
        return self.default is _REQUIRED


def read_fields(found: dict[str, Any], fields: tuple[RequestField, ...]) -> dict[str, Any]:
    """Return the values of fields; refuse unknown names and missing fields."""
    values = {}
    for field in fields:
        if field.name in found:
            value = found.pop(field.name)
            if value is None and field.default is not None:
                raise invalid(f"{field.name!r} must not be null.")
            if value is not None and not field.rule.holds(value):
                raise invalid(f"{field.name!r} must be {field.rule.expected}.")
            values[field.name] = value
        elif field.required:
            raise invalid(f"The request lacks {field.name!r}.")
        else:
            values[field.name] = field.default
    if found:
        names = ", ".join(repr(field.name) for field in fields) or "none"
        raise invalid(f"There is no field {next(iter(found))[:40]!r} here. The fields are {names}.")
    return values


def query_values(query: bytes) -> dict[str, Any]:
    """Return the parameters of a query, each a JSON value or a word."""
    try:
        pairs = parse_qsl(query.decode("ascii"), keep_blank_values=True, max_num_fields=50)
    except ValueError:
        raise invalid("The query of the URL cannot be read.") from None
    return {name: _json_or_text(value) for name, value in pairs}


def _json_or_text(text: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return text


def _optional_whole(name: str, least: int, most: int, description: str) -> RequestField:
    """Return a field for a whole number, null by default, whose schema has the bounds it checks."""
    schema = {
        "type": ["integer", "null"],
        "minimum": least,
        "maximum": most,
        "description": description,
    }
    return RequestField(name, schema, whole(least, most), default=None)


def _are_lengths(value: object) -> bool:
    return isinstance(value, list) and all(map(whole(0, _MANY).holds, value))


def _are_ids(value: Any) -> bool:
    one_type = isinstance(value, list) and len({type(one) for one in value}) == 1
    return one_type and isinstance(value[0], int | str) and not isinstance(value[0], bool)


_SEED = 2**32 - 1
_MANY = 2**31 - 1
_LONGEST_TEXT = 1000

_ANYTHING = Rule("anything", lambda _: True)
_BOOLEAN = Rule("true or false", FLAG.holds)
_TEXT = Rule(
    f"text of at most {_LONGEST_TEXT} characters",
    lambda value: isinstance(value, str) and len(value) <= _LONGEST_TEXT,
)

SEQUENCES = RequestField("sequences", {"$ref": "#/components/schemas/Sequences"}, _ANYTHING)
CODES = RequestField("codes", {"$ref": "#/components/schemas/Codes"}, _ANYTHING)
# of a search, which takes one of the three
SEQUENCES_OR = replace(SEQUENCES, default=None)
CODES_OR = replace(CODES, default=None)


IDS = RequestField(
    "ids",
    {
        "type": ["array", "null"],
        "items": {"type": ["string", "integer"]},
        "description": "Ids of rows of the index to search for.",
    },
    Rule("a list of texts, or of integers", _are_ids),
    default=None,
)
HITS = RequestField(
    "k",
    {
        "type": "integer",
        "minimum": 1,
        "maximum": 1000,
        "default": 10,
        "description": "Number of hits per query.",
    },
    whole(1, 1000),
    default=10,
)
WHERE = RequestField(
    "where",
    {
        "type": ["string", "null"],
        "maxLength": _LONGEST_TEXT,
        "description": "Condition on ids and metadata, as in SQL, without functions.",
    },
    _TEXT,
    default=None,
)
CLIP = RequestField(
    "clip",
    {
        "type": "boolean",
        "default": False,
        "description": "Clip each numeric column to its range in the training data.",
    },
    _BOOLEAN,
    default=False,
)
CLIP_GENERATED = replace(CLIP, schema=CLIP.schema | {"default": True}, default=True)
LENGTHS = RequestField(
    "lengths",
    {
        "type": ["array", "null"],
        "items": {"type": "integer", "minimum": 0, "maximum": _MANY},
        "description": "Length of each sequence, by default that which its code has.",
    },
    Rule("a list of integers, one length per sequence", _are_lengths),
    default=None,
)
ALPHA = RequestField(
    "alpha",
    {
        "type": "number",
        "exclusiveMinimum": 0,
        "exclusiveMaximum": 1,
        "default": 0.01,
        "description": "False alarm rate.",
    },
    number(),
    default=0.01,
)
STEP_ERRORS = RequestField(
    "steps",
    {
        "type": "boolean",
        "default": False,
        "description": "Also return the error and the p-value of each step.",
    },
    _BOOLEAN,
    default=False,
)
FORECAST_ALPHA = RequestField(
    "alpha",
    {
        "type": ["number", "null"],
        "exclusiveMinimum": 0,
        "exclusiveMaximum": 1,
        "description": "Largest share of values outside the bounds.",
    },
    number(),
    default=None,
)
FORECAST_STEPS = _optional_whole(
    "steps", 1, _MANY, "Steps to forecast, by default all that the model was fitted for."
)
CONTEXT = _optional_whole("context", 1, _MANY, "Most last steps to read.")
COUNT = RequestField(
    "n",
    {"type": "integer", "minimum": 0, "default": 1, "description": "Number of sequences."},
    whole(0, _MANY),
    default=1,
)
COMPONENTS = _optional_whole(
    "components", 1, 64, "Components of the mixture that codes are drawn from."
)
TEMPERATURE = RequestField(
    "temperature",
    {
        "type": "number",
        "minimum": 0,
        "default": 0,
        "description": "Temperature of categorical and binary columns.",
    },
    number(),
    default=0.0,
)
SEED = _optional_whole(
    "seed", 0, _SEED, "Seed of the draws; each answer is another one without it."
)
