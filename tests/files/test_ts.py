""".ts files are read as by aeon, and errors name the line."""

import io
from pathlib import Path

import aeon.datasets
import numpy as np
import pytest
from aeon.datasets import load_from_ts_file

from refold.errors import DataError, RefoldError, SchemaError
from refold.sequences import Sequences, read, read_labels, write

FOLDER = Path(aeon.datasets.__file__).parent / "data"
FILES = [
    "ItalyPowerDemand/ItalyPowerDemand_TRAIN.ts",
    "JapaneseVowels/JapaneseVowels_TRAIN.ts",
    "UnitTest/UnitTestTimeStamps_TRAIN.ts",
]
nan = np.nan


def read_ts(text, **options):
    data = text.encode() if isinstance(text, str) else text
    return read(io.BytesIO(data), format="ts", **options)


def assert_same_values(sequences, X):
    assert len(X) == len(sequences)
    for case, values in zip(X, sequences, strict=True):
        np.testing.assert_array_equal(values.reshape(len(values), -1), case.T)


@pytest.mark.parametrize("name", FILES)
def test_files_are_read_as_by_aeon(name):
    X, y = load_from_ts_file(str(FOLDER / name))
    sequences = read(FOLDER / name)
    assert_same_values(sequences, X)
    assert_same_values(Sequences.from_aeon(X), X)
    labels = read_labels(FOLDER / name, "label", sequences)
    if y.dtype.kind == "f":
        np.testing.assert_array_equal(labels.astype(float), y)
    else:
        assert [str(label).lower() for label in labels] == y.tolist()


def test_missing_values_and_unequal_lengths(tmp_path):
    path = tmp_path / "gaps.ts"
    text = (
        "\ufeff# a comment\r\n%another\r\n\r\n@TIMESTAMPS FALSE\r\n@missing true\r\n"
        "@univariate false\r\n@dimension 2\r\n@equalLength false\r\n@classLabel true Up down\r\n"
        "@data\r\n 1, ?,3 : 4,NaN,? : Up\r\n\r\n# between\r\n?:?:?\r\n5e-1,-2:.5,+3:down\r\n"
    )
    path.write_text(text, encoding="utf-8")
    sequences = read(path)
    assert sequences.lengths.tolist() == [3, 1, 2]
    expected = [[1, 4], [nan, nan], [3, nan], [nan, nan], [0.5, 0.5], [-2, 3]]
    np.testing.assert_array_equal(sequences.values, expected)
    assert read_labels(path, "label", sequences[[0, 2]]).tolist() == ["Up", "down"]
    with pytest.raises(DataError, match=r"gaps\.ts has no 'label' for the sequence with id 1\."):
        read_labels(path, "label", sequences)


def test_layouts_types_empty_sequences_and_times():
    series = read_ts("@classLabel false\n@data\n1,0,1\n0\n")
    assert (series.schema.layout, series.schema.columns[0].type) == ("series", "binary")
    assert read_ts("@classLabel true a b\n@data\n1:2:a\n::b\n").lengths.tolist() == [1, 0]
    # times are left out
    lines = "(0, 1.5),(10,?) : (0,3),(10,4):0.5\n(2001-01-01 10:00:00,5):(2,6):?"
    stamped = read_ts("@timeStamps true\n@targetLabel true\n@data\n" + lines)
    np.testing.assert_array_equal(stamped.values, [[1.5, 3], [nan, 4], [5, 6]])
    assert stamped.lengths.tolist() == [2, 1]


@pytest.mark.parametrize(("text", "labels"), [("-2", [-2, 1]), ("007", ["007", "1"])])
def test_labels_are_integers_if_all_are(tmp_path, text, labels):
    path = tmp_path / "labels.ts"
    path.write_text(f"@classLabel true\n@data\n1:{text}\n2:1\n")
    assert read_labels(path, "label", read(path)).tolist() == labels
    with pytest.raises(SchemaError, match=r"labels\.ts has no column 'who'\. It has 'label'\."):
        read_labels(path, "who", read(path))


NO_LABELS = "@classLabel false\n@data\n"
WITH_LABELS = "@problemName two\n@timeStamps false\n@classLabel true a b\n@data\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("@classLabel false\n1,2\n", "line 2: '1,2' is not a tag. Expected one of @problemname"),
        ("@classLabel false\n", "needs a line with @classLabel .* then a line @data"),
        (NO_LABELS + "\n# end\n", "at least one"),
        (WITH_LABELS + "1:a\n1:2:b\n", "line 6 has 2 dimensions, but the first case has 1"),
        (WITH_LABELS + "1,2:3:a\n", "line 5, dimension 1 has 1 values, but dimension 0 has 2"),
        (WITH_LABELS + "1,1_0:a\n", "line 5, dimension 0, value 1 is '1_0'. Expected a number"),
        (WITH_LABELS + "1:a\n1:c\n", "line 6 has the label 'c', but @classLabel lists 'a', 'b'"),
        ("@targetLabel true\n@data\n0.5,0.\n", "line 3 is '0.5,0.'.* the label, .*cut short"),
        ("@timeStamps true\n" + NO_LABELS + "(1,2\n", r"line 4, dimension 0, value 0 is '\(1'"),
        (WITH_LABELS + "1,inf:a\n", "Got an infinite value at line 5, step 1, column 'x0'"),
        (WITH_LABELS + "1:a\n\0", "is not a ts file: it holds zero bytes"),
    ],
)
def test_wrong_lines_are_named(text, message):
    with pytest.raises(RefoldError, match=rf"^The stream.*{message}"):
        read_ts(text)


@pytest.mark.parametrize(("dtype", "features", "equal"), [("f4", 1, True), ("f8", 3, False)])
def test_written_files_are_read(tmp_path, dtype, features, equal):
    rng = np.random.default_rng(0)
    cases = [rng.normal(size=(5 if equal else 3 + i, features)).astype(dtype) for i in range(4)]
    cases[1][2, 0] = nan
    write(cases, tmp_path / "back.ts")
    loaded = read(tmp_path / "back.ts")
    np.testing.assert_array_equal(loaded.values.astype(dtype), np.concatenate(cases))
    X, _ = load_from_ts_file(str(tmp_path / "back.ts"))
    assert_same_values(loaded, X)
    assert isinstance(X, list) != equal
