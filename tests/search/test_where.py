"""Conditions of searches: the rows that meet them, and one line for everything else."""

import datetime
import re

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from refold.errors import ParameterError
from refold.search import Index

ROWS = 60
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
NUMBERS = "2000 2003 2003.0 2.0055e3 2003.5 -1.5 +.1 0 1 255 256 9007199254740993 1e300 -1e300"
NUMBERS = [*NUMBERS.split(), *(str(2**63 + i) for i in (-1, 0)), str(-(2**63)), "NULL", "null"]
LITERALS = {
    "site": [f"'{site}'" for site in ("north", "it''s", "100 %", "c\\d", "", "日本", "s7")],
    "ok": ["TRUE", "false", "Null"],
    "day": ["DATE '2020-01-03'", "date '2020-01-06'", "NULL"],
    "moment": [
        "TIMESTAMP '2020-01-01 00:00:01'",
        "Timestamp '2020-01-01 00:00:00.7'",
        "TIMESTAMP '2020-01-01 00:00:01.5'",
    ],
}


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(0)
    types = {"two words": pa.uint8(), "site": pa.dictionary(pa.int32(), pa.string())}
    drawn = {
        name: [values[i] for i in rng.integers(0, len(values), ROWS)]
        for name, values in VALUES.items()
    }
    return pa.table({name: pa.array(drawn[name], types.get(name)) for name in drawn})


@pytest.fixture(scope="module")
def index(ae, rows, tmp_path_factory):
    place = tmp_path_factory.mktemp("where") / "rows.index"
    codes = np.random.default_rng(0).normal(size=(ROWS, 3)).astype(np.float32)
    ids = [f"s{i}" for i in range(ROWS)]
    metadata = rows.append_column("list", pa.array([[1]] * ROWS))
    return Index.create(place, ae, codes=codes, ids=ids, metadata=metadata, distance="code")


def matches(index, where):
    return set(index.search(codes=np.zeros((1, 3)), k=ROWS, where=where).ids())


class Conditions:
    """Draws conditions on the columns of the rows."""

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)

    def choice(self, options):
        return options[self.rng.integers(0, len(options))]

    def comparison(self):
        name = self.choice(["id", *VALUES])
        column = f'"{name}"' if " " in name else self.choice([name, f'"{name}"'])
        literals = LITERALS.get("site" if name == "id" else name, NUMBERS)
        a, b, c = (self.choice(literals) for _ in range(3))
        some = [f"= {a}", f"== {a}", f"<>{a}", f"!= {a}", f"< {a}", f"<= {a}", f"> {a}", f">={a}"]
        some += [f"IN ({a}, {b})", f"not in ({a})", f"IN ({a}, NULL, {c})", f"BETWEEN {a} AND {b}"]
        some += [f"NOT BETWEEN {a} AND {b}", "IS NULL", "is not null"]
        if name in ("id", "site"):
            pieces = [self.choice(["%", "_", "a", "s1", "\\%", "\\_", "\\\\"]) for _ in range(3)]
            some += [f"{word} '{''.join(pieces)}'" for word in ("LIKE", "not like")] * 4
        return f"{column} {self.choice(some)}" if name != "ok" else self.choice([column, "NOT ok"])

    def condition(self, depth=3):
        kind = self.rng.integers(0, 6) if depth else 0
        if kind < 2:
            return self.comparison()
        if kind == 2:
            return f"NOT ({self.condition(depth - 1)})"
        parts = [self.condition(depth - 1) for _ in range(self.rng.integers(2, 4))]
        if kind < 5:
            return "\nand ".join(f"({part})" for part in parts)
        return " OR ".join(parts)

    def broken(self):
        """Draw text that is probably no condition."""
        text, kind = self.condition(2), self.rng.integers(0, 4)
        at, size = (int(self.rng.integers(1, most)) for most in (len(text), 2000))
        if kind == 0:
            snippets = ["; DROP TABLE codes", "--", "/* x */", " OR 1 = 1", "(SELECT 1)", "x::int"]
            snippets += ["'", '"', "(", ")", ",", "NOT", "1e999", "0x1F", "\x00", "\ud800", "code"]
            return f"{text[:at]} {self.choice(snippets)} {text[at:]}"
        if kind == 1:
            return self.choice(["(", "NOT "]) * size + text
        if kind == 2:
            return self.choice([f"site LIKE '{'%_' * size}'", " OR ".join(["ok"] * size)])
        return "".join(self.rng.permutation([*text]))


def test_random_conditions_are_those_of_sql(index, rows):
    conditions = Conditions(seed=0)
    table = duckdb.from_arrow(rows.append_column("id", pa.array([f"s{i}" for i in range(ROWS)])))
    for _ in range(200):
        text = conditions.condition()
        # a backslash is a character in SQL unless this is said
        sql = re.sub(r"((?i:like) '[^']*')", r"\1 ESCAPE '\\'", text)
        expected = table.filter(sql).project("id").fetchall()
        assert matches(index, text) == {name for (name,) in expected}, text


def test_broken_conditions_are_refused_in_one_line(index):
    conditions, refused = Conditions(seed=1), 0
    for _ in range(200):
        try:
            matches(index, conditions.broken())
        except ParameterError as error:
            refused += str(error).isprintable() and len(str(error)) < 300
    assert refused > 150


@pytest.mark.parametrize(
    ("where", "message"),
    [
        # functions and arithmetic
        ("repeat(id, 100000000) <> id", "1: There is no column 'repeat'. The columns are id,"),
        ("year + 1 > 2003", "6: Unexpected '+'."),
        # text after a condition
        ("year > 2010; AND strong = 'nonsense'", "12: Unexpected ';'."),
        ("(year > 2010 year", "14: Expected AND, OR or ). Got 'year'."),
        # parts that are missing
        ("", "1: Expected a column. Got the end."),
        ("year >", "7: Expected a number, text in single quotes or another literal. Got the end."),
        ("year", "5: Expected a comparison such as =, <, IN, BETWEEN, LIKE or IS NULL."),
        ("year IN (1 2)", "12: Expected a comma or ). Got '2'."),
        ("year BETWEEN 1 OR 2", "16: Expected AND. Got 'OR'."),
        ("site = 'north", "8: The quote ' is not closed."),
        # types
        ("year = 'a'", "8: Expected a number. Got \"'a'\". The column 'year' has the type int64."),
        ("day > '2020-01-02'", "7: Expected a date such as DATE '2024-05-01'."),
        (
            "moment > TIMESTAMP 'noon'",
            "20: Expected a time such as TIMESTAMP '2024-",
        ),
        ("year LIKE '20%'", "1: LIKE needs a column of text. The column 'year' has"),
        ("list = 3", "1: The column 'list' has the type list<item: int64>. It can only be tested"),
        ("year < 1e999", "8: The number '1e999' is beyond 1.8e308."),
        ("site = '\ud800'", r"9: '\ud800' is half of a character."),
        # limits
        ("(" * 33 + "ok" + ")" * 33, "33: There are more than 32 levels of parentheses and NOT."),
        (" OR ".join(["ok"] * 1001), "6001: There are more than 1,000 comparisons."),
        ("site LIKE '" + "%_" * 7 + "'", "11: The pattern has more than 12 of % and _."),
        (" OR ".join(["id LIKE 'a%'"] * 51), "801: There are more than 1,000 comparisons."),
    ],
)
def test_other_conditions_are_refused_with_their_place(index, where, message):
    with pytest.raises(ParameterError) as error:
        matches(index, where)
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
        assert matches(index, where) == expected, where


def test_a_pattern_has_no_other_wildcards(index):
    assert matches(index, "id LIKE 's_'") == {f"s{i}" for i in range(10)}
    assert matches(index, "id LIKE 's.' OR id LIKE 's[0-9]'") == set()
    assert matches(index, "site LIKE 'c\\d'") == matches(index, "site = 'c\\d'") != set()
