"""Messages of the library in the words of the command line: ``--id`` rather than ``id=``."""

import re

__all__ = ["with_options"]

ARGUMENTS = "architecture|columns|decoder|format|id|kinds|lengths|scale|time|unit"
SETTINGS = (
    "architecture|batch_size|depth|latent_dim|learning_rate|max_epochs|patience|scale|units"
    "|time_budget|optimizer|validation_fraction|decoder|patch|discriminative|refine|denoise"
)


def with_options(message: str) -> str:
    """Write arguments of Python in a message as options.

    Parameters
    ----------
    message : str

    Returns
    -------
    str

    Examples
    --------
    >>> with_options("Name one with id=; its columns are a, b.")
    'Name one with --id; its columns are a, b.'
    >>> with_options("Mend it, or pass kinds={'page': 'categorical'}.")
    'Mend it, or pass --kinds page=categorical.'
    >>> with_options("latent_dim must be a positive integer. Got 0.")
    '--latent-dim must be a positive integer. Got 0.'
    """
    message = re.sub(r"\bresume=True\b", "--resume", message)
    message = re.sub(r"\bkinds=\{'([^']*)': '([^']*)'\}", r"--kinds \1=\2", message)
    message = re.sub(rf"(?<![\w(-])({ARGUMENTS})='(\w+)'", r"--\1 \2", message)
    message = re.sub(rf"(?<![\w(-])({ARGUMENTS})=(?!\.\.\.|[\w'\"{{])", r"--\1", message)
    return re.sub(
        rf"^({SETTINGS})(?= must )",
        lambda found: "--" + found.group().replace("_", "-"),
        message,
    )
