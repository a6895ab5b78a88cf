"""Conditions of searches: the rows that meet them, and errors for those that are not valid."""

import datetime
import re

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from refold.errors import ParameterError
from refold.search import Index

NUM_ROWS = 60
SITES = ["north", "it's", "100 %", "a_b", "c\\d", "", "日本", "naïve\nline", None]
START = datetime.datetime(2020, 1, 1)
VALUES = {
    "site": SITES,
    "year": [*range(2000, 2012), 2**53 + 1, -(2**63), 2**63 - 1, None],
    "x": [-1.5, 0.0, 0.1, 2.5, 1e300, None],
    "ok": [True, False, None],
    "day": [(START + datetime.timedelta(days=i)).date() for i in range(5)] + [None],
    "moment": [START + datetime.timedelta(milliseconds=500 * i) for i in range(5)] + [None],
    "two words": [0, 1, 255, None],
}
CONDITIONS = [
    "year = 2003 OR year == 2003.0 OR year <> 2.0055e3 AND x != +.1",
    "year < 2003.5 AND year >= 2001 OR x > -1.5 AND x <= 1e300",
    f"year > {2**53} AND year < {2**53 + 2}",
    f"year IN ({2**63}, {2**63 - 1}, 2000) OR year < -1e300",
    "year NOT IN (2000, 2003.5)",
    "year NOT IN (2000, NULL) OR year = null",
    "x BETWEEN 0 AND 0.1 or x NOT BETWEEN -2 AND 1",
    '"two words" = 255 OR "two words" > 256',
    "NOT (ok AND year > 2005) OR NOT ok",
    "ok = TRUE OR ok <> false AND site IS NOT NULL",
    "site IS NULL AND NOT (id = 's7' OR id >= 's4')",
    "site = 'it''s' OR site IN ('', '日本')",
    "site LIKE '%\\%' OR site LIKE 'a\\_%' OR site LIKE 'c\\\\d'",
    "site LIKE 'na%e' OR id not like 's1_' OR id LIKE 's.'",
    "day = DATE '2020-01-03' OR day > date '2020-01-04'",
    "moment > DATE '2020-01-01' AND moment <> DATE '2021-01-01'",
    "moment >= TIMESTAMP '2020-01-01 00:00:00.7' AND NOT moment = TIMESTAMP '2020-01-01 00:00:01'",
]


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(0)
    types = {"two words": pa.uint8(), "site": pa.dictionary(pa.int32(), pa.string())}
    drawn = {
        name: [values[i] for i in rng.integers(0, len(values), NUM_ROWS)]
        for name, values in VALUES.items()
    }
    return pa.table({name: pa.array(drawn[name], types.get(name)) for name in drawn})


@pytest.fixture(scope="module")
def index(ae, rows, tmp_path_factory):
    path = tmp_path_factory.mktemp("where") / "rows.index"
    codes = np.random.default_rng(0).normal(size=(NUM_ROWS, 3)).astype(np.float32)
    ids = [f"s{i}" for i in range(NUM_ROWS)]
    metadata = rows.append_column("list", pa.array([[1]] * NUM_ROWS))
    return Index.create(path, ae, codes=codes, ids=ids, metadata=metadata, vector_kind="code")


def matching_ids(index, where):
    return set(index.search(codes=np.zeros((1, 3)), k=NUM_ROWS, where=where).ids())


def test_conditions_mean_the_same_as_in_sql(index, rows):
    ids = pa.array([f"s{i}" for i in range(NUM_ROWS)])
    table = duckdb.from_arrow(rows.append_column("id", ids))
    for text in CONDITIONS:
        # in SQL, a backslash escapes characters only with this clause
        sql = re.sub(r"((?i:like) '[^']*')", r"\1 ESCAPE '\\'", text)
        expected = table.filter(sql).project("id").fetchall()
        assert matching_ids(index, text) == {name for (name,) in expected}, text


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("repeat(id, 100000000) <> id", "1: There is no column 'repeat'. The columns are id,"),
        ("year > 2010; AND strong = 'nonsense'", "12: Expected AND, OR or the end. Got ';'."),
        ("(year > 2010 year", "14: Expected AND, OR or ). Got 'year'."),
        ("", "1: Expected a column. Got the end."),
        ("year", "5: Expected a comparison such as =, <, IN, BETWEEN, LIKE or IS NULL."),
        ("year IN (1 2)", "12: Expected a comma or ). Got '2'."),
        ("site = 'north", "8: The quote ' is not closed."),
        ("year = 'a'", "8: \"'a'\" cannot be compared with the column 'year' of the type int64."),
        ("site = 5", "8: '5' cannot be compared with the column 'site' of the type dictionary"),
        ("ok IN (FALSE, 1)", "15: '1' cannot be compared with the column 'ok' of the type bool."),
        ("moment < '2020'", "10: \"'2020'\" cannot be compared with the column 'moment' of the"),
        ("moment > TIMESTAMP 'noon'", "20: Expected a time such as '2024-"),
        ("site = '\ud800'", "8: \"'\\ud800'\" cannot be compared with"),
        ("year LIKE '20%'", "11: \"'20%'\" cannot be compared with the column 'year'"),
        ("list = 3", "8: '3' cannot be compared with the column 'list' of the"),
    ],
)
def test_invalid_conditions_are_refused_with_the_position(index, where, message):
    with pytest.raises(ParameterError) as error:
        matching_ids(index, where)
    assert str(error.value).startswith(f"where is not valid at character {message}")


def test_numbers_that_are_missing_or_inexact_and_times_with_a_zone(ae, tmp_path):
    metadata = {"x": np.array([1.0, 5.0, np.nan, -np.inf]), "y": np.float32([0.1, 0, 0, 0])}
    metadata["t"] = pa.array([0, 3_600_000, 0, 0], pa.timestamp("ms", "Europe/Berlin"))
    index = Index.create(tmp_path / "x", ae, codes=np.eye(4, 3), metadata=metadata)
    for where, expected in (
        ("x > 3", {1}),
        ("NOT x > 3", {0, 3}),
        ("x NOT IN (1)", {1, 3}),
        ("x IS NULL", {2}),
        ("y = 0.1", {0}),
        ("t >= TIMESTAMP '1970-01-01 02:00+01:00' AND t < DATE '9999-12-31'", {1}),
    ):
        assert matching_ids(index, where) == expected, where


def test_a_condition_with_too_many_levels(index):
    with pytest.raises(ParameterError, match=r"^where has too many levels of parentheses"):
        matching_ids(index, "(" * 5000 + "ok" + ")" * 5000)
