"""`Finding`, the names of all findings, and their order."""

from collections.abc import Iterable
from dataclasses import dataclass

from refold.errors import Message

# All findings, from what spoils a fit to what is only worth a look.
ORDER = (
    "cannot-fit",
    "diverged",
    "suspicious-values",
    "unsorted-time",
    "repeated-end",
    "output-is-mean",
    "flat-output",
    "stuck-loss",
    "heavy-tails",
    "different-scales",
    "different-levels",
    "few-sequences",
    "overfitting",
    "duplicates",
    "overlapping-windows",
    "id-like",
    "time-like",
    "per-sequence",
    "many-categories",
    "integer-codes",
    "missing-values",
    "constant-column",
    "empty-sequences",
    "wrong-lengths",
    "long-sequences",
    "spread-lengths",
    "no-better-than-pca",
    "slow",
    "too-short",
)


@dataclass(frozen=True)
class Finding:
    """One likely cause of a poor fit.

    Attributes
    ----------
    name : str
        Name of the check, such as ``"heavy-tails"``. Names stay the same between versions.
    message : str
        One line: what was found, and what to set.

    Examples
    --------
    >>> Finding("constant-column", "Column 'x0' is constant.").name
    'constant-column'
    """

    name: str
    message: str

    def __post_init__(self) -> None:
        # the message may mark arguments, which the command line spells as options
        object.__setattr__(self, "message", Message(self.message))


def by_importance(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Sort findings, the most important ones first."""
    return tuple(sorted(findings, key=lambda one: ORDER.index(one.name)))


def shown_names(names: list[str], most: int = 5) -> str:
    """Name columns in a message, at most five."""
    shown = ", ".join(map(repr, names[:most]))
    shown += f" and {len(names) - most} others" if len(names) > most else ""
    return f"Columns {shown} are" if len(names) > 1 else f"Column {shown} is"
