"""The arguments of `SequenceAutoencoder`, each declared once.

A field of `Arguments` declares an argument. Its annotation holds up to three things: the type, the
`ArgumentFacts`, and the `CliOption`, if `refold fit` has one. The estimator checks its arguments by
these declarations, the command line makes options from them, and further training compares
arguments with those of the fitted model.

The constructor of `SequenceAutoencoder` repeats the names and defaults, because scikit-learn reads
its signature. `refold fit --help` imports this module. So that it is fast, the module imports only
the standard library and small modules of Refold.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from numbers import Integral, Real
from typing import Annotated, Any, Literal, NamedTuple, Self, get_type_hints

from refold._support.rules import (
    BOOLEAN_RULE,
    RANDOM_STATE_RULE,
    Rule,
    check,
    integer_rule,
    number_rule,
    one_of,
    or_auto,
    or_none,
)
from refold.errors import ParameterError, argument

__all__ = ["ARGUMENT_FACTS", "FIT_OPTIONS", "ArgumentFacts", "Arguments", "CliOption", "Corruption"]


class CliOption(NamedTuple):
    """An argument as an option of `refold fit`, and of other commands that train."""

    type: type  # the command line converts the text of the option to this type
    metavar: str | None  # placeholder of the value on the help page, such as N; None for a flag
    help: str
    panel: str = "Training"  # title of the group of options on the help page
    default_text: str | None = None  # shown on the help page instead of the default value
    can_be_negated: bool = False  # whether there is an option --no-NAME, too
    # converts the value of the option to that of the argument
    convert: Callable[[Any], Any] = lambda value: value


class ArgumentFacts(NamedTuple):
    """Which values an argument may have, and whether further or resumed training can change it."""

    rule: Rule
    # Path of the attribute of a fitted `Model` that holds the value. Further training cannot change
    # such a value.
    model_attribute: str | None = None
    # Whether another value of the argument is allowed when an interrupted training continues from
    # its checkpoint.
    may_change_on_resume: bool = False


class Corruption(NamedTuple):
    """How the input of a denoising autoencoder is corrupted during training."""

    # P. Vincent et al., "Extracting and Composing Robust Features with Denoising Autoencoders",
    # 2008
    noise_std: float = 0.0  # standard deviation of noise, added to standardized numeric values
    dropped_share: float = 0.0  # share of the time steps that are treated as missing

    def __bool__(self) -> bool:
        """Return whether any corruption is applied."""
        return self.noise_std > 0 or self.dropped_share > 0

    @classmethod
    def of(cls, denoise: Any) -> "Corruption":
        """Parse the argument `denoise`: the noise, "steps:0.2", or both as in "0.3,steps:0.2"."""
        check("denoise", denoise, _DENOISE_VALIDATION_RULE)
        return cls(**_parse_denoise(denoise))


def _parse_denoise(denoise: Any) -> dict[str, float]:
    """Return the fields of `Corruption` that `denoise` sets, or raise a ValueError."""
    if isinstance(denoise, bool) or not isinstance(denoise, Real | str):
        raise ValueError(denoise)
    fields: dict[str, float] = {}
    for entry in denoise.split(",") if isinstance(denoise, str) else [denoise]:
        name, amount = "noise_std", entry
        if isinstance(entry, str) and entry.strip().startswith("steps:"):
            name, amount = "dropped_share", entry.strip().removeprefix("steps:")
        amount = float(amount)
        # noise may have any finite standard deviation, but a share of 1 would leave no steps
        is_allowed = 0 <= amount < (1.0 if name == "dropped_share" else float("inf"))
        if name in fields or not is_allowed:
            raise ValueError(entry)
        fields[name] = amount
    return fields


# Rules of the arguments below


def _is_accepted_by(function: Callable[[Any], object], value: object) -> bool:
    """Return whether a function raises no ValueError for a value."""
    # all errors of Refold about values are ValueErrors, too
    try:
        function(value)
    except ValueError:
        return False
    return True


def _is_valid_optimizer(optimizer: object) -> bool:
    """Return whether a value is an optimizer of Keras, or the name of one."""
    import keras  # not at the top, because it takes seconds, and the default is None

    if isinstance(optimizer, str):
        return _is_accepted_by(keras.optimizers.get, optimizer)
    return isinstance(optimizer, keras.optimizers.Optimizer)


def _are_valid_missing_markers(missing_values: Any) -> bool:
    """Return whether a value is a finite number, or a list of finite numbers."""
    from refold.sequences import check_marker_numbers  # not at the top, because it loads PyArrow

    return _is_accepted_by(check_marker_numbers, missing_values)


_DENOISE_VALIDATION_RULE = Rule(
    "the standard deviation of the noise (at least 0), the share of time steps to drop (as "
    "'steps:0.2', below 1), or both (as '0.3,steps:0.2')",
    lambda value: _is_accepted_by(_parse_denoise, value),
)
# A value of `latent_dim` that is a share of the variance, and not a number of dimensions.
_VARIANCE_SHARE_VALIDATION_RULE = number_rule(above=0, below=1)
_LATENT_DIM_VALIDATION_RULE = Rule(
    "a positive integer, or a share of the variance above 0 and below 1",
    lambda value: integer_rule().allows(value) or _VARIANCE_SHARE_VALIDATION_RULE.allows(value),
)
_OPTIMIZER_VALIDATION_RULE = Rule(
    "the name of a Keras optimizer or a keras.optimizers.Optimizer", _is_valid_optimizer
)
_ARCHITECTURE_NAME_VALIDATION_RULE = one_of("default", "repeat", "reshape", "dense")
_ARCHITECTURE_VALIDATION_RULE = Rule(
    f"{_ARCHITECTURE_NAME_VALIDATION_RULE.expected}, or a callable",
    lambda value: callable(value) or _ARCHITECTURE_NAME_VALIDATION_RULE.allows(value),
)
_MISSING_VALUES_VALIDATION_RULE = Rule(
    # with a comma at the end, because `or_none` appends "or None"
    "a finite number or a list of them, such as [-99999],",
    _are_valid_missing_markers,
)
_REFIT_VALIDATION_RULE = Rule("'auto', True or False", or_auto(BOOLEAN_RULE).allows)
_VERBOSE_VALIDATION_RULE = Rule("0 or 1", lambda x: isinstance(x, Integral) and x in {0, 1})
_FRACTION_VALIDATION_RULE = number_rule(minimum=0, below=1)

# Options whose group on the help page is not "Training"
_make_model_panel_option = partial(CliOption, panel="Model")
_make_data_dependent_option = partial(_make_model_panel_option, default_text="depends on the data")
_make_windows_panel_option = partial(CliOption, int, "N", panel="Windows")


@dataclass(frozen=True)
class Arguments:
    """The arguments of a fit, in the order of the constructor of `SequenceAutoencoder`."""

    latent_dim: Annotated[
        int | float,
        ArgumentFacts(_LATENT_DIM_VALIDATION_RULE, "specification.latent_dim"),
        _make_model_panel_option(
            float,
            "N",
            "Latent dimensions. 0.95 takes as many as explain 95 % of the held-out variance.",
            convert=lambda value: int(value) if value.is_integer() else value,  # 16.0 is 16
        ),
    ] = 16
    units: Annotated[
        int,
        ArgumentFacts(integer_rule(), "specification.units"),
        _make_model_panel_option(int, "N", "Units per recurrent layer."),
    ] = 96
    depth: Annotated[
        int,
        ArgumentFacts(integer_rule(), "specification.depth"),
        _make_model_panel_option(int, "N", "Recurrent layers in the encoder, and in the decoder."),
    ] = 1
    cell: Annotated[
        str,
        ArgumentFacts(one_of("lstm", "gru"), "specification.cell"),
        _make_model_panel_option(str, "NAME", "lstm or gru."),
    ] = "lstm"
    architecture: Annotated[
        Any,
        ArgumentFacts(_ARCHITECTURE_VALIDATION_RULE, "specification.architecture"),
        _make_model_panel_option(str, "NAME", "default, dense, repeat or reshape."),
    ] = "default"
    decoder: Annotated[
        str,
        ArgumentFacts(one_of("auto", "parallel", "autoregressive"), "specification.decoder"),
        _make_data_dependent_option(str, "NAME", "parallel or autoregressive."),
    ] = "auto"
    patch: Annotated[
        int | str,
        ArgumentFacts(or_auto(integer_rule()), "specification.patch"),
        _make_model_panel_option(
            int,
            "N",
            "Steps that the LSTMs read and write at once.",
            default_text="depends on the lengths",
        ),
    ] = "auto"
    rocket_dim: Annotated[
        int | str,
        ArgumentFacts(or_auto(integer_rule(0)), "specification.rocket_dim"),
        _make_data_dependent_option(int, "N", "Latent dimensions for ROCKET features."),
    ] = "auto"
    length_dim: Annotated[
        int | str,
        ArgumentFacts(or_auto(integer_rule(0, 1)), "specification.length_dim"),
        _make_model_panel_option(
            int,
            "N",
            "1 keeps the exact length in a latent dimension, 0 predicts it from the code.",
            default_text="1 if lengths differ and there are 8 or more dimensions",
        ),
    ] = "auto"
    nested: Annotated[
        bool,
        ArgumentFacts(BOOLEAN_RULE, "specification.nested"),
        _make_model_panel_option(
            bool, None, "Train the first half, quarter, ... of a code to decode alone."
        ),
    ] = False
    # not `forecast`: scikit-learn stores an argument as the attribute of its name, and the
    # estimator has a method `forecast`
    forecast_steps: Annotated[
        int,
        ArgumentFacts(integer_rule(0), "specification.forecast_steps"),
        _make_model_panel_option(int, "N", "Steps to forecast, for `refold forecast`."),
    ] = 0
    window: Annotated[
        int | None,
        ArgumentFacts(or_none(integer_rule()), "window"),
        _make_windows_panel_option(help="Cut series into windows of N steps, also in later use."),
    ] = None
    step: Annotated[
        int | None,
        ArgumentFacts(or_none(integer_rule())),
        _make_windows_panel_option(
            help="Steps from the start of a window to the next.",
            default_text="a quarter of --window",
        ),
    ] = None
    scale: Annotated[
        Literal["features", "sequence"] | None,
        ArgumentFacts(one_of("features", "sequence", None), "scaler.mode"),
        _make_model_panel_option(
            str,
            "SCALE",
            "Standardize by features, by sequence, or none.",
            convert=lambda value: None if value == "none" else value,
        ),
    ] = "features"
    missing_values: Annotated[
        Any, ArgumentFacts(or_none(_MISSING_VALUES_VALIDATION_RULE), "schema.missing")
    ] = None
    warm_start: Annotated[bool, ArgumentFacts(BOOLEAN_RULE)] = False
    max_epochs: Annotated[
        int | None,
        ArgumentFacts(or_none(integer_rule())),
        CliOption(int, "N", "Maximum number of epochs.", default_text="depends on the data"),
    ] = None
    batch_size: Annotated[
        int | None,
        ArgumentFacts(or_none(integer_rule())),
        CliOption(
            int,
            "N",
            "Sequences per training step.",
            default_text="32, or 64 from 2000 sequences on",
        ),
    ] = None
    learning_rate: Annotated[
        float, ArgumentFacts(number_rule(above=0)), CliOption(float, "R", "Peak learning rate.")
    ] = 0.003
    optimizer: Annotated[
        Any,
        ArgumentFacts(or_none(_OPTIMIZER_VALIDATION_RULE)),
        CliOption(str, "NAME", "Name of a Keras optimizer.", default_text="AdamW"),
    ] = None
    validation_fraction: Annotated[
        float,
        ArgumentFacts(_FRACTION_VALIDATION_RULE),
        CliOption(float, "R", "Fraction held out to stop early and to measure the error."),
    ] = 0.1
    calibration_fraction: Annotated[
        float,
        ArgumentFacts(_FRACTION_VALIDATION_RULE),
        CliOption(
            float, "R", "Fraction set aside to calibrate `refold detect` and `refold forecast`."
        ),
    ] = 0.0
    patience: Annotated[
        int | None,
        ArgumentFacts(or_none(integer_rule())),
        CliOption(
            int,
            "N",
            "Epochs without a better validation loss before training stops.",
            default_text="a quarter of the epochs, at least 50",
        ),
    ] = None
    refit: Annotated[
        bool | str,
        ArgumentFacts(_REFIT_VALIDATION_RULE),
        CliOption(
            bool,
            None,
            "Retrain on all sequences at the end.",
            default_text="below 2000 sequences",
            can_be_negated=True,
        ),
    ] = "auto"
    latent_steps: Annotated[
        int | str,
        ArgumentFacts(or_auto(integer_rule(0)), may_change_on_resume=True),
        _make_data_dependent_option(int, "N", "Steps of latent optimization per code."),
    ] = "auto"
    time_budget: Annotated[
        float | None,
        ArgumentFacts(or_none(number_rule(above=0)), may_change_on_resume=True),
        CliOption(float, "SECONDS", "Time limit for training.", default_text="none"),
    ] = None
    time_warp: Annotated[
        float | str,
        ArgumentFacts(or_auto(number_rule(minimum=0))),
        CliOption(
            float,
            "STEPS",
            "Standard deviation of random time warps of the training sequences, 0 for none.",
            default_text="depends on the data",
        ),
    ] = "auto"
    denoise: Annotated[
        float | str,
        ArgumentFacts(_DENOISE_VALIDATION_RULE),
        CliOption(
            str,
            "HOW",
            "Corrupt the input: 0.3 adds noise, steps:0.2 drops steps, 0.3,steps:0.2 does both.",
        ),
    ] = 0.0
    variational: Annotated[
        bool,
        ArgumentFacts(BOOLEAN_RULE, "specification.variational"),
        _make_model_panel_option(
            bool, None, "Train a variational autoencoder, with codes distributed as N(0, 1)."
        ),
    ] = False
    random_state: Annotated[Any, ArgumentFacts(RANDOM_STATE_RULE, may_change_on_resume=True)] = None
    verbose: Annotated[int, ArgumentFacts(_VERBOSE_VALIDATION_RULE, may_change_on_resume=True)] = 0

    @classmethod
    def of(cls, estimator: Any) -> Self:
        """Return the arguments of an estimator, with Python's numbers instead of NumPy's."""
        return cls(**{name: _to_python_number(getattr(estimator, name)) for name in ARGUMENT_FACTS})

    @property
    def chooses_latent_dim(self) -> bool:
        """Whether `latent_dim` is a share of the variance, so training chooses the number."""
        return _VARIANCE_SHARE_VALIDATION_RULE.allows(self.latent_dim)

    @property
    def corruption(self) -> Corruption:
        """The corruption of the input that `denoise` asks for."""
        return Corruption.of(self.denoise)

    def check(self) -> None:
        """Raise a ParameterError for an argument that breaks its rule."""
        for name, facts in ARGUMENT_FACTS.items():
            check(name, getattr(self, name), facts.rule)
        # a second rule of `step`: it needs a window, and cannot be larger than the window
        if self.step is not None and self.window is None:
            raise ParameterError(
                f"{argument(step=self.step)} needs windows. Add {argument(window=4 * self.step)}."
            )
        if self.step is not None:
            check("step", self.step, integer_rule(1, self.window))

    def to_json_values(self) -> dict[str, Any]:
        """Return the arguments as JSON values, with "custom" for objects such as a callable."""
        values = {name: _to_json_value(getattr(self, name)) for name in ARGUMENT_FACTS}
        # a random generator has no JSON value, and "custom" would be no valid `random_state`
        if values["random_state"] == "custom":
            values["random_state"] = None
        return values


def _to_python_number(value: Any) -> Any:
    """Return a Python number for a NumPy scalar, and other values as they are."""
    return value.item() if getattr(value, "shape", None) == () else value


def _to_json_value(value: Any) -> Any:
    """Return a value as a number, a text, None or a list of these, or "custom" for other types."""
    value = _to_python_number(value)
    if hasattr(value, "tolist"):  # an array of NumPy
        value = value.tolist()
    if isinstance(value, list | tuple):
        return [_to_json_value(item) for item in value]
    return value if isinstance(value, str | int | float | None) else "custom"


# The metadata of an annotation are `ArgumentFacts`, followed by a `CliOption` if there is one.
_ANNOTATIONS = get_type_hints(Arguments, include_extras=True)
ARGUMENT_FACTS: dict[str, ArgumentFacts] = {
    name: annotation.__metadata__[0] for name, annotation in _ANNOTATIONS.items()
}
"""The facts of each argument, by name."""
FIT_OPTIONS: dict[str, CliOption] = {
    name: option
    for name, annotation in _ANNOTATIONS.items()
    for option in annotation.__metadata__[1:]
}
"""The option of each argument that has one, by name."""
