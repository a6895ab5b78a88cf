"""Arguments of the estimator as options, made from their declarations."""

from dataclasses import dataclass, field, make_dataclass
from typing import Annotated, Any

import typer

from refold.arguments import OPTIONS, Arguments


@dataclass(frozen=True)
class ArgumentOptions:
    """Arguments of the estimator. One that is None has its default, or the value of a model."""

    def arguments(self) -> dict[str, Any]:
        """Return the arguments that are set."""
        values = {name: value for name, value in vars(self).items() if value is not None}
        return {name: OPTIONS[name].read(value) for name, value in values.items()}


def argument_options(*names: str) -> type[ArgumentOptions]:
    """Make a group of options, by default of all arguments that have one."""
    options = [(name, _option(name), field(default=None)) for name in names or OPTIONS]
    return make_dataclass("_Options", options, bases=(ArgumentOptions,), frozen=True)


def _option(name: str) -> Any:
    option, default = OPTIONS[name], getattr(Arguments, name)
    if option.default is not None:
        default = option.default
    shown = "" if default in (None, False) else rf" \[default: {default}]"
    declared = typer.Option(
        *option.flags,
        metavar=option.metavar,
        help=option.help + shown,
        rich_help_panel=option.panel,
        show_default=False,
    )
    return Annotated[option.type | None, declared]
