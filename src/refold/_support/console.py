"""Lines about a training run on standard error."""

__all__ = ["describe_epochs", "log", "log_kept_epoch"]


def describe_epochs(best_epoch: int | None, epochs: int) -> str:
    """Describe which epoch was kept: 0 is the initialization, None the last without validation."""
    if best_epoch is None:
        return f"{epochs}, the last one kept"
    if best_epoch == 0:
        return f"initialization kept; no epoch of {epochs} was better"
    return f"epoch {best_epoch} of {epochs} kept"


def log(line: str) -> None:
    """Write a line to standard error."""
    # not at the top, because it takes time to import rich
    from rich.console import Console

    Console(stderr=True, soft_wrap=True, highlight=False).print(line, markup=False)


def log_kept_epoch(best_epoch: int | None, epochs: int) -> None:
    """Write to standard error which epoch was kept; takes the arguments of `describe_epochs`."""
    log(f"{describe_epochs(best_epoch, epochs).capitalize()}.")
