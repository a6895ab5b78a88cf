"""What an operation computes with: the fields of a request, and its sequences or codes."""

from typing import Any, NamedTuple

import numpy as np

from refold.sequences import Sequences
from refold.serve._service_errors import exceeded
from refold.serve._settings import ServeSettings


class RequestInputs(NamedTuple):
    """The content of a request, which is checked."""

    fields: Any  # an `AnyRequest` without its sequences and codes
    sequences: Sequences | None = None  # aligned with the model
    codes: np.ndarray | None = None  # (n_codes, code_size)
    ids: np.ndarray | None = None  # of a table; None for JSON
    doubt: str | None = None  # warning that the codes may be those of another model


def check_count(count: int, settings: ServeSettings) -> None:
    """Refuse a request with too many sequences or codes."""
    limit = settings.max_sequences
    if count > limit:
        raise exceeded(
            "sequences",
            limit,
            f"The request has {count} sequences or codes, or asks for as many. The limit is "
            f"{limit}; send several requests.",
        )


def check_steps(steps: int, settings: ServeSettings) -> None:
    """Refuse a request with too many steps, in it or in its response."""
    limit = settings.max_steps
    if steps > limit:
        raise exceeded(
            "steps",
            limit,
            f"The request has {steps} steps, or asks for as many. The limit is {limit}; "
            "send several requests.",
        )
