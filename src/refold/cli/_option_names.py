"""Translation of Python arguments in messages to command-line options: ``id=`` to ``--id``."""

import re

__all__ = ["with_options"]

ARGUMENTS = (
    "alpha|architecture|calibration_fraction|cell|columns|components|decoder|forecast_steps|format|id"
    "|column_types|layout|lengths|latent_steps|scale|sort|time|unit"
)
SETTINGS = (
    "architecture|batch_size|cell|depth|latent_dim|learning_rate|max_epochs|patience|scale|units"
    "|time_budget|optimizer|validation_fraction|calibration_fraction|decoder|patch|rocket_dim"
    "|latent_steps|denoise|components|temperature|alpha|stride|forecast_steps|steps|season|context"
)


def with_options(message: str) -> str:
    """Replace Python arguments in a message by command-line options.

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
    >>> with_options("Correct it, or pass column_types={'page': 'categorical'}.")
    'Correct it, or pass --column-types page=categorical.'
    >>> with_options("latent_dim must be a positive integer. Got 0.")
    '--latent-dim must be a positive integer. Got 0.'
    >>> with_options("Fit with calibration_fraction=0.2.")
    'Fit with --calibration-fraction 0.2.'
    >>> with_options("If it stands for missing values, pass missing_values=[-9999, 999].")
    'If it stands for missing values, pass --missing -9999,999.'
    """
    message = re.sub(r"\b(resume|sort)=True\b", r"--\1", message)
    message = re.sub(r"\bgive (some|them) to calibrate\(\)", "give --normal DATA", message)
    message = message.replace("lengths to inverse_transform", "--lengths to refold decode")
    message = message.replace("cut all of them with refold.sequences.windows", "cut with --window")
    message = message.replace("refold.sequences.windows([x], 100)", "--window 100")
    message = re.sub(
        r"\bmissing_values=\[([^\]]*)\]",
        lambda found: "--missing " + found[1].replace(" ", ""),
        message,
    )
    message = re.sub(r"^missing_values(?= must )", "--missing", message)
    message = re.sub(r"\bcolumn_types=\{'([^']*)': '([^']*)'\}", r"--column-types \1=\2", message)
    message = re.sub(rf"(?<![\w(-])({ARGUMENTS})='(\w+)'", r"--\1 \2", message)
    message = re.sub(
        rf"(?<![\w(/\\-])({ARGUMENTS})=(\d+(?:\.\d+)?)(?![\w/\\-]|\.\d)",
        lambda found: f"{_option(found[1])} {found[2]}",
        message,
    )
    message = re.sub(rf"(?<![\w(-])({ARGUMENTS})=(?!\.\.\.|[\w'\"{{])", r"--\1", message)
    return re.sub(rf"^({SETTINGS})(?= must )", lambda found: _option(found[1]), message)


def _option(argument: str) -> str:
    return "--" + argument.replace("_", "-")
