"""Conditions on the rows of an index: a small grammar, which Arrow evaluates."""

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, time
from functools import reduce
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

Literal: TypeAlias = bool | int | float | str | date | None
# For each row, whether a condition is true; null if it is unknown, as in SQL.
Truth: TypeAlias = Any


class _Kind(NamedTuple):
    """What the values of a column are."""

    fits: Callable[[Any], bool]  # a function of a type of Arrow
    literals: tuple[type, ...]  # that the values can be compared with
    example: str


_BOOLEAN = _Kind(pa.types.is_boolean, (bool,), "TRUE or FALSE")
_NUMBER = _Kind(
    lambda t: pa.types.is_integer(t) or pa.types.is_floating(t), (int, float), "a number"
)
_STRING = _Kind(
    lambda t: pa.types.is_string(t) or pa.types.is_large_string(t), (str,), "text in single quotes"
)
_DATE = _Kind(pa.types.is_date, (date,), "a date such as DATE '2024-05-01'")
_TIME = _Kind(
    pa.types.is_timestamp, (date, datetime), "a time such as TIMESTAMP '2024-05-01 12:00:00'"
)
_KINDS = (_BOOLEAN, _NUMBER, _STRING, _DATE, _TIME)


def matches(where: str, table: pa.Table) -> np.ndarray:
    """Return the numbers of the rows that meet a condition on their columns (n_matches,)."""
    check("where", where, _TEXT)
    try:
        truth = _Parser(where, table).condition()
    except RecursionError as error:
        raise ParameterError(
            f"{argument('where')} has too many levels of parentheses and NOT. Write fewer."
        ) from error
    except (pa.ArrowException, UnicodeError) as error:  # such as half of a character
        reason = str(error).splitlines()[0][:200]
        raise ParameterError(f"{argument('where')} cannot be evaluated: {reason}") from error
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

    token: _Token
    described: str
    kind: _Kind | None  # None if values cannot be compared
    values: Any  # an array of Arrow

    @classmethod
    def of(cls, token: _Token, name: str, values: pa.ChunkedArray) -> "_NamedColumn":
        described = f"The column {name!r} has the type {values.type}."
        if pa.types.is_dictionary(values.type):
            values = values.cast(values.type.value_type)
        elif pa.types.is_decimal(values.type):
            values = values.cast(pa.float64())
        elif pa.types.is_floating(values.type):  # NaN is a missing value
            missing = pa.nulls(1, values.type)[0]
            values = _compute.if_else(_compute.is_nan(values), missing, values)
        elif pa.types.is_timestamp(values.type):  # in UTC, as literals are
            values = values.cast(pa.timestamp("us"), safe=False)
        kind = next((kind for kind in _KINDS if kind.fits(values.type)), None)
        return cls(token, described, kind, values)

    def compared(self, sign: str, literal: Literal) -> Truth:
        """Compare all values with a literal."""
        values, data_type = self.values, self.values.type
        if pa.types.is_floating(data_type) and literal is not None:
            literal = float(literal)
        elif pa.types.is_integer(data_type):
            # whole numbers are exact, and no integer is equal to another number
            if isinstance(literal, float):
                values = values.cast(pa.float64(), safe=False)
            data_type = pa.float64() if isinstance(literal, float) else pa.int64()
        return _OPERATORS[sign](values, pa.scalar(literal, data_type))


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

    def __init__(self, where: str, table: pa.Table) -> None:
        self._table, self._next = table, 0
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
            f"{argument('where')} is not valid at character {token.position + 1}: {reason}"
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
        if column.kind is None:
            reason = f"{column.described} It can only be tested with IS NULL."
            self._fail(column.token, reason)
        if self._token.text in _OPERATORS:
            return column.compared(self._take().text, self._literal(column))
        negative = self._accept("NOT")
        if self._accept("IN"):
            equal = [column.compared("=", literal) for literal in self._list(column)]
            truth = reduce(_compute.or_kleene, equal)
        elif self._accept("BETWEEN"):
            low = column.compared(">=", self._literal(column))
            self._expect("AND")
            high = column.compared("<=", self._literal(column))
            truth = _compute.and_kleene(low, high)
        elif self._accept("LIKE"):
            truth = self._like(column)
        elif column.kind is _BOOLEAN and not negative:
            truth = column.values
        else:
            self._expected("a comparison such as =, <, IN, BETWEEN, LIKE or IS NULL")
        return _compute.invert(truth) if negative else truth

    def _like(self, column: _NamedColumn) -> Truth:
        if column.kind is not _STRING:
            self._fail(column.token, f"LIKE needs a column of text. {column.described}")
        if self._token.kind != "text":
            self._expected("a pattern in single quotes")
        return _compute.match_like(column.values, _unquoted(self._take().text))

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
        return _NamedColumn.of(self._take(), name, self._table[name])

    def _list(self, column: _NamedColumn) -> list[Literal]:
        self._expect("(")
        literals = [self._literal(column)]
        while self._accept(","):
            literals.append(self._literal(column))
        self._expect(")", "a comma or )")
        return literals

    def _literal(self, column: _NamedColumn) -> Literal:
        """Read a literal that the values of a column can be compared with."""
        kind, token, word = column.kind, self._token, self._token.text.upper()
        value: Any = None
        if token.kind == "number":
            value = _number(self._take().text)
        elif token.kind == "text":
            value = _unquoted(self._take().text)
        elif token.kind == "word" and word in _CONSTANTS:
            value = _CONSTANTS[self._take().text.upper()]
        elif self._accept("DATE"):
            value = self._time(_DATE, date.fromisoformat)
        elif self._accept("TIMESTAMP"):
            value = self._time(_TIME, _utc)
        else:
            self._expected("a number, text in single quotes or another literal")
        if kind is None or value is None:
            return None
        if type(value) not in kind.literals:
            reason = f"Expected {kind.example}. Got {token.shown}. {column.described}"
            self._fail(token, reason)
        return datetime.combine(value, time()) if kind is _TIME and type(value) is date else value

    def _time(self, kind: _Kind, read: Callable[[str], date]) -> date:
        if self._token.kind != "text":
            self._expected(kind.example)
        try:
            value = read(_unquoted(self._token.text))
        except (ValueError, OverflowError):
            self._expected(kind.example)
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
