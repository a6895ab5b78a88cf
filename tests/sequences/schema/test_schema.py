import json

import pytest

from refold.errors import SchemaError
from refold.sequences import Column, Schema


@pytest.fixture
def mixed():
    return Schema(
        (
            Column("x", "numeric"),
            Column("event", "categorical", ("a", "b", "c")),
            Column("on", "binary"),
            Column("y", "numeric"),
        )
    )


def test_columns_by_type(mixed):
    assert mixed.num_columns == 4
    assert mixed.names == ("x", "event", "on", "y")
    assert mixed.numeric.tolist() == [True, False, False, True]
    assert mixed.binary.tolist() == [2]
    assert mixed.categorical.tolist() == [1]
    assert mixed.output_width == 6


def test_a_schema_can_be_stored_as_json(mixed):
    assert Schema.from_dict(json.loads(json.dumps(mixed.to_dict()))) == mixed
    integers = Schema((Column("token", "categorical", (3, 5)),), "tokens")
    assert Schema.from_dict(json.loads(json.dumps(integers.to_dict()))) == integers


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("x", "continuous"), "type 'continuous'. Expected one of 'numeric', 'binary'"),
        (("", "numeric"), "must be text that is not empty"),
        (("x", "numeric", ("a",)), "is numeric and cannot have categories"),
        (("x", "categorical", ("a", "a")), "has a repeated category"),
        (("x", "categorical", (1.5,)), "all strings or all integers"),
        (("x", "categorical", ("a", 1)), "all strings or all integers"),
    ],
)
def test_impossible_column(arguments, message):
    with pytest.raises(SchemaError, match=message):
        Column(*arguments)


X, Y = Column("x", "numeric"), Column("y", "numeric")


@pytest.mark.parametrize(
    ("columns", "layout", "message"),
    [
        ((), "array", "at least one column"),
        ((X, X), "array", "'x' appears twice"),
        ((X,), "table", "layout 'table' is unknown"),
        ((X,), "tokens", "needs a categorical column. Column 'x' is numeric"),
        ((X, Y), "series", "has one column"),
    ],
)
def test_impossible_schema(columns, layout, message):
    with pytest.raises(SchemaError, match=message):
        Schema(columns, layout)


@pytest.mark.parametrize(
    "state", [{}, {"columns": [{"name": "x"}], "layout": "array"}, {"columns": 3}]
)
def test_incomplete_dict(state):
    with pytest.raises(SchemaError, match="A schema must be a dictionary"):
        Schema.from_dict(state)
