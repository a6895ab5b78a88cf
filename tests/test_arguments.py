"""The table of arguments, and all that repeats it: constructor, docstring, options, defaults."""

import inspect
import re
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

import refold
from refold import SequenceAutoencoder
from refold.arguments import ARGUMENT_FACTS, FIT_OPTIONS, Arguments
from refold.errors import ParameterError
from refold.network.keras.build import ARCHITECTURES
from refold.network.keras.lstm import CELLS
from refold.network.specification import DECODERS

DEFAULTS = {field.name: field.default for field in fields(Arguments)}


def test_the_constructor_repeats_names_and_defaults():
    parameters = [*inspect.signature(SequenceAutoencoder.__init__).parameters.values()][1:]
    assert {parameter.name: parameter.default for parameter in parameters} == DEFAULTS
    assert [parameter.name for parameter in parameters] == [*ARGUMENT_FACTS]


def test_the_docstring_describes_each_argument_with_its_default():
    section = inspect.getdoc(SequenceAutoencoder).partition("Attributes\n---")[0]
    described = dict(re.findall(r"^(\w+) : (.+)$", section, re.MULTILINE))
    assert [*described] == [*ARGUMENT_FACTS]
    for name, text in described.items():
        default = DEFAULTS[name]
        default_text = repr(default).replace("'", '"')
        assert text.endswith(f", default={default_text}") or (
            default is None and text.endswith((", optional", ", default=None"))
        ), name


def test_choices_are_those_of_the_tables_of_models():
    for name, choices in [
        ("cell", [*CELLS]),
        ("decoder", ["auto", *DECODERS]),
        ("architecture", [*ARCHITECTURES]),
    ]:
        assert all(ARGUMENT_FACTS[name].rule.allows(choice) for choice in choices)
        listed = re.findall(r"'(\w+)'", ARGUMENT_FACTS[name].rule.expected)
        assert listed == choices


def test_defaults_keep_their_rules():
    Arguments().check()
    for name, declared in ARGUMENT_FACTS.items():
        with pytest.raises(ParameterError, match=f"^{name} must be {re.escape(declared.rule[0])}"):
            replace(Arguments(), **{name: [object()]}).check()


def test_arguments_as_json_values():
    ae = SequenceAutoencoder(
        np.int64(3),
        variational=np.bool_(True),
        missing_values=np.array([-1.0]),
        architecture=lambda **sizes: None,
        random_state=np.random.default_rng(0),
    )
    arguments = Arguments.of(ae)
    assert (type(arguments.latent_dim), arguments.variational) == (int, True)
    arguments.check()
    json_values = arguments.to_json_values()
    assert json_values["missing_values"] == [-1.0]
    assert (json_values["architecture"], json_values["random_state"]) == ("custom", None)
    assert refold.SequenceAutoencoder(**json_values).get_params() == json_values


def test_the_reference_lists_the_options():
    page = Path(__file__).parent.parent / "docs" / "reference" / "command-line.md"
    lines = page.read_text(encoding="utf-8").splitlines()
    assert [row for row in option_rows() if row not in lines] == []


def option_rows():
    """Return the rows of the table of options in the reference."""
    for name, option in FIT_OPTIONS.items():
        flag = name.replace("_", "-")
        flags = f"--{flag}`, `--no-{flag}" if option.can_be_negated else f"--{flag}"
        flags += f" {option.metavar}" if option.metavar else ""
        default = DEFAULTS[name] if option.default_text is None else option.default_text
        yield f"| `{flags}` | {option.help} | {'off' if default is False else default} |"
