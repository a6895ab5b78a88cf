"""Conditions on the rows of an index: a small grammar, which Arrow evaluates."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from typing import Any, NamedTuple, NoReturn, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute

from refold._support.rules import Rule, check
from refold.errors import ParameterError, argument

# its functions are made when it is imported
_compute: Any = pyarrow.compute

_TEXT = Rule("text such as \"site = 'north'\"", lambda value: isinstance(value, str))
# Characters of the condition that an error shows.
_SHOWN = 40

# Space is left out.
_TOKEN = re.compile(
    r"""(?P<number>[-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?)
    |(?P<text>'[^']*(?:''[^']*)*')
    |(?P<quoted>"[^"]*(?:""[^"]*)*")
    |(?P<word>[^\W\d]\w*)
    |(?P<symbol>==|!=|<>|<=|>=|[=<>(),])
    |(?P<other>\S)""",
    re.VERBOSE,
)
_OPERATORS: dict[str, Any] = {
    "=": _compute.equal,
    "==": _compute.equal,
    "<>": _compute.not_equal,
    "!=": _compute.not_equal,
    "<": _compute.less,
    "<=": _compute.less_equal,
    ">": _compute.greater,
    ">=": _compute.greater_equal,
}
_CONSTANTS = {"TRUE": True, "FALSE": False, "NULL": None}
# Words that are columns only in quotes.
_RESERVED = frozenset(["AND", "OR", "NOT", "IN", "BETWEEN", "LIKE", "IS", *_CONSTANTS])

# For each row, whether a condition is true; null if it is unknown, as in SQL.
Truth: TypeAlias = Any


def matches(where: str, table: pa.Table, name: str = argument("where")) -> np.ndarray:
    """Return the numbers of the rows that meet a condition on their columns (n_matches,).

    ``name`` is the argument that messages name.
    """
    check("where", where, _TEXT)
    try:
        truth = _Parser(where, table, name).condition()
    except RecursionError as error:
        raise ParameterError(
            f"{name} has too many levels of parentheses and NOT. Write fewer."
        ) from error
    return np.flatnonzero(_compute.fill_null(truth, fill_value=False))


class _Token(NamedTuple):
    kind: str
    text: str
    position: int

    @property
    def shown(self) -> str:
        return "the end" if self.kind == "end" else f"{self.text!r:.{_SHOWN}}"


class _NamedColumn(NamedTuple):
    """A column that a condition names."""

    described: str
    values: Any  # an array of Arrow

    @classmethod
    def of(cls, name: str, values: pa.ChunkedArray) -> "_NamedColumn":
        described = f"the column {name!r} of the type {values.type}"
        if pa.types.is_dictionary(values.type):
            values = values.cast(values.type.value_type)
        elif pa.types.is_decimal(values.type):
            values = values.cast(pa.float64())
        elif pa.types.is_floating(values.type):  # NaN is a missing value
            missing = pa.nulls(1, values.type)[0]
            values = _compute.if_else(_compute.is_nan(values), missing, values)
        elif pa.types.is_timestamp(values.type):  # in UTC, as literals are
            values = values.cast(pa.timestamp("us"), safe=False)
        return cls(described, values)

    def compared(self, sign: str, value: Any) -> Truth:
        """Compare all values with one, or raise an error if the types do not fit."""
        values, data_type = self.values, self.values.type
        if value is not None and isinstance(value, bool) != pa.types.is_boolean(data_type):
            raise TypeError
        if pa.types.is_floating(data_type) and isinstance(value, int):
            value = float(value)
        elif pa.types.is_integer(data_type) and isinstance(value, float):
            values, data_type = values.cast(pa.float64(), safe=False), pa.float64()
        elif pa.types.is_integer(data_type):
            data_type = pa.int64()
        # Arrow compares dates with times
        scalar = pa.scalar(value, None if isinstance(value, date) else data_type)
        return _OPERATORS[sign](values, scalar)


# A condition is never passed on as text. Each part is evaluated with functions of Arrow when it is
# read, so a condition cannot contain anything else than this grammar:
#
#   condition   = and { OR and }
#   and         = not { AND not }
#   not         = NOT not | "(" condition ")" | comparison
#   comparison  = column ( = | == | != | <> | < | <= | > | >= ) literal
#               | column [ NOT ] BETWEEN literal AND literal
#               | column [ NOT ] IN "(" literal { "," literal } ")"
#               | column [ NOT ] LIKE text
#               | column IS [ NOT ] NULL
#               | column of booleans
#   literal     = number | text | TRUE | FALSE | NULL | DATE text | TIMESTAMP text
class _Parser:
    """Recursive descent through the tokens of a condition."""

    def __init__(self, where: str, table: pa.Table, name: str) -> None:
        self._table, self._name, self._next = table, name, 0
        self._tokens = [
            _Token(str(match.lastgroup), match.group(), match.start())
            for match in _TOKEN.finditer(where)
        ]
        self._tokens.append(_Token("end", "", len(where)))

    def condition(self) -> Truth:
        """Read and evaluate the whole text."""
        truth = self._or()
        if self._token.kind != "end":
            self._expected("AND, OR or the end")
        return truth

    # tokens

    @property
    def _token(self) -> _Token:
        return self._tokens[self._next]

    def _take(self) -> _Token:
        self._next += 1
        return self._tokens[self._next - 1]

    def _accept(self, word: str) -> bool:
        """Skip the next token if it is this keyword or symbol."""
        token = self._token
        accepted = token.kind in ("word", "symbol") and token.text.upper() == word
        self._next += accepted
        return accepted

    def _expect(self, word: str, expected: str | None = None) -> None:
        if not self._accept(word):
            self._expected(expected or word)

    def _expected(self, expected: str) -> NoReturn:
        token = self._token
        if token.text in ("'", '"'):
            self._fail(token, f"The quote {token.text} is not closed.")
        self._fail(token, f"Expected {expected}. Got {token.shown}.")

    def _fail(self, token: _Token, reason: str) -> NoReturn:
        raise ParameterError(
            f"{self._name} is not valid at character {token.position + 1}: {reason}"
        )

    # conditions

    def _or(self) -> Truth:
        truth = self._and()
        while self._accept("OR"):
            truth = _compute.or_kleene(truth, self._and())
        return truth

    def _and(self) -> Truth:
        truth = self._not()
        while self._accept("AND"):
            truth = _compute.and_kleene(truth, self._not())
        return truth

    def _not(self) -> Truth:
        if self._accept("NOT"):
            return _compute.invert(self._not())
        if self._accept("("):
            truth = self._or()
            self._expect(")", "AND, OR or )")
            return truth
        return self._comparison()

    def _comparison(self) -> Truth:
        column = self._column()
        if self._accept("IS"):
            negative = self._accept("NOT")
            self._expect("NULL")
            valid = _compute.is_valid(column.values)
            return valid if negative else _compute.invert(valid)
        if self._token.text in _OPERATORS:
            return self._compare(column, self._take().text)
        negative = self._accept("NOT")
        if self._accept("IN"):
            self._expect("(")
            truth = self._compare(column, "=")
            while self._accept(","):
                truth = _compute.or_kleene(truth, self._compare(column, "="))
            self._expect(")", "a comma or )")
        elif self._accept("BETWEEN"):
            truth = self._compare(column, ">=")
            self._expect("AND")
            truth = _compute.and_kleene(truth, self._compare(column, "<="))
        elif self._accept("LIKE"):
            token = self._token
            if token.kind != "text":
                self._expected("a pattern in single quotes")
            with self._comparing(column, token):
                truth = _compute.match_like(column.values, _unquoted(self._take().text))
        elif pa.types.is_boolean(column.values.type) and not negative:
            truth = column.values
        else:
            self._expected("a comparison such as =, <, IN, BETWEEN, LIKE or IS NULL")
        return _compute.invert(truth) if negative else truth

    def _compare(self, column: _NamedColumn, sign: str) -> Truth:
        """Compare a column with the next literal."""
        token = self._token
        value = self._literal()
        with self._comparing(column, token):
            return column.compared(sign, value)

    @contextmanager
    def _comparing(self, column: _NamedColumn, token: _Token) -> Iterator[None]:
        try:
            yield
        except (pa.ArrowException, TypeError, UnicodeError):  # such as half of a character
            self._fail(
                token,
                f"{token.shown} cannot be compared with {column.described}. Write numbers as 2.5, "
                "text as 'north', and times as DATE '2024-05-01' or TIMESTAMP '2024-05-01 12:00'.",
            )

    # columns and literals

    def _column(self) -> _NamedColumn:
        token = self._token
        is_word = token.kind == "word" and token.text.upper() not in _RESERVED
        if token.kind != "quoted" and not is_word:
            self._expected("a column")
        name = _unquoted(token.text) if token.kind == "quoted" else token.text
        names = self._table.column_names
        if name not in names:
            self._fail(
                token,
                f"There is no column {name!r:.{_SHOWN}}. The columns are {', '.join(names)}; "
                "write text in single quotes, as in site = 'north'.",
            )
        self._take()
        return _NamedColumn.of(name, self._table[name])

    def _literal(self) -> Any:
        token, word = self._token, self._token.text.upper()
        if token.kind == "number":
            return _number(self._take().text)
        if token.kind == "text":
            return _unquoted(self._take().text)
        if token.kind == "word" and word in _CONSTANTS:
            self._take()
            return _CONSTANTS[word]
        if self._accept("DATE"):
            return self._time(date.fromisoformat, "a date such as '2024-05-01'")
        if not self._accept("TIMESTAMP"):
            self._expected("a number, text in single quotes or another literal")
        return self._time(_utc, "a time such as '2024-05-01 12:00:00'")

    def _time(self, read: Callable[[str], date], expected: str) -> date:
        if self._token.kind != "text":
            self._expected(expected)
        try:
            value = read(_unquoted(self._token.text))
        except (ValueError, OverflowError):
            self._expected(expected)
        self._take()
        return value


def _number(text: str) -> int | float:
    """Return a whole number if it has 64 bits, and otherwise a float."""
    is_whole = re.fullmatch(r"[-+]?[0-9]{1,19}", text) is not None
    number = int(text) if is_whole else float(text)
    if isinstance(number, float) and number.is_integer():
        number = int(number)
    return number if abs(number) < 2**63 else float(number)


def _utc(text: str) -> datetime:
    """Read a time, which is in UTC if it has no zone."""
    moment = datetime.fromisoformat(text)
    return (moment.astimezone(UTC) if moment.tzinfo else moment).replace(tzinfo=None)


def _unquoted(text: str) -> str:
    return text[1:-1].replace(2 * text[0], text[0])
