"""Ids that occur twice, found among any number of them with a bounded amount of memory."""

import tempfile

import numpy as np

# Files that the hashes are spread over, by their first bits.
_BUCKETS = 128
# Twelve bytes of disk for each id. Memory holds a hundredth of them at a time.
_ENTRY = np.dtype([("hash", np.uint64), ("unit", np.uint32)])


class SeenIds:
    """Hashes of ids on disk, each with the number of the unit that holds it."""

    def __init__(self) -> None:
        self._files = [tempfile.TemporaryFile() for _ in range(_BUCKETS)]  # noqa: SIM115

    def __enter__(self) -> "SeenIds":
        return self

    def __exit__(self, *_: object) -> None:
        for file in self._files:
            file.close()

    def add(self, hashes: np.ndarray, unit: int) -> None:
        """Add the ids of a unit."""
        entries = np.empty(len(hashes), _ENTRY)
        entries["hash"], entries["unit"] = hashes, unit
        buckets = (hashes >> np.uint64(57)).astype(np.intp)
        order = np.argsort(buckets, kind="stable")
        for part in np.split(order, np.flatnonzero(np.diff(buckets[order])) + 1):
            if len(part):
                self._files[buckets[part[0]]].write(entries[part].tobytes())

    def first_twice(
        self,
        groups: np.ndarray | None = None,  # (num_units,), ascending; each may repeat an id
    ) -> tuple[int, int, int] | None:
        """Return a hash that occurs twice and its units, or None."""
        for file in self._files:
            file.seek(0)
            entries = np.frombuffer(file.read(), _ENTRY)
            entries = entries[np.lexsort((entries["unit"], entries["hash"]))]
            twice = entries["hash"][1:] == entries["hash"][:-1]
            if groups is not None:
                group = groups[entries["unit"]]
                twice &= group[1:] != group[:-1]
            if twice.any():
                first, second = entries[int(np.argmax(twice)) :][:2]
                return int(first["hash"]), int(first["unit"]), int(second["unit"])
        return None
