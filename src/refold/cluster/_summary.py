"""What a run on a cluster did."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Failure:
    """A sequence that could not be computed.

    Attributes
    ----------
    file : str
        Path or URL of the file.
    row : int
        Row of the file at which it begins.
    reason : str
        What is wrong with it.

    Examples
    --------
    >>> Failure("part.parquet", 3, "sequence 3 holds text").row
    3
    """

    file: str
    row: int
    reason: str


@dataclass(frozen=True)
class RunSummary:
    """What a run on a cluster did.

    Attributes
    ----------
    operation : {"encode", "reconstruct", "detect"}
        What was done.
    output : str
        The output folder.
    num_sequences : int
        Rows of all parts, also of those that an earlier run wrote.
    num_failed : int
        Sequences that could not be computed, and are in no part.
    failures : list of Failure
        Up to 100 of them, with ``file``, ``row`` and ``reason``. The file ``_failures.jsonl`` in
        the output folder lists up to 100 of each part.
    num_parts : int
        Number of parts, which are files.
    num_there : int
        Parts that an earlier run wrote.
    num_steps : int
        Steps that this run computed.
    seconds : float
        Time that the computation took, without the start of the cluster.
    num_workers : int
        Number of workers, at most.
    memory : int
        Largest memory of a worker in bytes.
    warnings : dict of str to int
        Warnings of the workers, each with the number of parts in which it occurred.
    num_anomalous, num_discoveries : int or None
        For ``detect``: sequences that are anomalous, and those that remain after correction for
        multiple tests.

    Examples
    --------
    >>> summary = RunSummary("encode", "codes", 3, 0, [], 1, 0, 12, 2.0, 2, 400_000_000)
    >>> str(summary).partition(" by ")[0]
    'Encoded 3 sequences in 1 part in codes: 12 steps in 2.0 s'
    """

    operation: str
    output: str
    num_sequences: int
    num_failed: int
    failures: list[Failure]
    num_parts: int
    num_there: int
    num_steps: int
    seconds: float
    num_workers: int
    memory: int
    warnings: dict[str, int] | None = None
    num_anomalous: int | None = None
    num_discoveries: int | None = None

    @property
    def steps_per_second(self) -> float:
        """Steps that all workers computed in a second."""
        return self.num_steps / self.seconds if self.seconds else 0.0

    def __str__(self) -> str:
        done = {"encode": "Encoded", "reconstruct": "Reconstructed", "detect": "Tested"}
        parts = f"{self.num_parts} part{'s' * (self.num_parts != 1)}"
        if self.num_there:
            parts += f" ({self.num_there} of an earlier run)"
        text = (
            f"{done[self.operation]} {self.num_sequences} sequences in {parts} in {self.output}: "
            f"{self.num_steps} steps in {self.seconds:.1f} s by {self.num_workers} "
            f"worker{'s' * (self.num_workers != 1)} ({self.steps_per_second:.0f} steps/s)"
        )
        if self.memory:
            text += f", each with at most {self.memory / 1e6:.0f} MB of memory"
        if self.num_anomalous is not None:
            text += (
                f"; {self.num_anomalous} are anomalous, {self.num_discoveries} after correction "
                "for multiple testing"
            )
        return text
