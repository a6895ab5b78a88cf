"""A mistake gives one line on standard error and exit code 2, and nothing is written."""

import gzip
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import refold
from refold.cli import main
from refold.sequences import as_sequences, write
from small_data import untrained


def table(*rows):
    return "\n".join(rows) + "\n"


FILES = {
    "empty.csv": "",
    "header.csv": "id,x\n",
    "noid.csv": table("who,x", "1,2", "1,3"),
    "text.csv": table("id,x", "1,2", "1,many", "2,3"),
    "infinite.csv": table("id,x", "1,2", "1,inf", "2,3"),
    "unsorted.csv": table("id,time,x", "1,1,2", "1,0,3", "2,0,3"),
    "repeated.csv": table("id,time,x", "1,0,2", "1,0,3", "2,0,3"),
    "missing.csv": table("id,x,y", "1,2,", "1,3,", "2,4,"),
    "one.csv": table("id,x", "1,2", "1,3"),
    "two.csv": table("id,x,y", "1,2,3", "2,4,5"),
    "wide.csv": table("who,t0,t1,t2,t3", "1,1,2,3,4"),
    "both.csv": table("id;x0", "1;0,5", "1;0.7"),
    "long.log": table("id,time,x0", "1,0,2", "1,1,3", "9,0,many"),
    "who.csv": table("id,who", *(f"{i},w{i % 3}" for i in range(80))),
    "cut.jsonl": "[1, 2, 3]\n[1, 2",
    "none.jsonl": "\n",
    "ragged.jsonl": "[[1, 2], [3, 4]]\n[[1], [2]]\n",
    "mixed.jsonl": '{"id": 1, "x0": 1}\n{"id": 1, "x0": "a"}\n',
    "deep.jsonl": "[" * 100_000,
    "quoted.csv": '"' + "x," * 100_000,
    "hollow.jsonl": "[1.5, 2.5, 3.5]\n[]\n[2.5, 1.5, 3.5]\n",
    "cut.json": "[[1, 2], [3",
    "fake.parquet": "no table",
    "fake.npz": "no archive",
    "fake.refold": "no model",
    "run.refold.checkpoint": "hours of work",
}


@pytest.fixture(scope="module")
def folder(sines, tmp_path_factory):
    """Return a folder with data, models, codes, an index, and files that are damaged."""
    folder = tmp_path_factory.mktemp("mistakes")
    shutil.copytree(sines, folder, dirs_exist_ok=True)
    for name, text in FILES.items():
        (folder / name).write_text(text, encoding="utf-8")
    (folder / "cut.csv.gz").write_bytes(gzip.compress(FILES["two.csv"].encode(), mtime=0)[:20])
    (folder / "cut.refold").write_bytes((sines / "bare.refold").read_bytes()[:-100])
    np.save(folder / "wide.npy", np.zeros((2, 5)))
    np.save(folder / "codes.npy", np.zeros((2, 4)))
    (folder / "folder.csv").mkdir()

    series = refold.sequences.read(sines / "train.parquet")
    kind = pa.array(np.arange(80) % 2)
    labelled = series.to_arrow().append_column("kind", kind)
    pq.write_table(labelled.append_column("same", pa.array([1] * 80)), folder / "labelled.parquet")
    pq.write_table(labelled.rename_columns(["id", "y0", "kind"]), folder / "other.parquet")
    write(series[:0], folder / "none.npz")
    header = "@timeStamps false\n@classLabel true 0 1\n@data\n"
    (folder / "cases.ts").write_text(header + "1,2:0\n2,3:1\n")
    bare = refold.load(folder / "bare.refold")
    named = as_sequences(np.ones((3, 2, 1)), names=["level"])
    replace(bare, schema=named.schema).save(folder / "level.refold")
    ids = replace(bare.schema, id_name="who")
    replace(bare, schema=ids).save(folder / "who.refold")
    untrained(series, forecast_steps=4).save(folder / "waves.refold")
    index = ["index", str(folder / "bare.refold"), str(folder / "train.parquet")]
    labels = ["--metadata", "who", "--labels", str(folder / "who.csv")]
    assert main([*index, "-o", str(folder / "s.index"), *labels, "-q"]) == 0
    return folder


@pytest.fixture
def mistake(folder, monkeypatch, run):
    """Run a command that must fail without changing the files of the folder."""
    monkeypatch.chdir(folder)

    def call(command):
        before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
        shown = run(*command.split(), code=2)
        assert shown.out == ""
        lines = shown.err.splitlines()
        assert lines[-1].startswith("Error: ")
        assert all(line.startswith("Warning: ") for line in lines[:-1])
        assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before
        return lines[-1]

    return call


ENCODE = "encode bare.refold"
SEARCH = "search bare.refold"
FORECAST = "forecast waves.refold new.parquet"
DETECT = "detect sines.refold new.parquet"
DECODE = "decode bare.refold codes.npy -o b.npz --lengths"
REPORT = "report bare.refold labelled.parquet"
PROBE = "probe bare.refold labelled.parquet"
EXPLORE = "explore bare.refold new.parquet --export"
FIT = "fit two.csv -o m.refold"
CURVE = "curve two.csv"


@pytest.mark.parametrize(
    ("command", "message"),
    [
        # arguments
        ("fit", "argument DATA is missing. Try: refold fit --help"),
        ("fit a.csv", "option --output is missing. Try: refold fit --help"),
        ("fit a.csv -o", "option -o needs a value"),
        ("nothing", 'Unknown command "nothing"'),
        (f"{FIT} --latent-dim two", '"two"'),
        (f"{FIT} --wings 2", "Unknown option: --wings"),
        ("fit --colums a a.csv -o m.refold", "Did you mean --columns?"),
        ("info m.refold n.refold", "too many arguments: n.refold"),
        ("info --jsn", "Unknown option: --jsn. Did you mean --json?"),
        (f"{FIT} --seed 4294967296", "--seed"),
        (f"{FIT} --seed -1", "--seed"),
        (f"{FIT} --columns a,,b", "--columns has an empty name"),
        (f"{FIT} --column-types a=binary,b", "--column-types must name a column for every type"),
        (f"{FIT} --missing 1,x", "--missing must be numbers, such as -99999,1e20. Got '1,x'"),
        ("fit a.txt -o m.refold --unit lines", "--unit must be 'characters' or 'words'"),
        (f"{FIT} --latent-dim 0", "--latent-dim must be a positive integer"),
        (f"{FIT} --architecture tower", "--architecture must be one of"),
        (f"{FIT} --scale big", "--scale must be one of"),
        (f"{FIT} --validation-fraction 1.5", "--validation-fraction must be"),
        (f"{FIT} --max-epochs -1", "--max-epochs must be a positive integer"),
        (f"{FIT} --calibration-fraction 1", "--calibration-fraction must be a number"),
        ("fit two.csv -o - --resume", "--resume needs -o. Add -o FILE."),
        ("doctor new.parquet --units 0", "--units must be a positive integer. Got 0."),
        ("data moving-zeros", "no data set 'moving-zeros'"),
        ("data moving-ones -n 0", "must be a positive integer. Got 0"),
        ("data -o a.csv", "Name a data set to write: moving-ones"),
        ("data ramps --labels l.csv -o r.csv", "ramps has no labels"),
        ("data ramps --format xlsx", "one of parquet, csv, tsv"),
        # inputs
        ("fit a.csv -o m.refold", "no file a.csv"),
        ("fit a.doc -o m.refold", "unknown suffix '.doc'"),
        ("fit - -o m.refold", "Add --format parquet|csv|"),
        ("encode - -", "Only one input can be standard input. Name a file for the other"),
        ("info m.refold", "m.refold"),
        ("info fake.refold", "fake.refold"),
        ("info cut.refold", "cut.refold"),
        (f"{ENCODE} no.log --format csv", "no.log"),
        (f"{ENCODE} long.log --format csv", "long.log"),
        (f"{ENCODE} two.csv", "2 features"),
        (f"{ENCODE} wide.csv", "pass --layout wide."),
        (f"{ENCODE} both.csv", "line 2, column 'x0'"),
        (f"{ENCODE} cut.csv.gz", "gzip file, cut short"),
        (f"{ENCODE} cut.json", "cut.json, line 1 is not JSON"),
        (f"{ENCODE} mixed.jsonl", "line 2, 'x0': expected int"),
        ("doctor nowhere.csv", "There is no file nowhere.csv."),
        ("doctor new.parquet --format csv", "is not a csv file"),
        ("info s3://bucket/x", "s3://bucket/x is an address. Name a file of this machine."),
        ("doctor s3://bucket/x", "Error: s3://bucket/x is an address."),
        ("fit s3://bucket/x -o m.refold", "Error: s3://bucket/x is an address."),
        ("fit two.csv -o s3://bucket/x", "Error: s3://bucket/x is an address."),
        ("stream bare.refold s3://bucket/x", "Error: s3://bucket/x is an address."),
        # outputs
        ("fit a.csv -o m.keras", "'m.keras' must end in .refold"),
        ("fit a.csv -o x/m.refold", "no folder 'x'. Create it first"),
        (f"{ENCODE} a.csv -o c.txt", "'c.txt' must end in .parquet, .csv, .jsonl, .npy or .npz"),
        (f"{ENCODE} a.csv -o c.csv.gz", "must end in .parquet, .csv"),
        (f"{ENCODE} a.csv -o c", "must end in .parquet, .csv"),
        (f"{ENCODE} a.csv -o folder.csv", "is a folder. Name a file."),
        (f"{ENCODE} a.csv -o two.csv/a.csv", "there is no folder"),
        (f"{ENCODE} a.csv -o a.csv", "'a.csv' would overwrite an input"),
        (f"{DETECT} -o b.csv --steps b.csv", "would overwrite another output"),
        (f"{DETECT} -o c.csv --normal c.csv", "overwrite an input"),
        ("generate sines.refold --compare a.csv -o a.csv", "overwrite an input"),
        ("data japanese-vowels -o v.csv --labels ./v.csv", "another output"),
        ("demo -o /dev/null", "'/dev/null' is a file. Name a folder."),
        (f"{ENCODE} new.parquet --dtype int8", "--dtype must be 'float32' or 'float16'"),
        (f"{ENCODE} new.parquet --dtype float16", ".parquet, .npy or .npz. Got .jsonl"),
        ("fit two.csv -o run.refold", "'run.refold.checkpoint' of an interrupted training run"),
        # codes and lengths
        ("decode bare.refold wide.npy -o b.npz", "shape (n_sequences, 4)"),
        (f"{DECODE} 1,2,3", "--lengths must have one entry per code, shape (2,). Got (3,)."),
        (f"{DECODE} -1", "--lengths must be integers of at least 0"),
        (f"{DECODE} a", "--lengths must be comma-separated integers or a file"),
        (f"{DECODE} codes.npy", "integers or a file with one per line. Got 'codes.npy'"),
        (f"{DECODE} {'3,' * 300}x", "integers or a file"),
        # search
        ("index bare.refold -o x", "Give DATA to add, or ids with --remove"),
        ("index bare.refold - -o x --metadata a", "Standard input and output cannot be"),
        ("index bare.refold -o x --remove 3", "There is no index 'x'"),
        ("cluster bare.refold", "Give DATA or --index"),
        (
            "cluster bare.refold train.parquet -n 99",
            "--num-clusters must be an integer from 1 to 80",
        ),
        ("search bare.refold x", "Give DATA, --like ids or --codes"),
        (f"{SEARCH} x --like 1", "There is no index 'x'"),
        (f"{SEARCH} s.index --like 1,", "--like has an empty id"),
        (f"{SEARCH} s.index --like 1 --where who<2=", "--where is not valid at character"),
        (f"{SEARCH} s3://a/x --like 1", "An index lives on a local disk"),
        # forecasts
        ("forecast bare.refold new.parquet", "not to forecast. Fit one with --forecast-steps 10"),
        (f"{FORECAST} --steps 5", "--steps must be an integer from 1 to 4. Got 5."),
        (f"{FORECAST} --alpha 0.1", "Got 0. Fit with --calibration-fraction 0.2, give more with"),
        (f"{FORECAST} --season 3", "--season needs --evaluate"),
        (f"{FORECAST} --json", "--json needs --evaluate"),
        (f"{FORECAST} --evaluate --alpha 0.1", "--alpha cannot be used with --evaluate, which"),
        (f"{FORECAST} --context 0", "--context must be a positive integer"),
        # anomalies and new sequences
        ("detect bare.refold new.parquet", "give more with --normal DATA"),
        (DETECT, "--alpha 0.01 needs at least 99 calibration sequences"),
        (f"{DETECT} --alpha 2", "--alpha must be a rate"),
        (f"{DETECT} --stride 3", "Add --window N"),
        (f"{DETECT} --window 99", "fewer than the 99 of a"),
        (f"{DETECT} -o anomalies.png", "must end in .jsonl, .csv or .parquet"),
        (f"{DETECT} --picture anomalies.csv", "must end in .png"),
        (f"{DETECT} --steps -", "--steps cannot be standard output"),
        ("detect sines.refold none.npz --picture p.png", "no sequence to draw with --picture"),
        ("generate sines.refold --temperature -1", "--temperature must be a number"),
        ("generate sines.refold --components 99", "must be an integer from 1 to"),
        ("generate sines.refold -n -2", "Must be >= 1"),
        ("generate sines.refold -n 3 --compare new.parquet", "at least -n 5"),
        (
            "fit train.parquet -o x.refold --window 10 --calibration-fraction 0.3",
            "Overlapping windows share steps",
        ),
        # labels and pages
        (f"{PROBE} --label id", "The label column 'id' is the id column"),
        (f"{PROBE} --label same", "There is only one label: 1"),
        (f"{PROBE} --label age", "no column 'age'"),
        (f"{PROBE} --label kind --folds 1", "--folds"),
        (PROBE, "option --label is missing"),
        ("probe bare.refold - --label kind", "Standard input and output cannot be used"),
        ("probe bare.refold deep.jsonl --label kind", "deep.jsonl"),
        ("probe bare.refold quoted.csv --label kind", "quoted.csv"),
        ("probe bare.refold cases.ts --label kind", "cases.ts has no column 'kind'. It has label."),
        ("report level.refold other.parquet -o p.html", "level"),
        ("report bare.refold header.csv -o p.html", "no rows"),
        (f"{REPORT} -o p.html --labels who.csv", "--labels needs --label. Add --label NAME."),
        (f"{REPORT} -o p.html --train gone.parquet", "gone.parquet"),
        (f"{REPORT} -o p.html --max-sequences 0", "--max-sequences"),
        ("report bare.refold - --train - -o p.html", "Name files for the others"),
        (f"{REPORT} -o page.pdf", "must end in .html"),
        (f"{REPORT} -o -", "--output cannot be standard output. Name a file."),
        (f"{EXPLORE} page.txt", "must end in .html"),
        (f"{EXPLORE} -", "--export cannot be standard output. Name a file."),
        (f"{EXPLORE} p.html --max-sequences 0", "for --max-sequences"),
        ("explore bare.refold -", "refold explore needs named files"),
        # curves and graphs
        (f"{CURVE} --sizes 2,x", "--sizes must be comma-separated integers, such as 2,4,8. Got"),
        (f"{CURVE} --sizes 0,2", "--sizes must be a positive integer. Got 0."),
        (f"{CURVE} -o curve.jpeg", "must end in .png or .svg"),
        (f"{CURVE} --validation-fraction 0", "holds nothing out"),
        (f"{CURVE} --time-budget -1", "--time-budget must be a positive number of seconds"),
        ("export bare.refold -o m.txt", "must end in .onnx"),
        ("export bare.refold -o m.onnx --opset 12", "--opset must be an integer from 18"),
    ],
)
def test_a_mistake_is_one_line(mistake, command, message):
    line = mistake(command)
    assert message in line, line


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("empty.csv", ["empty.csv"]),
        ("header.csv", ["header.csv", "no rows"]),
        ("noid.csv", ["no column 'id'", "Name one with --id", "who, x"]),
        ("noid.csv --id whom", ["no id column 'whom'", "who, x"]),
        ("noid.csv --id who --columns z", ["no column 'z'"]),
        ("text.csv --column-types numeric", ["many", "'x'"]),
        ("infinite.csv", ["inf", "'x'"]),
        ("unsorted.csv", ["unsorted.csv", "Id 1", "line 3", "'time'", "--sort"]),
        ("repeated.csv", ["repeated.csv", "time"]),
        ("missing.csv", ["'y'"]),
        ("one.csv", ["sequence"]),
        ("cut.jsonl", ["cut.jsonl", "line 2"]),
        ("none.jsonl", ["none.jsonl"]),
        ("ragged.jsonl", ["ragged.jsonl"]),
        ("fake.parquet", ["fake.parquet is not a parquet file"]),
        ("fake.npz", ["fake.npz is not an npz file"]),
        ("hollow.jsonl --architecture repeat", ["length 0", "use --architecture default"]),
    ],
)
def test_data_that_cannot_be_fitted(mistake, name, words):
    line = mistake(f"fit {name} -o m.refold --max-epochs 1")
    assert all(word in line for word in words), line


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="needs /proc")
def test_a_folder_that_cannot_be_written(mistake):
    assert "is not writable" in mistake(f"{ENCODE} no.csv -o /proc/self/a.csv")


@pytest.mark.parametrize("options", ["", " --id who"])
def test_the_id_column_is_no_label(mistake, folder, options):
    labelled = pq.read_table(folder / "labelled.parquet").select(["id", "x0"])
    if not (folder / "who.parquet").exists():
        pq.write_table(labelled.rename_columns(["who", "x0"]), folder / "who.parquet")
    line = mistake(f"probe who.refold who.parquet --label who{options}")
    assert line == "Error: The label column 'who' is the id column. Choose another one."


def test_a_missing_package_is_named_before_the_work(mistake, monkeypatch):
    monkeypatch.setitem(sys.modules, "plotly", None)
    assert "pip install '.[plots]'" in mistake("report bare.refold gone.parquet -o page.html")
