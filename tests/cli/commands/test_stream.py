"""``refold stream``, from lines of steps to lines of results."""

import contextlib
import io
import json
import os
import signal
import subprocess
import sys

import pytest

import refold
from refold.cli import main


@pytest.fixture
def push(sines, monkeypatch, capsys):
    """Run the command on text as standard input, and return its objects and messages."""

    def run(text, *options, code=0, model="sines.refold"):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
        assert main(["stream", str(sines / model), *options]) == code
        shown = capsys.readouterr()
        return [json.loads(line) for line in shown.out.splitlines()], shown.err

    return run


def test_json_lines(push, sines):
    values = refold.sequences.read(sines / "new.parquet")[0][:5]
    found, messages = push("".join(f"{value!r}\n" for value in values.tolist()) + "\n")
    assert [one["num_steps"] for one in found] == [1, 2, 3, 4, 5]
    model = refold.load(sines / "sines.refold")
    assert found[-1]["code"] == model.encode([values])[0].tolist()
    assert found[-1]["p_value"] == model.detect([values], alpha=0.1).p_values[0]
    assert messages == "Read 5 steps.\n"
    objects, messages = push('{"x0": 1, "at": 3}\n[2]\n-1\n', "--every", "3", "--window", "2", "-q")
    assert [list(one.values())[:2] for one in objects] == [[3, 2]]
    assert messages == ""


def test_csv_with_ids(push, tmp_path):
    text = "who,x0,at\na,0.5,1\nb,NA,2\na,0.25,3\n"
    found, _ = push(text, "--format", "csv", "--id", "who")
    assert [(one["id"], one["num_steps"]) for one in found] == [("a", 1), ("b", 1), ("a", 2)]
    (tmp_path / "steps.tsv").write_text("who\tlevel\na\t0.5\na\t0.25\n")
    again, _ = push("", str(tmp_path / "steps.tsv"), "--id", "who", model="bare.refold")
    assert again[-1]["num_steps"] == 2
    assert again[-1]["p_value"] is None


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("0.5\n[1, 2]\n", [], "Line 2: Step 1 has 2 values, but the model has 1 column: x0."),
        ("0.5\nx0\n", [], "Line 2 is not JSON: Expecting value: line 1 column 1 (char 0). Expec"),
        ('{"y": 1}\n', [], "Line 1 has no column of the model, only 'y'. Expected 'x0'."),
        ('{"x0": 1}\n', ["--id", "who"], "Line 1 has no id in 'who'. Write one as a key."),
        ("x0\nabc\n", ["--format", "csv"], "Line 2: Step 0 has the text 'abc' in column 'x0'."),
        ("x0,a\n1\n", ["--format", "csv"], "Line 2 has 1 cells, but the first line has 2."),
        ("x0\n1\n", ["--format", "csv", "--id", "u"], "The first line has no column 'u'. It has"),
        ("0.5\n", ["--format", "npz"], "The format must be one of jsonl, csv, tsv. Got 'npz'."),
    ],
)
def test_a_wrong_line_is_named(push, text, options, message):
    found, messages = push(text, *options, code=2)
    assert messages.startswith(f"Error: {message}")
    assert messages.count("\n") == 1
    assert len(found) == text.startswith("0.5\n[") or "not JSON" in messages


@contextlib.contextmanager
def started(sines):
    command = [sys.executable, "-m", "refold", "stream", str(sines / "sines.refold")]
    pipes = dict.fromkeys(["stdin", "stdout", "stderr"], subprocess.PIPE)
    with subprocess.Popen(command, **pipes, text=True) as process:
        process.stdin.write("0.5\n")
        process.stdin.flush()
        assert json.loads(process.stdout.readline())["num_steps"] == 1
        yield process


@pytest.mark.skipif(os.name == "nt", reason="signals of another kind")
def test_a_line_is_written_at_once_and_ctrl_c_ends(sines, ctrl_c):
    with started(sines) as process:
        process.send_signal(signal.SIGINT)
        _, messages = process.communicate()
    assert process.returncode == 130
    assert messages == "Interrupted: Stopped by Ctrl-C after 1 step.\n"


def test_a_closed_pipe_ends(sines):
    with started(sines) as process:
        process.stdout.close()
        process.stdin.write("0.5\n" * 3)
        process.stdin.close()
        assert process.stderr.read() == ""
    assert process.returncode == 1
