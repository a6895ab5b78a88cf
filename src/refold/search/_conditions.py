"""Conditions on the rows of an index, such as ``year > 2000 AND site = 'north'``.

`find_matching_rows` parses a condition of a small grammar, and evaluates it with functions of
Arrow.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from typing import Any, NamedTuple, NoReturn, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute

from refold._support.rules import Rule, check
from refold.errors import ParameterError, argument

# Any, because pyarrow.compute creates its functions when it is imported, so type checkers do not
# know them
pc: Any = pyarrow.compute

_CONDITION_RULE = Rule("text such as \"site = 'north'\"", lambda value: isinstance(value, str))
_MAX_TOKEN_CHARACTERS_IN_ERRORS = 40

# A token is a match of one of these groups. Spaces between tokens match none and are skipped.
_TOKEN_PATTERN = re.compile(
    r"""(?P<number>[-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?)
    |(?P<text>'[^']*(?:''[^']*)*')
    |(?P<quoted>"[^"]*(?:""[^"]*)*")
    |(?P<word>[^\W\d]\w*)
    |(?P<symbol>==|!=|<>|<=|>=|[=<>(),])
    |(?P<invalid>\S)""",
    re.VERBOSE,
)
_COMPARISON_FUNCTIONS: dict[str, Any] = {
    "=": pc.equal,
    "==": pc.equal,
    "<>": pc.not_equal,
    "!=": pc.not_equal,
    "<": pc.less,
    "<=": pc.less_equal,
    ">": pc.greater,
    ">=": pc.greater_equal,
}
# Literals that are words.
_LITERALS_BY_WORD = {"TRUE": True, "FALSE": False, "NULL": None}
# Words that name a column only in double quotes.
_SQL_KEYWORDS = frozenset(["AND", "OR", "NOT", "IN", "BETWEEN", "LIKE", "IS", *_LITERALS_BY_WORD])

# Array of Arrow (n_rows,): whether a condition is true for each row. An entry is null
# where the truth is unknown, as in SQL, for example in a comparison with a missing value.
TruthArray: TypeAlias = Any


def find_matching_rows(
    condition: str, table: pa.Table, argument_name: str = argument("where")
) -> np.ndarray:
    """Return the indices (n_matches,) of the rows of a table that meet a condition."""
    check("where", condition, _CONDITION_RULE)
    try:
        truth = _ConditionEvaluator(condition, table, argument_name).evaluate()
    except RecursionError as error:
        raise ParameterError(
            f"{argument_name} has too many levels of parentheses and NOT. Write fewer."
        ) from error
    # as in SQL, a row does not match if its condition is unknown
    return np.flatnonzero(pc.fill_null(truth, fill_value=False))


class _Token(NamedTuple):
    """A number, text, word or symbol of a condition, or its end."""

    pattern_group: str  # name of the group of `_TOKEN_PATTERN` that matches it, or "end"
    text: str
    character_index: int  # of its first character in the condition

    @property
    def display_text(self) -> str:
        """Return the token as error messages show it."""
        is_end = self.pattern_group == "end"
        return "the end" if is_end else f"{self.text!r:.{_MAX_TOKEN_CHARACTERS_IN_ERRORS}}"


class _Column(NamedTuple):
    """A column that a condition names. Arrow can compare its values with literals."""

    display_text: str  # name and type, for error messages
    values: Any  # array of Arrow (n_rows,)

    @classmethod
    def from_table(cls, table: pa.Table, name: str) -> "_Column":
        """Convert the values of a column to a type that Arrow compares with literals."""
        column_values = table[name]
        display_text = f"the column {name!r} of the type {column_values.type}"
        if pa.types.is_dictionary(column_values.type):
            column_values = column_values.cast(column_values.type.value_type)
        elif pa.types.is_decimal(column_values.type):
            column_values = column_values.cast(pa.float64())
        elif pa.types.is_floating(column_values.type):  # NaN is a missing value
            missing = pa.nulls(1, column_values.type)[0]
            column_values = pc.if_else(pc.is_nan(column_values), missing, column_values)
        elif pa.types.is_timestamp(column_values.type):
            # In UTC and microseconds, as literals are. Not safe: nanoseconds are cut off.
            column_values = column_values.cast(pa.timestamp("us"), safe=False)
        return cls(display_text, column_values)


# Each comparison is evaluated as soon as it is parsed. No text reaches a database or an
# interpreter, so a condition can only do what this grammar allows. Braces enclose what may be
# repeated any number of times, and brackets what may be left out.
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
class _ConditionEvaluator:
    """A recursive descent parser, which evaluates a condition on the rows of a table."""

    def __init__(self, condition: str, table: pa.Table, argument_name: str) -> None:
        self._table, self._argument_name = table, argument_name
        self._token_index = 0  # of the current token
        self._tokens = [
            _Token(str(match.lastgroup), match.group(), match.start())
            for match in _TOKEN_PATTERN.finditer(condition)
        ]
        self._tokens.append(_Token("end", "", len(condition)))

    def evaluate(self) -> TruthArray:
        """Return whether the complete condition is true for each row (n_rows,)."""
        truth = self._evaluate_condition()
        if self._current_token.pattern_group != "end":
            self._fail_expecting("AND, OR or the end")
        return truth

    # tokens

    @property
    def _current_token(self) -> _Token:
        """Return the token at the current position, without taking it."""
        return self._tokens[self._token_index]

    def _take_token(self) -> _Token:
        """Return the current token, and go on to the one after it."""
        self._token_index += 1
        return self._tokens[self._token_index - 1]

    def _did_skip(self, keyword: str) -> bool:
        """Skip the current token if it is this keyword or symbol, and return whether it is."""
        token = self._current_token
        is_match = token.pattern_group in ("word", "symbol") and token.text.upper() == keyword
        if is_match:
            self._take_token()
        return is_match

    def _skip_or_fail(self, keyword: str, expected_text: str | None = None) -> None:
        """Skip the current token, or raise an error if it is not this keyword or symbol."""
        if not self._did_skip(keyword):
            self._fail_expecting(expected_text or keyword)

    def _fail_expecting(self, expected_text: str) -> NoReturn:
        """Raise an error that says what is expected instead of the current token."""
        token = self._current_token
        if token.text in ("'", '"'):
            self._fail(token, f"The quote {token.text} is not closed.")
        self._fail(token, f"Expected {expected_text}. Got {token.display_text}.")

    def _fail(self, token: _Token, reason: str) -> NoReturn:
        """Raise an error that says where a token is."""
        raise ParameterError(
            f"{self._argument_name} is not valid at character {token.character_index + 1}: {reason}"
        )

    # conditions, by the rules of the grammar

    def _evaluate_condition(self) -> TruthArray:
        """Parse and evaluate the rule ``condition``."""
        truth = self._evaluate_and()
        while self._did_skip("OR"):
            truth = pc.or_kleene(truth, self._evaluate_and())
        return truth

    def _evaluate_and(self) -> TruthArray:
        """Parse and evaluate the rule ``and``."""
        truth = self._evaluate_not()
        while self._did_skip("AND"):
            truth = pc.and_kleene(truth, self._evaluate_not())
        return truth

    def _evaluate_not(self) -> TruthArray:
        """Parse and evaluate the rule ``not``."""
        if self._did_skip("NOT"):
            return pc.invert(self._evaluate_not())
        if self._did_skip("("):
            truth = self._evaluate_condition()
            self._skip_or_fail(")", "AND, OR or )")
            return truth
        return self._evaluate_comparison()

    def _evaluate_comparison(self) -> TruthArray:
        """Parse and evaluate the rule ``comparison``."""
        token = self._current_token
        is_word = token.pattern_group == "word" and token.text.upper() not in _SQL_KEYWORDS
        if token.pattern_group != "quoted" and not is_word:
            self._fail_expecting("a column")
        name = token.text if is_word else _unquote(token.text)
        names = self._table.column_names
        if name not in names:
            self._fail(
                token,
                f"There is no column {name!r:.{_MAX_TOKEN_CHARACTERS_IN_ERRORS}}. "
                f"The columns are {', '.join(names)}; "
                "write text in single quotes, as in site = 'north'.",
            )
        self._take_token()
        column = _Column.from_table(self._table, name)
        if self._did_skip("IS"):
            is_negated = self._did_skip("NOT")
            self._skip_or_fail("NULL")
            is_valid = pc.is_valid(column.values)
            return is_valid if is_negated else pc.invert(is_valid)
        if self._current_token.text in _COMPARISON_FUNCTIONS:
            return self._compare_with_literal(column, self._take_token().text)
        is_negated = self._did_skip("NOT")
        if self._did_skip("IN"):
            self._skip_or_fail("(")
            truth = self._compare_with_literal(column, "=")
            while self._did_skip(","):
                truth = pc.or_kleene(truth, self._compare_with_literal(column, "="))
            self._skip_or_fail(")", "a comma or )")
        elif self._did_skip("BETWEEN"):
            truth = self._compare_with_literal(column, ">=")
            self._skip_or_fail("AND")
            truth = pc.and_kleene(truth, self._compare_with_literal(column, "<="))
        elif self._did_skip("LIKE"):
            pattern_token = self._current_token
            if pattern_token.pattern_group != "text":
                self._fail_expecting("a pattern in single quotes")
            self._take_token()
            with self._explain_comparison_errors(column, pattern_token):
                truth = pc.match_like(column.values, _unquote(pattern_token.text))
        elif pa.types.is_boolean(column.values.type) and not is_negated:
            truth = column.values
        else:
            self._fail_expecting("a comparison such as =, <, IN, BETWEEN, LIKE or IS NULL")
        return pc.invert(truth) if is_negated else truth

    def _compare_with_literal(self, column: _Column, operator: str) -> TruthArray:
        """Compare a column with the next literal."""
        token, values, data_type = self._current_token, column.values, column.values.type
        literal = self._parse_literal()
        with self._explain_comparison_errors(column, token):
            if literal is not None and isinstance(literal, bool) != pa.types.is_boolean(data_type):
                # a boolean is compared only with booleans; the ``with`` catches this error
                raise TypeError
            # The literal gets the type of the column, with these exceptions.
            if pa.types.is_floating(data_type) and isinstance(literal, int):
                literal = float(literal)  # rounded, because Arrow refuses an inexact integer
            elif pa.types.is_integer(data_type) and isinstance(literal, float):
                # integers are compared with a fraction as floats
                values, data_type = values.cast(pa.float64(), safe=False), pa.float64()
            elif pa.types.is_integer(data_type):
                # an integer may be too large for the type of the column, such as int8
                data_type = pa.int64()
            # a date or a time keeps its type, because Arrow compares dates with times
            scalar = pa.scalar(literal, None if isinstance(literal, date) else data_type)
            return _COMPARISON_FUNCTIONS[operator](values, scalar)

    @contextmanager
    def _explain_comparison_errors(self, column: _Column, literal_token: _Token) -> Iterator[None]:
        """Turn errors of a comparison into an error that names the literal and the column."""
        try:
            yield
        # UTF-8 cannot encode a text such as "\ud800", the first half of a character in UTF-16
        except (pa.ArrowException, TypeError, UnicodeError):
            self._fail(
                literal_token,
                f"{literal_token.display_text} cannot be compared with {column.display_text}. "
                "Write numbers as 2.5, text as 'north', and times as DATE '2024-05-01' or "
                "TIMESTAMP '2024-05-01 12:00'.",
            )

    def _parse_literal(self) -> Any:
        """Return the value of the next literal."""
        token, word = self._current_token, self._current_token.text.upper()
        if token.pattern_group == "number":
            self._take_token()
            # A float would round integers above 2**53. An integer of 64 bits has at most 19 digits.
            is_integer = re.fullmatch(r"[-+]?[0-9]{1,19}", token.text) is not None
            number = int(token.text) if is_integer else float(token.text)
            # a float such as 2003.0 becomes an integer, which is compared exactly with integers
            if isinstance(number, float) and number.is_integer():
                number = int(number)
            return number if abs(number) < 2**63 else float(number)  # Arrow's integers have 64 bits
        if token.pattern_group == "text":
            return _unquote(self._take_token().text)
        if token.pattern_group == "word" and word in _LITERALS_BY_WORD:
            self._take_token()
            return _LITERALS_BY_WORD[word]
        if self._did_skip("DATE"):
            parse_time, expected_text = date.fromisoformat, "a date such as '2024-05-01'"
        elif self._did_skip("TIMESTAMP"):
            parse_time, expected_text = _parse_utc_time, "a time such as '2024-05-01 12:00:00'"
        else:
            self._fail_expecting("a number, text in single quotes or another literal")
        if self._current_token.pattern_group != "text":
            self._fail_expecting(expected_text)
        try:
            time = parse_time(_unquote(self._current_token.text))
        except (ValueError, OverflowError):
            self._fail_expecting(expected_text)
        self._take_token()
        return time


def _parse_utc_time(iso_text: str) -> datetime:
    """Return a time in UTC, without a zone; a text without a zone is in UTC."""
    time = datetime.fromisoformat(iso_text)
    return (time.astimezone(UTC) if time.tzinfo else time).replace(tzinfo=None)


def _unquote(quoted_text: str) -> str:
    """Remove the quotes around a text; two quotes inside of the text become a single quote."""
    return quoted_text[1:-1].replace(2 * quoted_text[0], quoted_text[0])
