"""Errors and their messages, which spell arguments for Python and for the command line."""

import pickle

import pytest

from refold.cli._outputs import spell_as_options
from refold.errors import FileAccessError, Message, ParameterError, argument, python_or_cli


def test_an_error_with_an_argument_is_pickled_and_one_without_has_none():
    error = FileAccessError(f"{argument(latent_dim=8)} is too large for {argument('units')}.")
    for copy in (error, pickle.loads(pickle.dumps(error))):  # noqa: S301
        assert type(copy) is FileAccessError
        assert str(copy) == copy.message == "latent_dim=8 is too large for units."
        assert copy.argument_name == "latent_dim"
        assert spell_as_options(copy.message) == "--latent-dim 8 is too large for --units."
    # without an argument, but with a text for the command line
    error = ParameterError(f"There are none: {python_or_cli('call fit()', 'run `refold fit`')}.")
    assert error.argument_name is None
    assert str(error) == "There are none: call fit()."
    assert spell_as_options(error.message) == "There are none: run `refold fit`."


@pytest.mark.parametrize(
    ("marked", "option"),
    [
        (argument("latent_dim"), "--latent-dim"),
        (argument("n"), "-n"),
        (argument(scale=None), "--scale none"),
        (argument(missing_values=[-99, 0.5]), "--missing -99,0.5"),
        (argument("warm_start"), "--from"),
        (argument(column_types={"x": "numeric"}), "--column-types x=numeric"),
        (
            argument(column_types={"x": "binary", "y": "numeric"}),
            "--column-types x=binary,y=numeric",
        ),
    ],
)
def test_arguments_as_options(marked, option):
    assert spell_as_options(Message(f"Use {marked}.")) == f"Use {option}."
    inner = ParameterError(f"{argument('units')} must be positive.")
    outer = ParameterError(f"a.csv: {inner.message.marked}")
    assert spell_as_options(outer.message) == "a.csv: --units must be positive."
