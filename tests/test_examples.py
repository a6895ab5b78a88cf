"""The examples run, with few epochs, and write the pictures they promise."""

import runpy
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"


def run(name, *arguments):
    runpy.run_path(str(EXAMPLES / name))["main"]([str(argument) for argument in arguments])


@pytest.mark.parametrize("answer", ["first", "second"])
def test_answers_of_the_question_are_shown(answer, tmp_path, capsys):
    run(f"question/{answer}_answer.py", tmp_path / "pictures", "--epochs", 2)
    printed = capsys.readouterr().out
    assert "encoder_lstm" in printed
    assert "loss" in printed
    for picture in ("losses", "codes", "reconstruction"):
        path = tmp_path / "pictures" / f"{answer}_{picture}.png"
        assert path.read_bytes().startswith(b"\x89PNG")


def test_what_padding_does(capsys):
    run("question/padding.py", "--epochs", 2, "--ramp-epochs", 2)
    printed = capsys.readouterr().out
    assert "11 different sequences, 6 different arrays" in printed
    assert "default: 0\n" in printed
