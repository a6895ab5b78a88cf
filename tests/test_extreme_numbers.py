"""Numbers that float32 cannot hold get one line with their place, in Python and on the command."""

import json
import re

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from refold.cli import main
from refold.errors import DataError
from refold.sequences import Sequences, write
from small_data import mapped, overflowing, ragged, untrained

pytestmark = pytest.mark.filterwarnings("ignore:.* far outside of the training data")


@pytest.fixture(scope="module")
def ae():
    return untrained(ragged(60), forecast_steps=2, calibration_fraction=0.4)


@pytest.fixture(scope="module")
def model(ae, tmp_path_factory):
    path = tmp_path_factory.mktemp("extreme") / "pairs.refold"
    ae.save(path)
    return path


def with_value(value):
    given = ragged(3)
    given[1][2, 1] = value
    return given


METHODS = ["transform", "reconstruct", "detect", "forecast", "drift", "calibrate", "partial_fit"]


@pytest.mark.parametrize("method", [*METHODS, "fit"])
def test_values_beyond_float32_are_refused_with_their_place(ae, method):
    options = {"alpha": 0.2} if method == "detect" else {}
    for data, value in (
        (with_value(1e39), 1e39),
        ([one.tolist() for one in with_value(-1e300)], -1e300),
        (Sequences.from_list(with_value(1e39)), 1e39),
    ):
        place = f"Got {value:g} at sequence 1, step 2, column 'x1'. Expected finite numbers"
        with pytest.raises(DataError, match=re.escape(place)) as error:
            getattr(ae, method)(data, **options)
        assert "\n" not in str(error.value)


def test_values_that_overflow_when_they_are_scaled_are_refused_with_their_place():
    ae = untrained([0.01 * one for one in ragged(30)])
    with pytest.raises(DataError, match=r"Got 3e\+38 at sequence 1, step 2, column 'x1'"):
        ae.transform(with_value(3e38))
    assert np.isfinite(ae.transform(with_value(1e36))).all()


def test_a_marker_of_missing_values_may_be_beyond_float32():
    ae = untrained(with_value(1e308) * 10, missing_values=1e308)
    expected = ae.transform(with_value(np.nan))
    np.testing.assert_array_equal(ae.transform(with_value(1e308)), expected)
    with pytest.raises(DataError, match=r"Got 1e\+300 at"):
        ae.transform(with_value(1e300))


def test_files_larger_than_memory(tmp_path, ae):
    write(with_value(1e308), tmp_path / "x.parquet")
    for method in (ae.transform, ae.fit):
        with pytest.raises(DataError, match=r"Got 1e\+308 at sequence 1, step 2, column 'x1'"):
            method(mapped(tmp_path / "x.parquet", block_bytes=1 << 20))


def test_what_transform_gives_decodes_also_for_data_in_other_units(ae):
    given = [1000 * one for one in ragged(5)]
    with pytest.warns(UserWarning, match="more than 1000 standard deviations .* in row 0, dim"):
        decoded = ae.inverse_transform(ae.transform(given), [len(one) for one in given])
    for one, other in zip(decoded, ae.reconstruct(given), strict=True):
        np.testing.assert_allclose(one[: len(other)], other[: len(one)], rtol=1e-5)
    near = ae.transform(ragged(60))
    center, unit = near.mean(axis=0), near.std(axis=0)
    ae.inverse_transform([center + 700 * unit])  # without a warning


def test_decoding_that_overflows_is_an_error(ae):
    far = [3e38, 3e38, -3e38]
    for method, data, message in (
        (
            ae.inverse_transform,
            [[0, 0, 0], [0, 0, 1e39]],
            "of sequence 1 is not, in dimension 2",
        ),
        (ae.inverse_transform, [far], "overflows float32"),
        (ae.features, [[0, 0, 0], far], "The code of sequence 1 overflows float32"),
        (ae.reconstruct, [overflowing(ae)], "overflows float32"),
    ):
        with pytest.raises(DataError, match=message):
            method(data)
    levels = untrained([10.0**i * np.sin(np.arange(9.0) + i) for i in range(8)], scale="sequence")
    width = len(levels.get_feature_names_out())
    with pytest.raises(DataError, match="overflows float32 at sequence 0, step 0"):
        levels.decode(np.eye(width)[-1:] * 1e4)


@pytest.mark.parametrize(
    ("command", "value", "form"),
    [
        ("encode", 1e39, "csv"),
        ("detect", 1e39, "jsonl"),
        ("forecast", 1e308, "parquet"),
        ("reconstruct", None, "csv"),  # overflows on the way
    ],
)
def test_the_command_writes_no_file(ae, model, tmp_path, capsys, command, value, form):
    given = with_value(5.0)
    given[1] = np.array(overflowing(ae)) if value is None else np.full((6, 2), value)
    columns = {f"x{i}": [one[:, i].tolist() for one in given] for i in range(2)}
    data, out = tmp_path / f"data.{form}", tmp_path / "out.jsonl"
    if form == "parquet":
        pq.write_table(pa.table(columns), data)
    elif form == "jsonl":
        data.write_text("".join(f"{json.dumps(one.tolist())}\n" for one in given))
    else:
        lines = (f"{i},{row[0]},{row[1]}" for i, one in enumerate(given) for row in one.tolist())
        data.write_text("\n".join(["id,x0,x1", *lines]))
    options = ["--alpha", "0.2"] if command == "detect" else []
    assert main([command, str(model), str(data), "-o", str(out), *options]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert_one_error(printed.err)
    assert sorted(tmp_path.iterdir()) == [data]


@pytest.mark.parametrize("out", ["out.parquet", "-"])
def test_decode_writes_no_file(model, tmp_path, capsys, out):
    codes = tmp_path / "codes.jsonl"
    codes.write_text('{"id": 0, "code": [0, 0, 0]}\n{"id": 1, "code": [3e38, -3e38, 3e38]}\n')
    output = out if out == "-" else str(tmp_path / out)
    assert main(["decode", str(model), str(codes), "-o", output]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert_one_error(printed.err)
    assert list(tmp_path.iterdir()) == [codes]


def assert_one_error(text):
    """Check that the last line is an error with a place, after nothing but warnings."""
    *warned, line = text.splitlines()
    assert all(one.startswith("Warning: ") for one in warned), text
    assert line.startswith("Error: ")
    assert "sequence 1" in line
    assert "float32" in line
