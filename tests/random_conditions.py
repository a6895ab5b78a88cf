"""Random conditions of a search: valid ones with the rows that meet them, and broken ones."""

import datetime
import operator

import numpy as np

NAMES = ("site", "year", "x", "ok", "day", "at", "two words")
_SITES = ["north", "it's", "100 %", "a_b", "c\\d", "", "日本", "naïve\nline", None]
_OPERATORS = {
    "=": operator.eq,
    "==": operator.eq,
    "<>": operator.ne,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_SNIPPETS = [
    *("; DROP TABLE codes", "--", "/* x */", " OR 1 = 1", "UNION SELECT * FROM codes"),
    *("repeat(id, 100000000) <> id", "CASE WHEN ok THEN 1 ELSE 2 END", "CAST(year AS TEXT)"),
    *("id || id", "year % 0", "x::int", "ILIKE '%'", "ESCAPE '!'", "ANY(ARRAY[1])", "code[0]"),
    *("?", "'", '"', "`", "(", ")", ",", "NOT", "NULL", "1e999", "0x1F", "\x00", "\ud800", "١٢"),
    *("read_csv('/etc/passwd')", "regexp_like(id, '(a+)+$')"),
]
_NUMBERS = [
    *("2000", "2003", "2003.0", "2.0055e3", "2003.5", "-1.5", "+.1", "0", "1", "255", "256"),
    *("9007199254740993", "1e300", "-1e300", "9223372036854775807"),
    *("9223372036854775808", "-9223372036854775808"),
]


def draw_rows(number, seed=0):
    """Draw columns of metadata with missing values, one value per row."""
    rng = np.random.default_rng(seed)
    start = datetime.datetime(2020, 1, 1)

    def column(values):
        return [values[i] for i in rng.integers(0, len(values), number)]

    return {
        "site": column(_SITES),
        "year": column([*range(2000, 2012), 2**53 + 1, -(2**63), 2**63 - 1, None]),
        "x": column([-1.5, 0.0, 0.1, 2.5, 1e300, None]),
        "ok": column([True, False, None]),
        "day": column([(start + datetime.timedelta(days=i)).date() for i in range(5)] + [None]),
        "at": column([start + datetime.timedelta(milliseconds=500 * i) for i in range(5)] + [None]),
        "two words": column([0, 1, 255, None]),
    }


def ids_of(rows, function):
    """Return the ids, s0 and so on, of the rows that meet a condition."""
    names, number = ("id", *rows), len(rows["year"])
    values = zip((f"s{i}" for i in range(number)), *rows.values(), strict=True)
    return {row[0] for row in values if function(dict(zip(names, row, strict=True)))}


class Conditions:
    """Draws conditions on the columns of `draw_rows` and ``id``.

    A condition is its text, and a function that says of a row whether it meets the condition: True,
    False, or None if that is unknown, as in SQL.
    """

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)
        self.names = ["id", *NAMES]

    def choice(self, options):
        return options[self.rng.integers(0, len(options))]

    def word(self, text):
        return self.choice([text, text.lower(), text.title()])

    def column(self, name):
        quote = self.choice(['"', "`"] if " " in name else ['"', "`", "", "", ""])
        return f"{quote}{name}{quote}"

    def literal(self, name):
        """Draw a literal that can be compared with a column."""
        if self.rng.random() < 0.1:
            return self.word("NULL"), None
        if name in ("id", "site"):
            value = self.choice([*_SITES[:-1], "s7", "s11"])
            return "'" + value.replace("'", "''") + "'", value
        if name == "ok":
            value = self.choice([True, False])
            return self.word(str(value).upper()), value
        if name == "day":
            value = datetime.date(2020, 1, int(self.rng.integers(1, 7)))
            return f"{self.word('DATE')} '{value}'", value
        if name == "at":
            value = datetime.datetime(2020, 1, 1) + datetime.timedelta(
                milliseconds=int(self.rng.integers(0, 25)) * 100
            )
            text = f"{value}+00:00" if self.rng.random() < 0.3 else f"{value}"
            return f"{self.word('TIMESTAMP')} '{text}'", value
        text = self.choice(_NUMBERS)
        if name == "x":
            return text, float(text)
        return text, int(text) if text.lstrip("-").isdigit() else float(text)

    def comparison(self):
        name = self.choice(self.names)
        column, kind = self.column(name), self.rng.integers(0, 8)
        if kind == 0:
            return f"{column} {self.word('IS NULL')}", lambda row: row[name] is None
        if kind == 1:
            return f"{column} {self.word('IS NOT NULL')}", lambda row: row[name] is not None
        if kind == 2:
            given = [self.literal(name) for _ in range(self.rng.integers(1, 5))]
            text = f"{column} {self.word('IN')} ({', '.join(text for text, _ in given)})"

            def among(row):
                return _any([_compared(operator.eq, row[name], value) for _, value in given])

            return self.negated(text, among, "IN")
        if kind == 3:
            (low, least), (high, most) = self.literal(name), self.literal(name)
            text = f"{column} {self.word('BETWEEN')} {low} {self.word('AND')} {high}"

            def between(row):
                sides = (operator.ge, least), (operator.le, most)
                return _all([_compared(side, row[name], value) for side, value in sides])

            return self.negated(text, between, "BETWEEN")
        if kind == 4 and name in ("id", "site"):
            pieces = ["%", "_", "a", "s1", "\\%", "\\_", "\\\\", "\\d", "日"]
            parts = [self.choice(pieces) for _ in range(3)]
            text = f"{column} {self.word('LIKE')} '{''.join(parts)}'"
            return self.negated(text, lambda row: _like(row[name], parts), "LIKE")
        if kind == 5 and name == "ok":
            return column, lambda row: row[name]
        if kind == 6 and name in ("year", "two words"):
            other, sign = self.choice(["year", "two words"]), self.choice([*_OPERATORS])
            text = f"{column}{sign}{self.column(other)}"
            return text, lambda row: _compared(_OPERATORS[sign], row[name], row[other])
        (text, value), sign = self.literal(name), self.choice([*_OPERATORS])
        function = _OPERATORS[sign]
        if self.rng.random() < 0.2:
            return f"{text} {sign} {column}", lambda row: _compared(function, value, row[name])
        return f"{column} {sign} {text}", lambda row: _compared(function, row[name], value)

    def negated(self, text, function, word):
        """Put NOT before the word of a comparison, or leave it."""
        if self.rng.random() < 0.6:
            return text, function
        at = text.upper().index(f" {word} ") + 1
        return f"{text[:at]}{self.word('NOT')} {text[at:]}", lambda row: _not(function(row))

    def condition(self, depth=3):
        kind = self.rng.integers(0, 6) if depth else 0
        if kind < 2:
            return self.comparison()
        if kind == 2:
            text, function = self.condition(depth - 1)
            return f"{self.word('NOT')} ({text})", lambda row: _not(function(row))
        parts = [self.condition(depth - 1) for _ in range(self.rng.integers(2, 4))]
        word, join = ("AND", _all) if kind < 5 else ("OR", _any)
        texts = [f"({text})" for text, _ in parts]
        functions = [function for _, function in parts]
        text = f" {self.word(word)}\n".join(texts)
        return text, lambda row: join([function(row) for function in functions])

    def without_parentheses(self):
        """Draw comparisons with NOT, AND and OR, whose order follows from their precedence."""
        alternatives = []
        for _ in range(self.rng.integers(1, 4)):
            terms = [self.comparison() for _ in range(self.rng.integers(1, 4))]
            flags = [bool(self.rng.random() < 0.3) for _ in terms]
            both = [*zip(flags, terms, strict=True)]
            text = " AND ".join("NOT " * flag + text for flag, (text, _) in both)
            alternatives.append((text, both))

        def evaluated(row):
            return _any(
                [
                    _all([_not(f(row)) if flag else f(row) for flag, (_, f) in terms])
                    for _, terms in alternatives
                ]
            )

        return " OR ".join(text for text, _ in alternatives), evaluated

    def broken(self):
        """Draw text that is probably no condition."""
        text, kind = self.condition(2)[0], self.rng.integers(0, 9)
        at = int(self.rng.integers(0, len(text) + 1))
        if kind < 3:
            return f"{text[:at]}{self.choice(['', ' '])}{self.choice(_SNIPPETS)} {text[at:]}"
        if kind == 3:
            return text[:at] + text[at + int(self.rng.integers(1, 4)) :]
        if kind == 4:
            return "".join(chr(self.rng.integers(0, end)) for end in (0x80, 0x3000, 0x11000))
        if kind == 5:
            words = [*_SNIPPETS, *_OPERATORS, "year", "'a'", "3", "IN"]
            return " ".join(self.choice(words) for _ in range(5))
        if kind == 6:
            depth = int(self.rng.integers(1, 2000))
            return self.choice(["(", "NOT ", "NOT("]) * depth + text + ")" * depth
        if kind == 7:
            size = int(self.rng.integers(1, 30_000))
            return self.choice(
                [f"site = '{'x' * size}'", f"year = {'9' * size}", " OR ".join(["year = 1"] * size)]
            )
        text = list(text)
        self.rng.shuffle(text)
        return "".join(text)


def draw_conditions(number, seed):
    """Yield texts, each with its function if it is valid and None otherwise."""
    conditions = Conditions(seed)
    for i in range(number):
        # several comparisons of the same column
        conditions.names = conditions.rng.permutation(["id", *NAMES])[: i % 10 + 1].tolist()
        if i % 2:
            yield conditions.broken(), None
        else:
            yield conditions.condition() if i % 4 else conditions.without_parentheses()


def _compared(function, a, b):
    return None if a is None or b is None else function(a, b)


def _not(value):
    return None if value is None else not value


def _all(values):
    return False if False in values else None if None in values else True


def _any(values):
    return True if True in values else None if None in values else False


def _like(text, parts):
    """Match text with the parts of a pattern, one after the other."""
    if text is None:
        return None
    ends = {0}
    for part in parts:
        if part == "%":
            ends = {end for first in ends for end in range(first, len(text) + 1)}
        elif part == "_":
            ends = {end + 1 for end in ends if end < len(text)}
        else:
            plain = part[1:] if part in ("\\%", "\\_", "\\\\") else part
            ends = {end + len(plain) for end in ends if text.startswith(plain, end)}
    return len(text) in ends
