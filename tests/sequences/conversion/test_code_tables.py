"""Codes in tables of other tools, and back with the same bits."""

import copy

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import refold
from refold.errors import DataError, ParameterError, SchemaError
from refold.sequences import CodeGrid, codes_from_arrow, codes_to_arrow

CODES = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
IDS = np.array(["a", "b", "c", "d", "é"])


TOOLS = {
    "arrow": lambda table: table,
    "pandas": lambda table: table.to_pandas(),
    "pandas by id": lambda table: table.to_pandas().set_index("id"),
    "polars": pl.from_arrow,
    "duckdb": lambda table: duckdb.from_arrow(table),
    "chunks": lambda table: pa.concat_tables([table[:2], table[2:]]),
    "dict": lambda table: {"id": IDS, "code": CODES.tolist()},
}


@pytest.mark.parametrize("tool", TOOLS)
def test_codes_are_read_with_the_same_bits(tool):
    codes, ids = codes_from_arrow(TOOLS[tool](codes_to_arrow(CODES, IDS)))
    assert codes.dtype == np.float32
    np.testing.assert_array_equal(codes, CODES)
    assert ids.tolist() == IDS.tolist()


def test_the_types_are_vectors_in_other_tools():
    table = codes_to_arrow(CODES)
    assert table["id"].to_pylist() == [0, 1, 2, 3, 4]
    assert duckdb.from_arrow(table).types == ["BIGINT", "FLOAT[3]"]
    assert pl.from_arrow(table).schema["code"] == pl.Array(pl.Float32, 3)
    assert isinstance(table.to_pandas()["code"][0], np.ndarray)


def test_duckdb_finds_neighbors():
    codes = codes_to_arrow(CODES, IDS)
    found = duckdb.sql(
        "select b.id from codes a, codes b where a.id = 'c' "
        "order by array_distance(a.code, b.code) limit 2"
    ).fetchall()
    distances = np.linalg.norm(CODES - CODES[2], axis=1)
    assert codes.num_rows == 5
    assert [row[0] for row in found] == IDS[np.argsort(distances)[:2]].tolist()


@pytest.fixture(scope="module")
def models():
    """Return two models whose codes have the same width."""
    options = {"units": 4, "latent_steps": 0, "max_epochs": 1, "calibration_fraction": 0.5}
    sines = [refold.datasets.noisy_sines(30, seed=seed, max_steps=30) for seed in (0, 1)]
    return [refold.SequenceAutoencoder(3, **options, random_state=0).fit(one) for one in sines]


def test_codes_of_another_model_are_refused(models, tmp_path):
    own, other = models
    new = refold.datasets.noisy_sines(5, seed=2, max_steps=30)
    table = codes_to_arrow(own.transform(new), IDS, model=own)
    pq.write_table(table, tmp_path / "codes.parquet")
    stored = pq.read_table(tmp_path / "codes.parquet")
    codes, _ = codes_from_arrow(stored, model=own)
    assert len(own.decode(codes)) == 5
    both = f"hash {own.model_hash_[:12]}, and this model has {other.model_hash_[:12]}"
    with pytest.raises(DataError, match=both):
        codes_from_arrow(stored, model=other)
    with pytest.warns(UserWarning, match="does not tell the model of its codes") as told:
        codes_from_arrow(pl.from_arrow(stored), model=other)
    assert len(told) == 1
    codes_from_arrow(stored)


def test_a_pandas_frame_of_codes_is_one_of_its_model(models):
    own, other = (copy.copy(model).set_output(transform="pandas") for model in models)
    frame = own.transform(refold.datasets.noisy_sines(5, seed=2, max_steps=30))
    assert len(own.decode(frame[:3])) == 3
    for use in (other.decode, other.features, other.code_drift):
        with pytest.raises(DataError, match="holds codes of another model"):
            use(frame)
    assert len(other.decode(frame.to_numpy())) == 5  # plain arrays tell nothing


def test_the_hash_depends_on_training_and_not_on_calibration(models, tmp_path):
    model = copy.deepcopy(models[0])
    before = model.model_hash_
    assert model.calibrate(refold.datasets.noisy_sines(9, seed=3, max_steps=30))
    model.save(tmp_path / "m.refold")
    assert model.model_hash_ == refold.load(tmp_path / "m.refold").model_hash_ == before
    model.partial_fit(refold.datasets.noisy_sines(9, seed=3, max_steps=30))
    assert model.model_hash_ != before


def test_other_names_no_ids_and_no_rows():
    table = pa.table({"vector": [[1, 2], [3, 4]], "who": [7, 8]})
    codes, ids = codes_from_arrow(table, id="who", code="vector")
    assert codes.tolist() == [[1.0, 2.0], [3.0, 4.0]]
    assert ids.tolist() == [7, 8]
    assert codes_from_arrow(table, code="vector")[1].tolist() == [0, 1]
    assert codes_from_arrow(codes_to_arrow(np.zeros((0, 3))))[0].shape == (0, 3)


@pytest.mark.parametrize(
    ("table", "error", "message"),
    [
        (
            {"code": [[1.0], [1.0, 2.0]]},
            DataError,
            r"of row 1 has 2 entries, but that of row 0 has 1",
        ),
        ({"code": [[1.0], None]}, DataError, r"^Row 1 has no code in column 'code'"),
        ({"code": [[1.0, 2.0], [1.0, None]]}, DataError, r"^The code of row 1 has a missing"),
        ({"code": ["a"]}, SchemaError, r"'code' holds string. Expected lists of numbers"),
        ({"code": [["a"]]}, SchemaError, r"holds list<.*string>. Expected lists of numbers"),
        ({"code": [[1.0], "a"]}, SchemaError, r"holds lists and something else"),
        ({"x": [1]}, SchemaError, r"no column 'code'.* Its columns are 'x'"),
        (pd.DataFrame({"id": [None], "code": [[1.0]]}), DataError, r"^Sequence 0 has no id"),
        (3, DataError, r"Expected a pandas, polars or Arrow table"),
    ],
)
def test_tables_without_codes_are_refused(table, error, message):
    with pytest.raises(error, match=message):
        codes_from_arrow(table)


@pytest.mark.parametrize(
    ("codes", "ids", "message"),
    [
        ([1.0, 2.0], None, r"must have shape \(n_sequences, width\).* Got \(2,\)"),
        ([[1.0], [1.0, 2.0]], None, "must be an array of numbers"),
        (np.zeros((2, 0)), None, r"Got \(2, 0\)"),
        ([[1.0]], [1, 2], r"one entry per sequence, shape \(1,\)"),
    ],
)
def test_bad_arrays_of_codes_are_refused(codes, ids, message):
    with pytest.raises(DataError, match=message):
        codes_to_arrow(codes, ids)


def test_int8_codes_are_close_and_an_outlier_hardly_affects_the_others():
    codes = np.random.default_rng(1).normal(2, 0.01, size=(500, 4)).astype(np.float32)
    for outlier, error in ((2.0, 0.015), (50.0, 0.04)):
        codes[0] = outlier
        back, _ = codes_from_arrow(codes_to_arrow(codes, dtype="int8"))
        np.testing.assert_allclose(back[0], codes[0], rtol=0.02)
        assert (back[1:] - codes[1:]).std() < error * 0.01


def test_a_grid_covers_constants_zeros_and_rare_values():
    rare = np.zeros((100, 3), np.float32)
    rare[:, 0] = 7.5
    rare[::20, 2] = -3.0
    grid = CodeGrid.fit(rare)
    np.testing.assert_allclose(grid.dequantize(grid.quantize(rare)), rare, atol=0.02)
    assert (grid.dequantize(grid.quantize(rare))[:, :2] == rare[:, :2]).all()
    read = CodeGrid.from_json(grid.to_json(), 3)
    assert [part.tolist() for part in read] == [part.tolist() for part in grid]


def test_tables_with_one_grid_can_be_concatenated():
    grid = CodeGrid.fit(CODES)
    parts = [codes_to_arrow(part, dtype="int8", grid=grid) for part in (CODES[:2], CODES[2:])]
    codes, _ = codes_from_arrow(pa.concat_tables(parts))
    np.testing.assert_array_equal(codes, grid.dequantize(grid.quantize(CODES)))


def test_float16_survives_other_tools_and_int8_without_its_grid_is_refused():
    half = CODES.astype(np.float16).astype(np.float32)
    table = codes_to_arrow(CODES, dtype="float16")
    for tool in (lambda table: table, lambda table: table.to_pandas()):
        np.testing.assert_array_equal(codes_from_arrow(tool(table))[0], half)
    with pytest.raises(SchemaError, match="'code' holds int8 without its grid"):
        codes_from_arrow(pl.from_arrow(codes_to_arrow(CODES, dtype="int8")))
    damaged = pa.field("code", pa.list_(pa.int8()), metadata={"refold.grid": "{"})
    with pytest.raises(DataError, match="The grid of the int8 codes is damaged"):
        codes_from_arrow(pa.table([[[1]]], pa.schema([damaged])))


def test_other_dtypes_are_refused():
    with pytest.raises(ParameterError, match=r"dtype must be one of .* Got 'int4'"):
        codes_to_arrow(CODES, dtype="int4")
    with pytest.raises(DataError, match="row 0 has a value that is too large for float16"):
        codes_to_arrow([[1e6]], dtype="float16")


def test_exact_dimensions_have_16_bits():
    rng = np.random.default_rng(0)
    lengths = rng.integers(0, 3000, 500)
    codes = rng.normal(size=(500, 3)).astype(np.float32)
    codes[:, 1] = (np.log1p(lengths) - 7) / 0.5
    grid = CodeGrid.fit(codes, exact=[1])
    table = codes_to_arrow(codes, dtype="int8", grid=grid)
    assert str(table.schema.field("code").type) == "fixed_size_list<item: int8>[4]"
    back, _ = codes_from_arrow(table)
    assert np.rint(np.expm1(back[:, 1] * 0.5 + 7)).tolist() == lengths.tolist()
    coarse, _ = codes_from_arrow(codes_to_arrow(codes, dtype="int8"))
    np.testing.assert_array_equal(back[:, [0, 2]], coarse[:, [0, 2]])
    assert (np.rint(np.expm1(coarse[:, 1] * 0.5 + 7)) != lengths).mean() > 0.5
    for constant in (np.zeros((4, 2)), np.zeros((0, 2))):
        grid = CodeGrid.fit(constant, exact=[0])
        assert (grid.dequantize(grid.quantize(constant)) == constant).all()
