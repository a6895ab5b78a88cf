"""HTML display of `Sequences` in notebooks."""

from typing import Any

import numpy as np

from refold._support.html_tables import columns_in_words, facts

__all__ = ["sequences_to_html"]

# Number of ids shown.
_FIRST = 5


def sequences_to_html(sequences: Any) -> str:
    """Return an HTML table of counts, lengths, columns, missing entries and first ids."""
    lengths, ids = sequences.lengths, sequences.ids
    rows = [("columns", columns_in_words(sequences.schema))]
    if len(sequences):
        spread = f"{lengths.min()} to {lengths.max()} steps, median {np.median(lengths):g}"
        rows.insert(0, ("lengths", spread))
        empty = int((lengths == 0).sum())
        rows.append(("empty", f"{empty:,}" if empty else ""))
        missing = int(np.isnan(sequences.values).sum())
        share = f"{missing:,} of {sequences.values.size:,} entries"
        rows.append(("missing", share if missing else ""))
        first = ", ".join(str(identity) for identity in ids[:_FIRST].tolist())
        rows.append(("ids", first + (", ..." if len(ids) > _FIRST else "")))
    return facts(f"{len(sequences):,} sequences, {len(sequences.values):,} steps", rows)
