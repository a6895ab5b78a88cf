"""Conditions of searches: the rows that meet them, and one line for everything else."""

import resource

import numpy as np
import pyarrow as pa
import pytest

from random_conditions import draw_conditions, draw_rows, ids_of
from refold.errors import ParameterError
from refold.search import Index

ROWS = 60


@pytest.fixture(scope="module")
def rows():
    return draw_rows(ROWS)


@pytest.fixture(scope="module")
def index(ae, rows, tmp_path_factory):
    place = tmp_path_factory.mktemp("where") / "rows.index"
    codes = np.random.default_rng(0).normal(size=(ROWS, 3)).astype(np.float32)
    ids = [f"s{i}" for i in range(ROWS)]
    types = {"two words": pa.uint8(), "site": pa.dictionary(pa.int32(), pa.string())}
    columns = {name: pa.array(rows[name], types.get(name)) for name in rows}
    metadata = pa.table(columns | {"list": [[1]] * ROWS})
    return Index.create(place, ae, codes=codes, ids=ids, metadata=metadata, distance="code")


def matches(index, where):
    return set(index.search(codes=np.zeros((1, 3)), k=ROWS, where=where).ids())


def check(index, rows, number, seed):
    """Check random conditions: valid ones by their rows, and others by their errors."""
    refused = answered = 0
    for text, function in draw_conditions(number, seed):
        if function is not None:
            assert matches(index, text) == ids_of(rows, function), text
            continue
        try:
            matches(index, text)
        except ParameterError as error:
            refused += str(error).isprintable() and len(str(error)) < 300
            continue
        answered += 1
    assert refused + answered == number // 2
    assert refused > number // 3


@pytest.mark.parametrize(
    ("where", "message"),
    [
        # functions and arithmetic
        ("repeat(id, 100000000) <> id", "1: There is no column 'repeat'. The columns are id,"),
        ("year + 1 > 2003", "6: Unexpected '+'."),
        ("code = 3", "1: There is no column 'code'."),
        # text after a condition
        ("year > 2010; AND strong = 'nonsense'", "12: Unexpected ';'."),
        ("year > 2010 garbage", "13: Expected AND, OR or the end. Got 'garbage'."),
        ("year > 2010 -- comment", "13: Unexpected '-'."),
        ("(year > 2010 year", "14: Expected AND, OR or ). Got 'year'."),
        # parts that are missing
        ("", "1: Expected a column or a literal. Got the end."),
        ("year >", "7: Expected a column or a literal. Got the end."),
        ("year = = 3", "8: Expected a column or a literal. Got '='."),
        ("year", "5: Expected a comparison such as =, <, IN, BETWEEN, LIKE or IS NULL."),
        ("year NOT 3", "6: Expected a comparison such as"),
        ("year IS 3", "9: Expected NULL. Got '3'."),
        ("year IN ()", "10: Expected a column or a literal. Got ')'."),
        ("year IN (1 2)", "12: Expected a comma or ). Got '2'."),
        ("year IN (year)", "10: Expected a number, text or another literal. Got 'year'."),
        ("year BETWEEN 1 OR 2", "16: Expected AND. Got 'OR'."),
        ("site = 'north", "8: The quote ' is not closed."),
        ("1 = 1", "5: Expected a column on one side of the comparison. Got '1'."),
        ("3 IS NULL", "1: Expected a column. Got '3'."),
        # types
        ("year = 'a'", "8: Expected a number. Got \"'a'\". The column 'year' has the type int64."),
        ("site IN ('a', 3)", "15: Expected text in single quotes. Got '3'."),
        ("day > '2020-01-02'", "7: Expected a date such as DATE '2024-05-01'."),
        ("at > TIMESTAMP 'noon'", "16: Expected a time such as TIMESTAMP '2024-05-01 12:00:00'."),
        ("ok = 1", "6: Expected TRUE or FALSE. Got '1'."),
        ("site = year", "8: The columns 'site' (dictionary"),
        ("year LIKE '20%'", "1: LIKE needs a column of text. The column 'year' has"),
        ("list = 3", "1: The column 'list' has the type list<item: int64>. It can only be tested"),
        ("year < 1e999", "8: The number '1e999' is beyond 1.8e308."),
        ("site = '\ud800'", r"9: '\ud800' is half of a character."),
        # limits
        ("(" * 33 + "ok" + ")" * 33, "33: There are more than 32 levels of parentheses and NOT."),
        (" OR ".join(["ok"] * 1001), "6001: There are more than 1,000 comparisons."),
        ("site LIKE '" + "%_" * 7 + "'", "11: The pattern has more than 12 of % and _."),
        (" OR ".join(["id LIKE 'a%'"] * 51), "809: There are more than 50 patterns."),
    ],
)
def test_other_conditions_are_refused_with_their_place(index, where, message):
    with pytest.raises(ParameterError) as error:
        matches(index, where)
    assert str(error.value).startswith(f"where is not valid at character {message}")
    assert "\n" not in str(error.value)


def test_what_is_no_text_or_too_long_is_refused(index):
    for where, message in (
        (3, r"where must be text such as .* Got 3\."),
        ("x" * 100_001, "has 100,001 characters, and at most 100,000 are"),
    ):
        with pytest.raises(ParameterError, match=message):
            matches(index, where)


@pytest.mark.parametrize(
    "where",
    [
        "NOT (year IN (1) AND year IN (2))",
        "year > 0 OR year <= 0",
        "year IN (2000, 2001) AND NOT year IN (NULL, 2003)",
        "NOT year = NULL OR year <> NULL",
    ],
)
def test_a_missing_value_meets_no_comparison(index, rows, where):
    hits = matches(index, where)
    assert not hits & {f"s{i}" for i in range(ROWS) if rows["year"][i] is None}
    assert len(hits) == (0 if "NULL" in where else sum(year is not None for year in rows["year"]))


def test_ids_are_no_conditions(ae, tmp_path):
    ids = ["' OR '1' = '1", "a'); DROP TABLE codes --", "c\\'", "line\nline", "a\x00b", "%", "日本"]
    index = Index.create(tmp_path / "ids.index", ae, codes=np.eye(7, 3), ids=ids)
    assert index.search(ids=ids, k=1).queries.tolist() == ids
    assert index.remove(["x' OR 1 = 1 --", "%' OR 'a' LIKE '%"]) == 0
    for left, name in reversed([*enumerate(ids)]):
        assert index.remove([name]) == 1
        assert len(index) == left


def test_what_is_not_a_number_is_missing(ae, tmp_path):
    metadata = {"x": np.array([1.0, 5.0, np.nan, -np.inf])}
    index = Index.create(tmp_path / "x", ae, codes=np.eye(4, 3), metadata=metadata)
    for where, expected in (
        ("x > 3", {1}),
        ("NOT x > 3", {0, 3}),
        ("x <> 1 OR x = x", {0, 1, 3}),
        ("x NOT IN (1)", {1, 3}),
        ("x IS NULL", {2}),
    ):
        assert matches(index, where) == expected, where


def test_a_pattern_has_no_other_wildcards(index):
    assert matches(index, "id LIKE 's_'") == {f"s{i}" for i in range(10)}
    assert matches(index, "id LIKE 's.' OR id LIKE 's[0-9]'") == set()


def test_random_conditions(index, rows):
    check(index, rows, 400, seed=0)


@pytest.mark.slow
def test_many_random_conditions_in_flat_memory(index, rows):
    check(index, rows, 1000, seed=1)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    check(index, rows, 10_000, seed=2)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < before + 100_000  # kB
