"""Errors and their messages, which spell arguments for Python and for the command line."""

import inspect
import pickle
import warnings

import pytest

from refold import errors
from refold._support.output import warn
from refold.cli._process import as_options
from refold.errors import Message, ParameterError, RefoldError, argument, spelled

CLASSES = [
    one for one in vars(errors).values() if inspect.isclass(one) and issubclass(one, RefoldError)
]


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_an_error_keeps_its_argument_when_it_is_pickled(cls):
    error = cls(f"{argument(latent_dim=8)} is too large for {argument('units')}.")
    for one in (error, pickle.loads(pickle.dumps(error))):  # noqa: S301
        assert type(one) is cls
        assert str(one) == one.message == "latent_dim=8 is too large for units."
        assert repr(one) == f"{cls.__name__}('latent_dim=8 is too large for units.')"
        assert one.argument == "latent_dim"
        assert as_options(one.message) == "--latent-dim 8 is too large for --units."


def test_an_error_without_an_argument():
    error = ParameterError(f"There are none: {spelled('call fit()', 'run `refold fit`')}.")
    assert error.argument is None
    assert str(error) == "There are none: call fit()."
    assert as_options(error.message) == "There are none: run `refold fit`."
    assert ParameterError().argument is None


@pytest.mark.parametrize(
    ("marked", "option"),
    [
        (argument("latent_dim"), "--latent-dim"),
        (argument("id="), "--id"),
        (argument("n"), "-n"),
        (argument(sort=True), "--sort"),
        (argument(length_dim=1), "--length-dim 1"),
        (argument(alpha=0.1), "--alpha 0.1"),
        (argument(scale="features"), "--scale features"),
        (argument(scale=None), "--scale none"),
        (argument(denoise="0.3,steps:0.2"), "--denoise 0.3,steps:0.2"),
        (argument(missing_values=[-99, 0.5]), "--missing -99,0.5"),
        (argument("warm_start"), "--from"),
        (
            argument(column_types={"page": "categorical", "x": "numeric"}),
            "--column-types page=categorical,x=numeric",
        ),
    ],
)
def test_arguments_as_options(marked, option):
    assert as_options(Message(f"Use {marked}.")) == f"Use {option}."


def test_a_message_inside_of_another_keeps_its_arguments():
    inner = ParameterError(f"{argument('units')} must be positive.")
    outer = ParameterError(f"a.csv: {inner.message.marked}")
    assert str(outer) == "a.csv: units must be positive."
    assert as_options(outer.message) == "a.csv: --units must be positive."


def test_warnings_keep_their_arguments():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warn(f"{argument(latent_dim=9)} is more than enough.")
    assert str(caught[0].message) == "latent_dim=9 is more than enough."
    assert as_options(caught[0].message.args[0]) == "--latent-dim 9 is more than enough."
