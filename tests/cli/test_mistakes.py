"""A mistake gives one line on standard error and exit code 2, and nothing is written."""

import shutil
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import refold
from refold.sequences import as_sequences, read, write
from small_data import fit_without_training

FILES = {
    "unsorted.csv": "id,time,x\n1,1,2\n1,0,3\n2,0,3\n",
    "two.csv": "id,x,y\n1,2,3\n2,4,5\n",
    "long.log": "id,time,x0\n1,0,2\n1,1,3\n9,0,many\n",
    "who.csv": "id,who\n" + "".join(f"{i},w{i % 3}\n" for i in range(80)),
    "run.refold.checkpoint": "hours of work",
}


@pytest.fixture(scope="module")
def folder(sines, tmp_path_factory):
    """Return a folder with data, models, codes, and files that are damaged."""
    folder = tmp_path_factory.mktemp("mistakes")
    shutil.copytree(sines, folder, dirs_exist_ok=True)
    for name, text in FILES.items():
        (folder / name).write_text(text, encoding="utf-8")
    np.save(folder / "wide.npy", np.zeros((2, 5)))
    np.save(folder / "codes.npy", np.zeros((2, 4)))
    (folder / "folder.csv").mkdir()

    series = read(sines / "train.parquet")
    labeled = series.to_arrow().append_column("kind", pa.array(np.arange(80) % 2))
    pq.write_table(labeled, folder / "labelled.parquet")
    pq.write_table(labeled.rename_columns(["who", "x0", "kind"]), folder / "who.parquet")
    write(series[:0], folder / "none.npz")
    bare = refold.load(folder / "bare.refold")
    named_series = as_sequences(np.ones((3, 2, 1)), names=["level"])
    replace(bare, schema=named_series.schema).save(folder / "level.refold")
    replace(bare, schema=replace(bare.schema, id_name="who")).save(folder / "who.refold")
    fit_without_training(series, forecast_steps=4).save(folder / "waves.refold")
    return folder


@pytest.fixture
def run_mistake(folder, monkeypatch, run):
    """Run a command that must fail without changing the files of the folder."""
    monkeypatch.chdir(folder)

    def call(command):
        before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
        captured = run(*command.split(), exit_code=2)
        assert captured.out == ""
        lines = captured.err.splitlines()
        assert lines[-1].startswith("Error: ")
        assert all(line.startswith("Warning: ") for line in lines[:-1])
        assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before
        return lines[-1]

    return call


ENCODE = "encode bare.refold"
FORECAST = "forecast waves.refold new.parquet"
DETECT = "detect sines.refold new.parquet"
DECODE = "decode bare.refold codes.npy -o b.npz --lengths"
REPORT = "report bare.refold labelled.parquet"
PROBE = "probe bare.refold labelled.parquet"
FIT = "fit two.csv -o m.refold"


@pytest.mark.parametrize(
    ("command", "message"),
    [
        # arguments
        ("fit", "DATA requires an argument. Try: refold fit --help"),
        ("fit a.csv", "--output requires an argument. Try: refold fit --help"),
        ("nothing", 'Unknown command "nothing"'),
        (f"{FIT} --latent-dim two", '--latent-dim: unable to convert "two"'),
        (f"{FIT} --wings 2", "Unknown option: --wings"),
        ("fit --colums a a.csv -o m.refold", "Did you mean --columns?"),
        ("info m.refold n.refold", "['n.refold']. Try: refold info --help"),
        (f"{FIT} --column-types a=binary,b", "--column-types names the column 'a'"),
        (f"{FIT} --processes 2", "--processes needs --on. Add --on CLUSTER."),
        (f"{ENCODE} new.parquet --workers 2", "--workers needs --on. Add --on CLUSTER."),
        (f"{ENCODE} a.csv -o c --on auto --sort", "--sort cannot be used with --on"),
        (f"{ENCODE} a.csv --on auto", "--on needs named files"),
        ("data -o a.csv", "Name a data set to write: moving-ones"),
        # inputs
        ("fit - -o m.refold", "Add --format parquet|csv|"),
        ("detect sines.refold - --normal -", "Only one input can be standard input. Name a file"),
        ("info m.refold", "m.refold"),
        (f"{ENCODE} no.log --format csv", "There is no file no.log"),
        (f"{ENCODE} long.log --format csv", "long.log"),
        ("fit two.csv -o s3://bucket/x", "Error: s3://bucket/x is an address."),
        ("fit unsorted.csv -o m.refold", "--sort"),
        # outputs
        ("fit a.csv -o x/m.refold", "No such file or directory: the folder 'x'. Name a file"),
        (f"{ENCODE} a.csv -o c.csv.gz", "must end in .parquet, .csv"),
        (f"{ENCODE} a.csv -o folder.csv", "it is a folder. Name a file"),
        (f"{ENCODE} a.csv -o a.csv", "'a.csv' would overwrite an input"),
        (f"{DETECT} -o b.csv --steps b.csv", "would overwrite an input or another output"),
        ("fit two.csv -o -", "-o cannot be standard output. Name a file."),
        ("demo -o /dev/null", "'/dev/null'. Check the path"),
        (f"{ENCODE} new.parquet --dtype float16", ".parquet or .npy. Got .jsonl"),
        ("fit two.csv -o run.refold", "'run.refold.checkpoint' of an interrupted training run"),
        (f"{DETECT} --steps -", "--steps cannot be standard output"),
        # codes and lengths
        ("decode bare.refold wide.npy -o b.npz", "shape (n_sequences, 4)"),
        (f"{DECODE} 1,2,3", "--lengths must have one entry per code, shape (2,). Got (3,)."),
        (f"{DECODE} codes.npy", "--lengths: expected comma-separated integers"),
        # search
        ("index bare.refold -o x", "Give DATA to add, or --remove or --remove-where"),
        ("index bare.refold - -o x --metadata a", "Standard input and output cannot be"),
        # forecasts, anomalies and new sequences
        (f"{FORECAST} --evaluate --alpha 0.1", "--alpha cannot be used with --evaluate, which"),
        ("detect sines.refold none.npz --picture p.png", "no sequence to draw with --picture"),
        ("generate sines.refold --temperature -1", "--temperature must be a number"),
        ("generate sines.refold -n 3 --compare new.parquet", "at least -n 5"),
        ("fit train.parquet -o x.refold --step 5", "--step 5 needs windows. Add --window 20."),
        ("fit train.parquet -o x.refold --window 4 --step 5", "--step must be an integer from 1"),
        # labels and pages
        (f"{PROBE} --label id", "The label column 'id' is the id column"),
        ("probe who.refold who.parquet --label who", "The label column 'who' is the id column"),
        ("report level.refold labelled.parquet -o p.html", "level"),
        (f"{REPORT} -o p.html --labels who.csv", "--labels needs --label. Add --label NAME."),
        (f"{REPORT} -o -", "--output cannot be standard output. Name a file."),
        ("explore bare.refold -", "refold explore needs named files"),
    ],
)
def test_a_mistake_is_one_line(run_mistake, command, message):
    line = run_mistake(command)
    assert message in line, line


def test_a_missing_package_is_named_before_the_work(run_mistake, monkeypatch):
    monkeypatch.setitem(sys.modules, "plotly", None)
    assert "pip install '.[plots]'" in run_mistake("report bare.refold gone.parquet -o page.html")


# Runs commands in one process. Prints the exit code of each, and the heavy packages that it loaded.
RUN_AND_LIST_IMPORTS = """
import sys
from refold.cli import main
for command in sys.stdin.read().splitlines():
    exit_code = main(command.split())
    loaded = {"jax", "keras", "matplotlib", "sklearn", "tensorflow", "torch"} & {*sys.modules}
    print(exit_code, *loaded, command, file=sys.stderr)
"""
READERS = [
    "fit {} -o new.refold",
    "fit {} -o new.refold --from bare.refold",
    "fit {} -o new.refold --window 5",
    "curve {}",
    "doctor {}",
    "encode bare.refold {}",
    "reconstruct bare.refold {} -o c.npz",
    "probe bare.refold {} --label kind",
    "detect sines.refold {}",
    "detect bare.refold new.parquet --normal {}",
    "forecast waves.refold {}",
    "index bare.refold {} -o x.index",
    "search bare.refold x.index {}",
    "cluster bare.refold {}",
    "report bare.refold {} -o p.html",
    "report bare.refold {} -o p.html --label kind",
    "explore bare.refold {}",
    "adapt series {} -o new.refold",
    "generate bare.refold --compare {}",
]
WRONG_FILES = {
    "two.csv --id typo": "has no column 'typo'",
    "two.csv --columns typo": "has no column 'typo'",
    "two.csv --time typo": "has no column 'typo'",
    "gone.csv": "There is no file gone.csv",
    "wide.npy --format parquet": "is not a parquet file",
    "data.xlsx": "unknown suffix '.xlsx'",
}


def test_mistakes_in_the_header_of_a_file_are_answered_before_slow_imports(folder):
    """Keras and JAX alone take several times as long as the answer."""
    refold.search.Index.create(folder / "x.index", refold.load(folder / "bare.refold"), [[1.0]])
    commands = [reader.format(name) for reader in READERS for name in WRONG_FILES]
    finished = subprocess.run(
        [sys.executable, "-c", RUN_AND_LIST_IMPORTS],
        input="\n".join(commands),
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    lines = finished.stderr.splitlines()
    assert [line for line in lines if not line.startswith("Error: ")] == [
        f"2 {command}" for command in commands
    ]
    errors = [line for line in lines if line.startswith("Error: ")]
    expected = [*WRONG_FILES.values()] * len(READERS)
    wrong = [(e, c) for e, m, c in zip(errors, expected, commands, strict=True) if m not in e]
    assert not wrong, wrong
