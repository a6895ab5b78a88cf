"""Conditions on the rows of an index: a small grammar, which is read into a tree."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import NamedTuple, NoReturn, TypeAlias

import pyarrow as pa

from refold.errors import ParameterError, argument

# Limits of the cost of a condition. With more wildcards, a pattern takes LanceDB 15 to 150 times as
# long: 12 took 0.1 s for 10 MB of text, 14 took 1.8 s, and 250 took 20 s.
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
    |(?P<space>\s+)""",
    re.VERBOSE,
)
_OPERATORS = {one: one for one in ("=", "<>", "<", "<=", ">", ">=")} | {"==": "=", "!=": "<>"}
# The same comparison with the sides exchanged.
_MIRRORED = {"=": "=", "<>": "<>", "<": ">", "<=": ">=", ">": "<", ">=": "<="}
# Words that are columns only in quotes.
_RESERVED = frozenset(["AND", "OR", "NOT", "IN", "BETWEEN", "LIKE", "IS", "NULL", "TRUE", "FALSE"])
_EXAMPLES = {
    "number": "a number",
    "text": "text in single quotes",
    "boolean": "TRUE or FALSE",
    "date": "a date such as DATE '2024-05-01'",
    "time": "a time such as TIMESTAMP '2024-05-01 12:00:00'",
}

Literal: TypeAlias = bool | int | float | str | date | datetime | None


@dataclass(frozen=True)
class ColumnName:
    """A column by its name."""

    name: str


@dataclass(frozen=True)
class Compare:
    """A comparison of a column with a literal or another column: ``= <> < <= > >=``."""

    column: ColumnName
    operator: str
    other: Literal | ColumnName


@dataclass(frozen=True)
class Membership:
    """Whether the value of a column is among literals."""

    column: ColumnName
    values: tuple[Literal, ...]


@dataclass(frozen=True)
class Pattern:
    """Whether text matches a pattern, in which a backslash escapes ``%``, ``_`` and itself."""

    column: ColumnName
    pattern: str


@dataclass(frozen=True)
class Missing:
    """Whether a column has no value."""

    column: ColumnName


@dataclass(frozen=True)
class BooleanLiteral:
    """Always or never true."""

    value: bool


@dataclass(frozen=True)
class Not:
    """Negation; unknown stays unknown."""

    condition: "Condition"


@dataclass(frozen=True)
class And:
    """Conjunction."""

    conditions: tuple["Condition", ...]


@dataclass(frozen=True)
class Or:
    """Disjunction."""

    conditions: tuple["Condition", ...]


Condition: TypeAlias = Compare | Membership | Pattern | Missing | BooleanLiteral | Not | And | Or


def parse(where: str, schema: pa.Schema) -> Condition:
    """Read a condition on the columns of a schema."""
    if not isinstance(where, str):
        raise ParameterError(
            f"{argument('where')} must be text such as \"site = 'north'\". Got {where!r:.{_SHOWN}}."
        )
    if len(where) > _MAX_LENGTH:
        raise ParameterError(
            f"{argument('where')} has {len(where):,} characters, and at most {_MAX_LENGTH:,} are "
            "read. Shorten it."
        )
    return _Parser(where, schema).condition()


def _kind_of(data_type: pa.DataType) -> str | None:
    """Return the kind of values of a type that can be compared; None for other types."""
    if pa.types.is_dictionary(data_type):
        data_type = data_type.value_type
    kinds: dict[str, Callable[[pa.DataType], bool]] = {
        "boolean": pa.types.is_boolean,
        "number": lambda one: (
            pa.types.is_integer(one) or pa.types.is_floating(one) or pa.types.is_decimal(one)
        ),
        "text": lambda one: pa.types.is_string(one) or pa.types.is_large_string(one),
        "date": pa.types.is_date,
        "time": pa.types.is_timestamp,
    }
    return next((kind for kind, fits in kinds.items() if fits(data_type)), None)


class _Token(NamedTuple):
    kind: str
    text: str
    position: int

    @property
    def shown(self) -> str:
        return "the end" if self.kind == "end" else f"{self.text!r:.{_SHOWN}}"


class _Operand(NamedTuple):
    value: Literal | ColumnName
    token: _Token


# A condition is never passed on as text. It is read completely, and the store builds its own query
# from the tree, so it cannot contain anything else than this grammar:
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

    def __init__(self, where: str, schema: pa.Schema) -> None:
        self._where, self._schema = where, schema
        self._kinds = {field.name: _kind_of(field.type) for field in schema}
        self._tokens, self._next, self._depth = self._split(), 0, 0
        self._comparisons = self._patterns = 0

    def condition(self) -> Condition:
        """Return the tree of the whole text."""
        tree = self._or()
        if self._token.kind != "end":
            self._expected("AND, OR or the end")
        return tree

    def _split(self) -> list[_Token]:
        tokens, position = [], 0
        if half := re.search("[\ud800-\udfff]", self._where):
            self._fail(half.start(), f"{half.group()!r} is half of a character.")
        while position < len(self._where):
            match = _TOKEN.match(self._where, position)
            if match is None:
                first = self._where[position]
                is_quote = first in "'\"`"
                self._fail(
                    position,
                    f"The quote {first} is not closed." if is_quote else f"Unexpected {first!r}.",
                )
            if match.lastgroup != "space":
                tokens.append(_Token(str(match.lastgroup), match.group(), position))
            position = match.end()
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

    def _or(self) -> Condition:
        parts = [self._and()]
        while self._accept("OR"):
            parts.append(self._and())
        return parts[0] if len(parts) == 1 else Or(tuple(parts))

    def _and(self) -> Condition:
        parts = [self._not()]
        while self._accept("AND"):
            parts.append(self._not())
        return parts[0] if len(parts) == 1 else And(tuple(parts))

    def _not(self) -> Condition:
        token = self._token
        if not (self._is("NOT") or self._is("(")):
            return self._comparison()
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            self._fail(token, f"There are more than {_MAX_DEPTH} levels of parentheses and NOT.")
        if self._accept("NOT"):
            inner = self._not()
            tree = inner.condition if isinstance(inner, Not) else Not(inner)
        else:
            self._expect("(")
            tree = self._or()
            self._expect(")", "AND, OR or )")
        self._depth -= 1
        return tree

    def _comparison(self) -> Condition:
        self._comparisons += 1
        if self._comparisons > _MAX_COMPARISONS:
            self._fail(self._token, f"There are more than {_MAX_COMPARISONS:,} comparisons.")
        left = self._operand()
        if self._token.kind == "symbol" and self._token.text in _OPERATORS:
            operator = _OPERATORS[self._take().text]
            return self._compared(left, operator, self._operand())
        if self._accept("IS"):
            negative = self._accept("NOT")
            self._expect("NULL")
            tree: Condition = Missing(self._column(left))
            return Not(tree) if negative else tree
        negative = any(self._is("NOT", word) for word in ("IN", "BETWEEN", "LIKE"))
        if negative:
            self._take()
        if self._accept("IN"):
            tree = self._membership(left)
        elif self._accept("BETWEEN"):
            low = self._operand()
            self._expect("AND")
            high = self._operand()
            tree = And((self._compared(left, ">=", low), self._compared(left, "<=", high)))
        elif self._accept("LIKE"):
            tree = self._pattern(left)
        elif isinstance(left.value, bool):
            tree = BooleanLiteral(left.value)
        elif isinstance(left.value, ColumnName) and self._kinds[left.value.name] == "boolean":
            tree = Compare(left.value, operator="=", other=True)
        else:
            self._expected("a comparison such as =, <, IN, BETWEEN, LIKE or IS NULL")
        return Not(tree) if negative else tree

    def _compared(self, left: _Operand, operator: str, right: _Operand) -> Condition:
        if not isinstance(left.value, ColumnName):
            if not isinstance(right.value, ColumnName):
                self._expected("a column on one side of the comparison", right.token)
            left, operator, right = right, _MIRRORED[operator], left
        column = self._column(left)
        if not isinstance(right.value, ColumnName):
            return Compare(column, operator, self._fitting(left, right))
        types = [self._schema.field(one.name).type for one in (column, right.value)]
        kinds = {self._comparable(left), self._comparable(right)}
        if len(kinds) > 1 or (kinds == {"time"} and types[0] != types[1]):
            self._fail(
                right.token,
                f"The columns {column.name!r} ({types[0]}) and {right.value.name!r} ({types[1]}) "
                "have different types.",
            )
        return Compare(column, operator, right.value)

    def _membership(self, left: _Operand) -> Condition:
        column = self._column(left)
        self._expect("(")
        values = []
        while True:
            operand = self._operand()
            if isinstance(operand.value, ColumnName):
                self._expected("a number, text or another literal", operand.token)
            values.append(self._fitting(left, operand))
            if not self._accept(","):
                break
        self._expect(")", "a comma or )")
        return Membership(column, tuple(values))

    def _pattern(self, left: _Operand) -> Condition:
        column, token = self._column(left), self._token
        if self._comparable(left) != "text":
            self._fail(left.token, f"LIKE needs a column of text. {self._described(column)}")
        if token.kind != "text":
            self._expected("a pattern in single quotes")
        self._patterns += 1
        if self._patterns > _MAX_PATTERNS:
            self._fail(token, f"There are more than {_MAX_PATTERNS} patterns.")
        # a backslash before another character stands for itself
        pattern = re.sub(
            r"\\([%_\\])?",
            lambda match: match.group() if match[1] else r"\\",
            _unquoted(self._take().text),
        )
        if len(re.sub(r"\\.|[^%_]", "", pattern, flags=re.DOTALL)) > _MAX_WILDCARDS:
            self._fail(token, f"The pattern has more than {_MAX_WILDCARDS} of % and _.")
        return Pattern(column, pattern)

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
        if name not in self._schema.names:
            self._fail(
                token,
                f"There is no column {name!r:.{_SHOWN}}. The columns are "
                f"{', '.join(self._schema.names)}; write text in single quotes, as in "
                "site = 'north'.",
            )
        return _Operand(ColumnName(name), token)

    def _number(self, token: _Token) -> int | float:
        # whole numbers of more digits are beyond the integers of any column
        if re.fullmatch(r"[-+]?[0-9]{1,20}", token.text):
            return int(token.text)
        number = float(token.text)
        if abs(number) == float("inf"):
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

    def _column(self, operand: _Operand) -> ColumnName:
        if not isinstance(operand.value, ColumnName):
            self._expected("a column", operand.token)
        return operand.value

    def _comparable(self, operand: _Operand) -> str:
        """Return the kind of a column, and refuse types that cannot be compared."""
        column = self._column(operand)
        kind = self._kinds[column.name]
        if kind is None:
            self._fail(
                operand.token, f"{self._described(column)} It can only be tested with IS NULL."
            )
        return kind

    def _described(self, column: ColumnName) -> str:
        return f"The column {column.name!r} has the type {self._schema.field(column.name).type}."

    def _fitting(self, left: _Operand, right: _Operand) -> Literal:
        """Return a literal that has the kind of a column."""
        column, value = self._column(left), right.value
        kind = self._comparable(left)
        if kind == "time" and isinstance(value, date) and not isinstance(value, datetime):
            return datetime.combine(value, time())
        if value is not None and _kind_of_literal(value) != kind:
            self._fail(
                right.token,
                f"Expected {_EXAMPLES[kind]}. Got {right.token.shown}. {self._described(column)}",
            )
        return value  # type: ignore[return-value]


def _kind_of_literal(value: Literal | ColumnName) -> str:
    kinds = {bool: "boolean", int: "number", float: "number", str: "text", date: "date"}
    return kinds.get(type(value), "time")


def _unquoted(text: str) -> str:
    return text[1:-1].replace(2 * text[0], text[0])
