"""Conditions on the rows of an index: a small grammar, which Arrow evaluates."""

import math
import re
from datetime import UTC, date, datetime, time, timedelta
from fractions import Fraction
from typing import Any, NamedTuple, NoReturn, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute

from refold._support.rules import Rule, check
from refold.errors import ParameterError, argument

# its functions are made when it is imported
_compute: Any = pyarrow.compute

_TEXT = Rule("text such as \"site = 'north'\"", lambda value: isinstance(value, str))
# Levels of a condition, which are as many levels of calls here, and wildcards of a pattern.
_MAX_DEPTH, _MAX_WILDCARDS = 32, 100
# Characters of the condition that an error shows.
_SHOWN = 40

_TOKEN = re.compile(
    r"""(?P<number>[-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?)
    |(?P<text>'[^']*(?:''[^']*)*')
    |(?P<quoted>"[^"]*(?:""[^"]*)*")
    |(?P<word>[^\W\d]\w*)
    |(?P<symbol>==|!=|<>|<=|>=|[=<>(),])
    |(?P<space>\s+)
    |(?P<other>.)""",
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
_TICKS = {"s": 1, "ms": 1000, "us": 10**6, "ns": 10**9}  # of a second


class _Kind(NamedTuple):
    """What the values of a column are."""

    fits: Any  # a function of a type of Arrow
    literals: tuple[type, ...]  # that the values can be compared with
    example: str


_BOOLEAN = _Kind(pa.types.is_boolean, (bool,), "TRUE or FALSE")
_NUMBER = _Kind(
    lambda t: pa.types.is_integer(t) or pa.types.is_floating(t) or pa.types.is_decimal(t),
    (int, float),
    "a number",
)
_STRING = _Kind(
    lambda t: pa.types.is_string(t) or pa.types.is_large_string(t), (str,), "text in single quotes"
)
_DATE = _Kind(pa.types.is_date, (date,), "a date such as DATE '2024-05-01'")
_TIME = _Kind(
    pa.types.is_timestamp, (date, datetime), "a time such as TIMESTAMP '2024-05-01 12:00:00'"
)
_KINDS = (_BOOLEAN, _NUMBER, _STRING, _DATE, _TIME)

Literal: TypeAlias = bool | int | float | Fraction | str | date | None
# For each row, whether a condition is true; null if it is unknown. A scalar is the same for all.
Truth: TypeAlias = Any

# Neither true nor false, as in SQL.
_UNKNOWN = pa.nulls(1, pa.bool_())[0]


def matches(where: str, table: pa.Table) -> np.ndarray:
    """Return the numbers of the rows that meet a condition on their columns (n_matches,)."""
    check("where", where, _TEXT)
    truth = _Parser(where, table).condition()
    is_match = _compute.and_kleene(np.ones(len(table), bool), truth)
    return np.flatnonzero(_compute.fill_null(is_match, fill_value=False))


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
    values: Any  # an array of Arrow, in which times are integers, ticks since 1970
    ticks: int | None  # of a second

    @classmethod
    def of(cls, token: _Token, name: str, values: pa.ChunkedArray) -> "_NamedColumn":
        described, ticks = f"The column {name!r} has the type {values.type}.", None
        if pa.types.is_dictionary(values.type):
            values = values.cast(values.type.value_type)
        kind = next((kind for kind in _KINDS if kind.fits(values.type)), None)
        if pa.types.is_decimal(values.type):
            values = values.cast(pa.float64())
        elif pa.types.is_floating(values.type):  # NaN is a missing value
            nothing = pa.nulls(1, values.type)[0]
            values = _compute.if_else(_compute.is_nan(values), nothing, values)
        elif kind is _TIME:
            values, ticks = values.cast(pa.int64()), _TICKS[values.type.unit]
        return cls(token, described, kind, values, ticks)

    def compared(self, sign: str, literal: Literal) -> Truth:
        """Compare all values with a literal."""
        if literal is None:
            return _UNKNOWN
        values, exact = self.values, self._exact(literal)
        if exact is None:  # a fraction among integers, or a number that is beyond all of them
            number: Any = literal
            values = values.cast(pa.float64(), safe=False)
            exact = float(number) if abs(number) < 2**53 else math.copysign(math.inf, number)
        return _OPERATORS[sign](values, pa.scalar(exact, values.type))

    def among(self, literals: list[Literal]) -> Truth:
        """Return which values are equal to one of some literals."""
        exact = [self._exact(literal) for literal in literals if literal is not None]
        some = pa.array([value for value in exact if value is not None], self.values.type)
        among = _compute.is_in(self.values, some)
        if None in literals:
            among = _compute.or_kleene(among, _UNKNOWN)
        return _compute.if_else(_compute.is_valid(self.values), among, _UNKNOWN)

    def _exact(self, literal: Any) -> Any:
        """Return a literal in the type of the column, or None if the type does not have it."""
        data_type = self.values.type
        if pa.types.is_floating(data_type):
            return float(literal)
        if not pa.types.is_integer(data_type):
            return literal
        limits = np.iinfo(data_type.to_pandas_dtype())
        is_inside = int(limits.min) <= literal <= int(limits.max)
        return int(literal) if is_inside and literal == int(literal) else None


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
        self._where, self._table = where, table
        self._tokens, self._next = self._split(), 0
        self._depth = 0

    def condition(self) -> Truth:
        """Read and evaluate the whole text."""
        truth = self._or()
        if self._token.kind != "end":
            self._expected("AND, OR or the end")
        return truth

    def _split(self) -> list[_Token]:
        if half := re.search("[\ud800-\udfff]", self._where):
            self._fail(half.start(), f"{half.group()!r} is half of a character.")
        tokens = []
        for match in _TOKEN.finditer(self._where):
            text = match.group()
            if match.lastgroup == "other":
                is_quote = text in "'\""
                reason = f"The quote {text} is not closed." if is_quote else f"Unexpected {text!r}."
                self._fail(match.start(), reason)
            if match.lastgroup != "space":
                tokens.append(_Token(str(match.lastgroup), text, match.start()))
        return [*tokens, _Token("end", "", len(self._where))]

    def _fail(self, place: _Token | int, reason: str) -> NoReturn:
        position = place.position if isinstance(place, _Token) else place
        raise ParameterError(
            f"{argument('where')} is not valid at character {position + 1}: {reason}"
        )

    def _expected(self, what: str, token: _Token | None = None) -> NoReturn:
        token = token or self._token
        self._fail(token, f"Expected {what}. Got {token.shown}.")

    # tokens

    @property
    def _token(self) -> _Token:
        return self._tokens[self._next]

    def _take(self) -> _Token:
        self._next += 1
        return self._tokens[self._next - 1]

    def _is(self, *words: str) -> bool:
        """Return whether the next tokens are these keywords or symbols."""
        ahead = self._tokens[self._next : self._next + len(words)]
        return [t.text.upper() for t in ahead if t.kind in ("word", "symbol")] == [*words]

    def _accept(self, word: str) -> bool:
        """Skip the next token if it is this keyword or symbol."""
        if accepted := self._is(word):
            self._next += 1
        return accepted

    def _expect(self, word: str, what: str | None = None) -> None:
        if not self._accept(word):
            self._expected(what or word)

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
        if not (self._is("NOT") or self._is("(")):
            return self._comparison()
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            self._fail(
                self._token, f"There are more than {_MAX_DEPTH} levels of parentheses and NOT."
            )
        if self._accept("NOT"):
            truth = _compute.invert(self._not())
        else:
            self._expect("(")
            truth = self._or()
            self._expect(")", "AND, OR or )")
        self._depth -= 1
        return truth

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
        negative = any(self._is("NOT", word) for word in ("IN", "BETWEEN", "LIKE"))
        if negative:
            self._take()
        if self._accept("IN"):
            truth = column.among(self._list(column))
        elif self._accept("BETWEEN"):
            low = self._literal(column)
            self._expect("AND")
            high = self._literal(column)
            truth = _compute.and_kleene(column.compared(">=", low), column.compared("<=", high))
        elif self._accept("LIKE"):
            truth = self._like(column)
        elif column.kind is _BOOLEAN:
            truth = column.values
        else:
            self._expected("a comparison such as =, <, IN, BETWEEN, LIKE or IS NULL")
        return _compute.invert(truth) if negative else truth

    def _like(self, column: _NamedColumn) -> Truth:
        token = self._token
        if column.kind is not _STRING:
            self._fail(column.token, f"LIKE needs a column of text. {column.described}")
        if token.kind != "text":
            self._expected("a pattern in single quotes")
        # a backslash before another character stands for itself
        parts = re.findall(r"\\[%_\\]|.", _unquoted(self._take().text), re.DOTALL)
        wildcards = {"%": ".*", "_": "."}
        if sum(part in wildcards for part in parts) > _MAX_WILDCARDS:
            self._fail(token, f"The pattern has more than {_MAX_WILDCARDS} of % and _.")
        pattern = "".join(wildcards.get(part) or re.escape(part[-1]) for part in parts)
        return _compute.match_substring_regex(column.values, f"(?s)^{pattern}$")

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
            value = self._number(self._take())
        elif token.kind == "text":
            value = _unquoted(self._take().text)
        elif token.kind == "word" and word in _CONSTANTS:
            value = _CONSTANTS[self._take().text.upper()]
        elif token.kind == "word" and word in ("DATE", "TIMESTAMP"):
            self._take()
            value = self._time(_DATE if word == "DATE" else _TIME)
        else:
            self._expected("a number, text in single quotes or another literal")
        if kind is None or value is None:
            return None
        if type(value) not in kind.literals:
            reason = f"Expected {kind.example}. Got {token.shown}. {column.described}"
            self._fail(token, reason)
        return value if column.ticks is None else _since_1970(value, column.ticks)

    def _number(self, token: _Token) -> int | float:
        # whole numbers of more digits are beyond the integers of any column
        if re.fullmatch(r"[-+]?[0-9]{1,20}", token.text):
            return int(token.text)
        number = float(token.text)
        if math.isinf(number):
            self._fail(token, f"The number {token.shown} is beyond 1.8e308.")
        return number

    def _time(self, kind: _Kind) -> date:
        token = self._token
        if token.kind != "text":
            self._expected(kind.example)
        text = _unquoted(self._take().text)
        try:
            if kind is _DATE:
                return date.fromisoformat(text)
            moment = datetime.fromisoformat(text)
            # times without a zone are UTC
            return (moment.astimezone(UTC) if moment.tzinfo else moment).replace(tzinfo=None)
        except (ValueError, OverflowError):
            self._expected(kind.example, token)


def _since_1970(moment: date, ticks: int) -> Fraction:
    """Return the ticks of a clock."""
    if not isinstance(moment, datetime):
        moment = datetime.combine(moment, time())
    return Fraction((moment - datetime(1970, 1, 1)) // timedelta(microseconds=1) * ticks, 10**6)


def _unquoted(text: str) -> str:
    return text[1:-1].replace(2 * text[0], text[0])
