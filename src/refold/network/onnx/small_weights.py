"""The choice of weights that float16 or int8 may store."""

from collections.abc import Callable, Mapping
from typing import Literal

Kind = Literal["float32", "float16", "int8"]
MOST_ERROR = 0.01
"""Largest root mean square of the error that smaller weights may cause, in standard deviations."""
# Types to try, one after another.
_TYPES = {"float32": (), "float16": ("float16",), "int8": ("int8", "float16")}
# Smaller arrays are not worth it.
_LEAST_SIZE = 256


def choose_stored(
    kind: Kind, sizes: Mapping[str, int], error_of: Callable[[Mapping[str, str]], float]
) -> dict[str, str]:
    """Return the type of each weight that is stored in a smaller type."""
    # Weights take the type in the order of the error that each of them causes, as long as the error
    # of all together is small. With int8, the rest takes float16 in the same way.
    matrices = [name for name, size in sizes.items() if size >= _LEAST_SIZE and "bias" not in name]
    stored: dict[str, str] = {}
    for one in _TYPES[kind]:
        rest = [name for name in matrices if name not in stored]
        everything = stored | _all(rest, one)
        if error_of(everything) <= MOST_ERROR:
            return everything
        errors = {name: error_of({name: one}) for name in rest}
        order = sorted(rest, key=errors.__getitem__)
        fits, too_many = 0, len(order)
        while too_many - fits > 1:
            middle = (fits + too_many) // 2
            if error_of(stored | _all(order[:middle], one)) <= MOST_ERROR:
                fits = middle
            else:
                too_many = middle
        stored |= _all(order[:fits], one)
    return stored


def _all(names: list[str], kind: str) -> dict[str, str]:
    return dict.fromkeys(names, kind)
