"""Conditions on the rows of an index: a small grammar, which Arrow evaluates."""

import math
import re
from collections.abc import Callable
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
# Limits of the cost of a condition.
_MAX_LENGTH = 100_000
_MAX_DEPTH = 32
_MAX_COMPARISONS = 1000
_MAX_PATTERNS = 50
_MAX_WILDCARDS = 12
# Characters of the condition that an error shows.
_SHOWN = 40

_TOKEN = re.compile(
    r"""(?P<number>[-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?)
    |(?P<text>'[^']*(?:''[^']*)*')
    |(?P<quoted>"[^"]*(?:""[^"]*)*"|`[^`]*(?:``[^`]*)*`)
    |(?P<word>[^\W\d]\w*)
    |(?P<symbol>==|!=|<>|<=|>=|[=<>(),])
    |(?P<space>\s+)
    |(?P<other>.)""",
    re.VERBOSE,
)
_OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "=": _compute.equal,
    "==": _compute.equal,
    "<>": _compute.not_equal,
    "!=": _compute.not_equal,
    "<": _compute.less,
    "<=": _compute.less_equal,
    ">": _compute.greater,
    ">=": _compute.greater_equal,
}
# The same comparison with the sides exchanged.
_MIRRORED = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}
# Words that are columns only in quotes.
_RESERVED = frozenset(["AND", "OR", "NOT", "IN", "BETWEEN", "LIKE", "IS", "NULL", "TRUE", "FALSE"])
_KINDS: dict[str, tuple[Callable[[pa.DataType], bool], ...]] = {
    "boolean": (pa.types.is_boolean,),
    "number": (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal),
    "text": (pa.types.is_string, pa.types.is_large_string),
    "date": (pa.types.is_date,),
    "time": (pa.types.is_timestamp,),
}
_KIND_OF_LITERAL = {
    bool: "boolean",
    int: "number",
    float: "number",
    str: "text",
    date: "date",
    datetime: "time",
}
_EXAMPLES = {
    "number": "a number",
    "text": "text in single quotes",
    "boolean": "TRUE or FALSE",
    "date": "a date such as DATE '2024-05-01'",
    "time": "a time such as TIMESTAMP '2024-05-01 12:00:00'",
}
_TICKS = {"s": 1, "ms": 1000, "us": 10**6, "ns": 10**9}
# Stands for numbers that are beyond the integers of a column.
_BEYOND = 1e300

Literal: TypeAlias = bool | int | float | str | date | datetime | None
# For each row, whether a condition is true; null if it is unknown. A scalar is the same for all.
Truth: TypeAlias = Any

# Neither true nor false, as in SQL.
_UNKNOWN = pa.nulls(1, pa.bool_())[0]


def matches(where: str, table: pa.Table) -> np.ndarray:
    """Return the numbers of the rows that meet a condition on their columns (n_matches,)."""
    check("where", where, _TEXT)
    if len(where) > _MAX_LENGTH:
        raise ParameterError(
            f"{argument('where')} has {len(where):,} characters, and at most {_MAX_LENGTH:,} are "
            "read. Shorten it."
        )
    _Parser(where, table.slice(0, 0)).condition()  # finds mistakes before the work
    truth = _Parser(where, table).condition()
    is_match = _compute.and_kleene(np.ones(len(table), bool), truth)
    return np.flatnonzero(_compute.fill_null(is_match, fill_value=False))


class _NamedColumn(NamedTuple):
    """A column that a condition names."""

    name: str
    type: pa.DataType
    values: Any  # an array of Arrow, decoded if it is a dictionary
    kind: str | None  # of the values; None if they cannot be compared

    @classmethod
    def of(cls, name: str, values: pa.ChunkedArray) -> "_NamedColumn":
        stored = values.type
        if pa.types.is_dictionary(stored):
            values = values.cast(stored.value_type)
        elif pa.types.is_floating(stored):  # NaN is a missing value
            values = _compute.if_else(_compute.is_nan(values), pa.nulls(1, stored)[0], values)
        fits = (kind for kind, tests in _KINDS.items() if any(test(values.type) for test in tests))
        return cls(name, stored, values, next(fits, None))

    @property
    def described(self) -> str:
        return f"The column {self.name!r} has the type {self.type}."


class _Token(NamedTuple):
    kind: str
    text: str
    position: int

    @property
    def shown(self) -> str:
        return "the end" if self.kind == "end" else f"{self.text!r:.{_SHOWN}}"


class _Operand(NamedTuple):
    value: Literal | _NamedColumn
    token: _Token


# A condition is never passed on as text. Each part is evaluated with functions of Arrow when it is
# read, so a condition cannot contain anything else than this grammar:
#
#   condition   = and { OR and }
#   and         = not { AND not }
#   not         = NOT not | "(" condition ")" | comparison
#   comparison  = operand ( = | == | != | <> | < | <= | > | >= ) operand
#               | operand [ NOT ] BETWEEN operand AND operand
#               | column [ NOT ] IN "(" literal { "," literal } ")"
#               | column [ NOT ] LIKE text
#               | column IS [ NOT ] NULL
#               | column of booleans | TRUE | FALSE
#   operand     = column | literal
#   literal     = number | text | TRUE | FALSE | NULL | DATE text | TIMESTAMP text
class _Parser:
    """Recursive descent through the tokens of a condition."""

    def __init__(self, where: str, table: pa.Table) -> None:
        self._where, self._table = where, table
        self._columns: dict[str, _NamedColumn] = {}  # those that the condition names
        self._tokens, self._next, self._depth = self._split(), 0, 0
        self._comparisons = self._patterns = 0

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
                is_quote = text in "'\"`"
                reason = f"The quote {text} is not closed." if is_quote else f"Unexpected {text!r}."
                self._fail(match.start(), reason)
            if match.lastgroup != "space":
                tokens.append(_Token(str(match.lastgroup), text, match.start()))
        return [*tokens, _Token("end", "", len(self._where))]

    # errors

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

    def _accept(self, *words: str) -> bool:
        """Skip the next tokens if they are these keywords or symbols."""
        if matches := self._is(*words):
            self._next += len(words)
        return matches

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
        token = self._token
        if not (self._is("NOT") or self._is("(")):
            return self._comparison()
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            self._fail(token, f"There are more than {_MAX_DEPTH} levels of parentheses and NOT.")
        if self._accept("NOT"):
            truth = _compute.invert(self._not())
        else:
            self._expect("(")
            truth = self._or()
            self._expect(")", "AND, OR or )")
        self._depth -= 1
        return truth

    def _comparison(self) -> Truth:
        self._comparisons += 1
        if self._comparisons > _MAX_COMPARISONS:
            self._fail(self._token, f"There are more than {_MAX_COMPARISONS:,} comparisons.")
        left = self._operand()
        if self._token.kind == "symbol" and self._token.text in _OPERATORS:
            return self._compared(left, self._take().text, self._operand())
        if self._accept("IS"):
            negative = self._accept("NOT")
            self._expect("NULL")
            values = self._column(left).values
            return _compute.is_valid(values) if negative else _compute.is_null(values)
        negative = any(self._is("NOT", word) for word in ("IN", "BETWEEN", "LIKE"))
        if negative:
            self._take()
        if self._accept("IN"):
            truth = self._among(left)
        elif self._accept("BETWEEN"):
            low = self._operand()
            self._expect("AND")
            high = self._operand()
            truth = _compute.and_kleene(
                self._compared(left, ">=", low), self._compared(left, "<=", high)
            )
        elif self._accept("LIKE"):
            truth = self._like(left)
        elif isinstance(left.value, bool):
            truth = pa.scalar(left.value)
        elif isinstance(left.value, _NamedColumn) and left.value.kind == "boolean":
            truth = left.value.values
        else:
            self._expected("a comparison such as =, <, IN, BETWEEN, LIKE or IS NULL")
        return _compute.invert(truth) if negative else truth

    def _compared(self, left: _Operand, sign: str, right: _Operand) -> Truth:
        if not isinstance(left.value, _NamedColumn):
            if not isinstance(right.value, _NamedColumn):
                self._expected("a column on one side of the comparison", right.token)
            left, sign, right = right, _MIRRORED.get(sign, sign), left
        column, other = self._comparable(left), right.value
        compare = _OPERATORS[sign]
        if not isinstance(other, _NamedColumn):
            literal = self._fitting(column, right)
            if literal is None:
                return _UNKNOWN
            values, literals = _alike(column, [literal])
            return compare(values, literals[0])
        is_time = column.kind == "time"
        if column.kind != self._comparable(right).kind or (is_time and column.type != other.type):
            self._fail(
                right.token,
                f"The columns {column.name!r} ({column.type}) and {other.name!r} ({other.type}) "
                "have different types.",
            )
        if column.values.type == other.values.type:
            return compare(column.values, other.values)
        common = pa.float64() if column.kind == "number" else other.values.type
        return compare(*(side.values.cast(common, safe=False) for side in (column, other)))

    def _among(self, left: _Operand) -> Truth:
        column = self._comparable(left)
        self._expect("(")
        literals = []
        while True:
            operand = self._operand()
            if isinstance(operand.value, _NamedColumn):
                self._expected("a number, text or another literal", operand.token)
            literals.append(self._fitting(column, operand))
            if not self._accept(","):
                break
        self._expect(")", "a comma or )")
        present = [literal for literal in literals if literal is not None]
        if not present:
            return _UNKNOWN
        values, alike = _alike(column, present)
        among = _compute.is_in(values, alike)
        if len(present) < len(literals):
            among = _compute.or_kleene(among, _UNKNOWN)
        return _compute.if_else(_compute.is_valid(values), among, _UNKNOWN)

    def _like(self, left: _Operand) -> Truth:
        column, token = self._comparable(left), self._token
        if column.kind != "text":
            self._fail(left.token, f"LIKE needs a column of text. {column.described}")
        if token.kind != "text":
            self._expected("a pattern in single quotes")
        self._patterns += 1
        if self._patterns > _MAX_PATTERNS:
            self._fail(token, f"There are more than {_MAX_PATTERNS} patterns.")
        # a backslash before another character stands for itself
        parts = re.findall(r"\\[%_\\]|.", _unquoted(self._take().text), re.DOTALL)
        wildcards = {"%": ".*", "_": "."}
        if sum(part in wildcards for part in parts) > _MAX_WILDCARDS:
            self._fail(token, f"The pattern has more than {_MAX_WILDCARDS} of % and _.")
        pattern = "".join(wildcards.get(part) or re.escape(part[-1]) for part in parts)
        return _compute.match_substring_regex(column.values, f"(?s)^{pattern}$")

    # operands

    def _operand(self) -> _Operand:
        token = self._token
        if token.kind in ("number", "text"):
            self._take()
            number = token.kind == "number"
            return _Operand(self._number(token) if number else _unquoted(token.text), token)
        word = token.text.upper()
        if token.kind == "word" and word in ("TRUE", "FALSE", "NULL"):
            self._take()
            return _Operand({"TRUE": True, "FALSE": False, "NULL": None}[word], token)
        ahead = self._tokens[min(self._next + 1, len(self._tokens) - 1)]
        if token.kind == "word" and word in ("DATE", "TIMESTAMP") and ahead.kind == "text":
            self._take()
            return _Operand(self._time(word, self._take()), token)
        if token.kind != "quoted" and (token.kind != "word" or word in _RESERVED):
            self._expected("a column or a literal")
        self._take()
        name = _unquoted(token.text) if token.kind == "quoted" else token.text
        names = self._table.column_names
        if name not in names:
            self._fail(
                token,
                f"There is no column {name!r:.{_SHOWN}}. The columns are {', '.join(names)}; "
                "write text in single quotes, as in site = 'north'.",
            )
        if name not in self._columns:
            self._columns[name] = _NamedColumn.of(name, self._table[name])
        return _Operand(self._columns[name], token)

    def _number(self, token: _Token) -> int | float:
        # whole numbers of more digits are beyond the integers of any column
        if re.fullmatch(r"[-+]?[0-9]{1,20}", token.text):
            return int(token.text)
        number = float(token.text)
        if math.isinf(number):
            self._fail(token, f"The number {token.shown} is beyond 1.8e308.")
        return int(number) if number.is_integer() and abs(number) < 2**63 else number

    def _time(self, word: str, token: _Token) -> date | datetime:
        text = _unquoted(token.text)
        try:
            if word == "DATE":
                return date.fromisoformat(text)
            if re.search(r"[.,][0-9]{7}", text):  # which would be cut off
                self._expected("a time with at most six digits of a second", token)
            moment = datetime.fromisoformat(text)
            # times without a zone are UTC
            return (moment.astimezone(UTC) if moment.tzinfo else moment).replace(tzinfo=None)
        except (ValueError, OverflowError):
            self._expected(_EXAMPLES["date" if word == "DATE" else "time"], token)

    def _column(self, operand: _Operand) -> _NamedColumn:
        if not isinstance(operand.value, _NamedColumn):
            self._expected("a column", operand.token)
        return operand.value

    def _comparable(self, operand: _Operand) -> _NamedColumn:
        """Return a column whose values can be compared."""
        column = self._column(operand)
        if column.kind is None:
            self._fail(operand.token, f"{column.described} It can only be tested with IS NULL.")
        return column

    def _fitting(self, column: _NamedColumn, operand: _Operand) -> Any:
        """Return a literal that has the kind of a column."""
        value, kind = operand.value, str(column.kind)
        if kind == "time" and type(value) is date:
            return datetime.combine(value, time())
        if value is not None and _KIND_OF_LITERAL[type(value)] != kind:
            self._fail(
                operand.token,
                f"Expected {_EXAMPLES[kind]}. Got {operand.token.shown}. {column.described}",
            )
        return value


def _alike(column: _NamedColumn, literals: list[Any]) -> tuple[Any, pa.Array]:
    """Return a column and literals of value type, because Arrow rounds or refuses others."""
    values, data_type = column.values, column.values.type
    if pa.types.is_decimal(data_type):
        values, data_type = values.cast(pa.float64()), pa.float64()
    if pa.types.is_floating(data_type):
        return values, pa.array([float(value) for value in literals], data_type)
    if column.kind == "time":  # ticks since 1970
        ticks = _TICKS[data_type.unit]
        values, data_type = values.cast(pa.int64()), pa.int64()
        literals = [_since_1970(moment) * ticks for moment in literals]
    if not pa.types.is_integer(data_type):
        return values, pa.array(literals, data_type)
    limits = np.iinfo(data_type.to_pandas_dtype())
    low, high = int(limits.min), int(limits.max)
    exact = [int(value) for value in literals if low <= value <= high and value == int(value)]
    if exact:  # no value of the column is equal to the others
        return values, pa.array(exact, data_type)
    inexact = [
        float(value) if low <= value <= high else math.copysign(_BEYOND, value)
        for value in literals
    ]
    return values.cast(pa.float64(), safe=False), pa.array(inexact)


def _since_1970(moment: datetime) -> Fraction:
    """Return seconds."""
    return Fraction((moment - datetime(1970, 1, 1)) // timedelta(microseconds=1), 10**6)


def _unquoted(text: str) -> str:
    return text[1:-1].replace(2 * text[0], text[0])
