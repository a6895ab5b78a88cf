"""What a training tells whoever watches it, beside its progress."""

from rich.console import Console

__all__ = ["say"]


def say(line: str) -> None:
    """Write one line to standard error, where progress is shown."""
    Console(stderr=True, soft_wrap=True, highlight=False).print(line, markup=False)
