"""Targets, and whether they are met."""

from collections.abc import Iterator
from typing import NamedTuple

from benchmarks.lstm_peers.cases import ROWS, Case
from benchmarks.lstm_peers.measure import OURS, Measured, Row
from benchmarks.lstm_peers.pool import Timed

__all__ = ["SAME", "Target", "fastest_peer", "share", "targets"]

LARGE = Case(50, 128, 16, 256)  # matrix products are most of the work of every implementation
SHARES = {64: 0.58, 128: 0.70, 256: 0.75}  # of the matrix-product rate, by units
SHARE_ROWS = ROWS[:4]
SAME = 1e-4  # largest relative difference between implementations


class Target(NamedTuple):
    """A target for a measured value; either ``least`` or ``most`` is None."""

    what: str
    measured: float
    least: float | None = None
    most: float | None = None
    percent: bool = False

    @property
    def met(self) -> bool:
        """Whether the target is met."""
        return (self.least is None or self.measured >= self.least) and (
            self.most is None or self.measured <= self.most
        )

    @property
    def wanted(self) -> str:
        """The bound as text."""
        if self.least is None:
            return f"at most {self.most}"
        return "at least " + (f"{self.least:.0%}" if self.percent else f"{self.least:g}")

    @property
    def got(self) -> str:
        """The measured value as text."""
        return f"{self.measured:.0%}" if self.percent else f"{self.measured:.2f}"


def targets(measured: Measured) -> list[Target]:
    """Return all targets that have a measurement."""
    found = [target for row in measured.rows for target in _of_row(row, measured)]
    question = measured.question
    if {OURS, "keras_tensorflow"} <= question.keys():
        ratio = question["keras_tensorflow"].seconds / question[OURS].seconds
        found.append(
            Target("the question's model: epochs per second, × Keras on TensorFlow", ratio, 10)
        )
    return found


def _of_row(row: Row, measured: Measured) -> Iterator[Target]:
    title = f"({row.case.title})"
    both, forward = row.both, row.forward
    large = row.case == LARGE
    if "keras_jax" in both:
        ratio = both["keras_jax"].seconds / both[OURS].seconds
        yield Target(f"{title}: × Keras on JAX", ratio, 1.6 if large else 2)
    if len(both) > 1:
        ratio = fastest_peer(both).seconds / both[OURS].seconds
        yield Target(f"{title}: × the fastest peer", ratio, 1.35 if large else 1.5)
        ratio = fastest_peer(forward).seconds / forward[OURS].seconds
        yield Target(f"{title}: forward alone, × the fastest peer", ratio, 1.3)
    if row.case in SHARE_ROWS and measured.matmul:
        least = SHARES[row.case.units]
        for where, timed in (("", both[OURS]), (", in a compiled loop", row.loop)):
            reached = share(row.case, timed, measured)
            what = f"{title}: share of the matrix-product rate{where}"
            yield Target(what, reached, least, percent=True)
    if row.ragged:
        ratio = row.ragged[OURS].seconds / both[OURS].seconds
        yield Target(f"{title}: unequal lengths, × the time of the full batch", ratio, most=0.6)


def fastest_peer(times: dict[str, Timed]) -> Timed:
    """Return the fastest implementation other than Refold."""
    return min((timed for name, timed in times.items() if name != OURS), key=lambda t: t.seconds)


def share(case: Case, timed: Timed, measured: Measured) -> float:
    """Return the share of the matrix-product rate in the forward and backward pass."""
    return case.flops / timed.seconds / max(measured.matmul.values())
