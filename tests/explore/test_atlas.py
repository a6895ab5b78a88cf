"""The computations of the explorer's server, without a browser."""

import copy
import re
import sys
import tempfile

import httpx
import numpy as np
import pytest

from refold.errors import (
    DataError,
    MissingExtraError,
    MissingFileError,
    ParameterError,
    RefoldError,
)
from refold.explore import Atlas, _groups, exploring
from refold.explore._decoding import worst_values
from refold.explore._fields import ColorField, field_of
from refold.explore._groups import cluster_field, label_field, label_table, normal_field
from refold.explore._maps import FlatMap, NeighborMap, effects
from refold.explore._pasted import MAX_SEQUENCES, read_pasted
from refold.explore._routes import PAGE
from refold.explore._umap import UmapJob, umap_places
from refold.sequences import Sequences


def test_places_decode_like_their_codes(atlas):
    found = atlas.unfold(at=atlas.places[3], row=3)
    np.testing.assert_allclose(found["code"], atlas.codes[3], rtol=1e-4, atol=1e-5)
    assert found["nearest"] == 3
    same = atlas.unfold(code=atlas.codes[3])
    assert same["back"] == found["back"] or same["length"] == found["length"]
    np.testing.assert_allclose(same["at"], atlas.places[3], atol=1e-4)


def test_a_code_decodes_as_the_model_does(atlas):
    code = atlas.codes[7]
    expected = atlas.model.decode(code[None])[0]
    found = atlas.unfold(code=code)
    assert found["length"] == len(expected)
    np.testing.assert_array_equal(np.array(found["back"][0], float), expected[:, 0].astype(float))
    assert found["back"][1] == expected[:, 1].tolist()


def test_only_places_away_from_the_data_are_far(atlas):
    assert atlas.unfold(at=[9.0, 9.0])["far"]
    assert not atlas.unfold(at=atlas.places[0])["far"]
    assert atlas.unfold(code=atlas.codes[0] + 50)["far"]
    assert not atlas.unfold(code=atlas.codes[0])["far"]


def test_errors_are_those_of_the_reconstruction(atlas, data):
    field = atlas.field("error")
    values = field.values(wait=20)
    shown = atlas.show(4)
    assert shown["error"] == pytest.approx(float(values[4]), rel=1e-5)
    assert len(shown["errors"]) == data.lengths[4] == shown["length"]
    wrong = [a != b for a, b in zip(shown["values"][1], shown["back"][1], strict=True)]
    unit = atlas.model.error_scaler.scale_[0]
    numbers = (np.subtract(*(np.array(shown[name][0]) for name in ("values", "back"))) / unit) ** 2
    np.testing.assert_allclose(shown["errors"], (numbers + wrong) / 2, rtol=1e-4)


def test_the_largest_errors_have_their_share_of_the_sum():
    worst = worst_values(np.array([[0.0, 1.0], [3.0, np.nan]]), ["a", "b"])
    assert worst[0] == {"step": 1, "column": "a", "share": 0.75}
    assert len(worst) == 2


def test_a_dimension_counts_by_its_effect_on_the_sequence():
    codes = np.random.default_rng(0).normal(size=(50, 2))
    lengths = np.full(50, 10)
    found = effects(codes, lengths, lambda a, b: (((a - b) * [3.0, 1.0]) ** 2).sum(axis=1))
    np.testing.assert_allclose(found, [3.0, 1.0], rtol=1e-5)


def test_p_values_are_those_of_detect(atlas, data):
    values = atlas.field("anomaly p-value").values(wait=20)
    with pytest.warns(UserWarning, match="that the model was trained on"):
        found = atlas.model.detect(data, alpha=0.5)
    np.testing.assert_allclose(values, found.p_values, rtol=1e-6)
    assert atlas.show(2)["p_value"] == pytest.approx(float(values[2]))


def test_neighbors_are_the_nearest_weighted_codes(atlas):
    weighted = atlas.codes * atlas.projection.weights
    order = np.linalg.norm(weighted - weighted[9], axis=1).argsort()
    assert [one["row"] for one in atlas.show(9)["neighbors"]] == order[1:7].tolist()


def test_fields_of_metadata():
    assert field_of("n", [3, 1, 2]).categories == ["1", "2", "3"]
    assert field_of("n", ["10", "9", None]).categories == ["9", "10", "(none)"]
    assert field_of("x", np.r_[np.arange(30.0), np.nan]).categories is None
    assert field_of("b", [True, False]).text(0) == "1"


def test_the_nearest_places_are_those_of_a_full_comparison():
    rng = np.random.default_rng(0)
    places = np.concatenate([rng.normal(size=(900, 2)) * 0.01, rng.normal(size=(90, 2))])
    places = places.astype(np.float32)
    found = FlatMap(places)
    for place in [*places[::90], [0.5, -0.5], [9.0, 0.0], [-2.0, 2.5]]:
        distances = np.linalg.norm(places - place, axis=1)
        rows, near = found.nearest(place, 5)
        np.testing.assert_allclose(near, np.sort(distances)[:5], rtol=1e-5)
        np.testing.assert_allclose(distances[rows], near, rtol=1e-5)


def test_a_place_between_points_is_a_mean_of_their_codes(atlas):
    """On a map without a formula, points decode to their codes, and the codes are continuous."""
    flat = NeighborMap(np.ascontiguousarray(atlas.places[:, ::-1]), atlas.codes, atlas.similar)
    np.testing.assert_allclose(flat.code_at(flat.places[5]), atlas.codes[5], rtol=1e-4)
    np.testing.assert_allclose(flat.places_of(atlas.codes[[5]])[0], flat.places[5], atol=1e-4)
    way = [flat.code_at(place) for place in np.linspace(flat.places[5], flat.places[9], 2000)]
    assert np.abs(np.diff(way, axis=0)).max() < 0.2 * np.ptp(atlas.codes)
    assert (way <= atlas.codes.max(axis=0) + 1e-4).all()


def test_a_umap_map_says_what_is_missing(atlas, monkeypatch):
    with pytest.raises(ParameterError, match="There is no map 'tsne'"):
        atlas.map("tsne")
    with pytest.raises(ParameterError, match="at least 5 sequences"):
        UmapJob(np.zeros((4, 3), np.float32)).places()
    monkeypatch.setitem(sys.modules, "umap", None)
    with pytest.raises(MissingExtraError, match=r"'\.\[umap\]'"):
        UmapJob(np.zeros((9, 3), np.float32)).places()


@pytest.mark.slow
def test_umap_in_a_separate_process(atlas):
    pytest.importorskip("umap", reason="the extra umap is not installed")
    rng = np.random.default_rng(0)
    groups = np.repeat([0, 1], 30)
    vectors = (rng.normal(size=(60, 4)) + 20 * groups[:, None]).astype(np.float32)
    job = UmapJob(vectors)
    places = job.places(wait=900)
    job.stop()
    gap = np.abs(places[groups == 0].mean(axis=0) - places[groups == 1].mean(axis=0)).max()
    assert job.done == 1
    assert gap > 2 * places[groups == 0].std(axis=0).max()
    shares = []
    more = umap_places(vectors, lambda done, what: shares.append(done), most=40)
    assert more.shape == (60, 2)
    assert shares == sorted(shares)
    assert np.isfinite(more).all()


def test_clusters_of_a_sample_are_extended_to_all_codes(atlas, monkeypatch):
    monkeypatch.setattr(_groups, "MOST_CLUSTERED", 20)
    vectors = atlas.similar.vectors
    field = cluster_field(atlas.model, atlas.sequences, atlas.codes, vectors, 3)
    values = field.values(wait=30)
    assert field.categories == ["0", "1", "2"]
    assert field.note.startswith("k-means found 3 clusters in a sample of 20, and the others")
    rows = np.linspace(0, 47, 20).round().astype(int)
    for row in set(range(48)) - {*rows.tolist()}:
        closest = rows[np.linalg.norm(vectors[rows] - vectors[row], axis=1).argmin()]
        assert values[row] == values[closest]
    none = cluster_field(atlas.model, atlas.sequences[:6], atlas.codes[:6], vectors[:6], None)
    assert none.values(wait=30).tolist() == [0] * 6
    assert none.categories == ["noise"]
    assert "--num-clusters" in none.note


def test_other_clusters_replace_those_of_the_map(atlas):
    before = [field.name for field in atlas.fields]
    assert atlas.cluster(4).describe()["clusters"] == {"number": 4, "most": 48}
    assert len({*atlas.field("cluster").values(wait=30).tolist()}) == 4
    assert atlas.cluster(None).describe()["clusters"]["number"] is None
    assert [field.name for field in atlas.fields] == before
    for number in (0, 49, 2.5, "3", True):
        with pytest.raises(ParameterError, match="whole number from 1 to 48"):
            atlas.cluster(number)
    labeled = copy.copy(atlas)
    labeled.fields = [ColorField("cluster", np.zeros(48))]
    with pytest.raises(ParameterError, match="is a column of labels"):
        labeled.cluster(3)


def test_labels_become_a_column(data):
    field = label_field(None, " shape ", "flat", [1, 2], 48)
    field = label_field(field, "shape", "steep", [2, 3], 48)
    assert (field.name, field.categories) == ("shape", ["flat", "steep", "(none)"])
    table = label_table(field, data).to_pylist()[:5]
    assert [row["shape"] for row in table] == [None, "flat", "steep", "steep", None]
    assert table[1]["id"] == "s1"
    for name, value in (("", "a"), ("a", " "), ("a", 3), ("a" * 61, "a"), ("a", "(none)")):
        with pytest.raises(ParameterError, match=r"must have 1 to 60|without a label"):
            label_field(None, name, value, [1], 3)


def test_a_selection_is_the_normal_set(atlas, data):
    rows = list(range(0, 40, 2))
    field = normal_field(atlas.model, data, rows)
    values = field.values(wait=30)
    calibrated = atlas.model.calibrated_with(data[np.array(rows)])
    with pytest.warns(UserWarning, match="that the model was trained on"):
        found = calibrated.detect(data, alpha=0.5)
    np.testing.assert_allclose(values, found.p_values, rtol=1e-6)
    assert "was trained on some" in field.note
    assert atlas.model.calibration is not calibrated.calibration


def test_bad_arguments_are_refused(atlas, data, tmp_path):
    with pytest.raises(DataError, match="Got 2 codes for 48 sequences"):
        Atlas(atlas.model, data, codes=atlas.codes[:2])
    with pytest.raises(DataError, match="'site' has 2 values for 48"):
        Atlas(atlas.model, data, codes=atlas.codes, fields={"site": [1, 2]})
    assert field_of("note", [f"text {i}" for i in range(300)]) is None
    with pytest.raises(MissingFileError, match="There is no model file"), exploring("no", atlas):
        pass


@pytest.mark.parametrize(
    ("content", "name", "lengths"),
    [
        (b"[[1, 2, 3], [4]]", "", [3, 1]),
        (b'{"sequences": [[1, 2]]}', "", [2]),
        (b"[1, 2, null]", "", [3]),
        (b"[1, 2]\n[3]\n", "a.json", [2, 1]),
        (b"1,2,3\n4,5,\n", "", [3, 2]),
        (b"1\n2\n3\n", "", [3]),
        (b'[{"x0": [1, 2]}, {"x0": [3]}]', "", [2, 1]),
        (b'[{"x0": 1}, {"x0": 2}]', "", [2]),
        (b"id,time,x0\na,0,1\na,1,2\nb,0,3\n", "a.csv", [2, 1]),
        (b'{"id": 1, "x0": [1, 2]}\n{"id": 2, "x0": [1]}', "a.jsonl", [2, 1]),
    ],
)
def test_pasted_numbers(content, name, lengths):
    schema = Sequences.from_list([[0.5, 2.0]]).schema
    assert read_pasted(content, name, schema).lengths.tolist() == lengths


def test_pasted_letters_and_rows(data):
    letters = Sequences.from_list(["abc", "b"]).schema
    assert read_pasted(b'["ab", "c"]', "", letters).to_list() == ["ab", "c"]
    assert read_pasted(b'"ab"', "", letters).to_list() == ["ab"]
    assert read_pasted(b'[[1, "a"], [2, "b"]]', "", data.schema).lengths.tolist() == [2]
    assert read_pasted(b'[[[1, "a"]], [[2, "b"]]]', "", data.schema).lengths.tolist() == [1, 1]


@pytest.mark.parametrize(
    ("content", "name", "message"),
    [
        (b" ", "", "There is nothing to read"),
        (b"[1, 2", "", "This, line 1 is not JSON: .* at character 6"),
        (b"[]", "", "holds an empty array. Expected at least one"),
        (b"[[[1, 2], [3, 4]]]", "", "2 features"),
        (b'[{"y": [1]}]', "", "lacks 'x0'"),
        (b'[{"x0": [1]}, {"x0": [[1]]}]', "", "."),
        (
            b"\xff\xfe\x00",
            "",
            "This is not a csv file, which is text. It seems to be text in UTF-16",
        ),
        (b"?", "a.docx", "cannot be read. Use one of"),
        (b"PAR1", "a.parquet", "."),
        (b"[" * 5000, "", "This, line 1 is not JSON"),
        (b"a,b\n1,x\n", "a.csv", "."),
        (str([[0]] * (MAX_SEQUENCES + 1)).encode(), "", "places 500 at once"),
    ],
)
def test_pasted_content_that_cannot_be_read(content, name, message):
    schema = Sequences.from_list([[0.5, 2.0]]).schema
    with pytest.raises(RefoldError, match=message) as caught:
        read_pasted(content, name, schema)
    assert tempfile.gettempdir() not in str(caught.value)


def test_unfold_refuses_bad_places(atlas):
    for wrong in ({}, {"at": [1, 2], "code": [0]}, {"at": [1]}, {"at": "x"}, {"code": [1e9] * 3}):
        with pytest.raises(ParameterError, match=r"'at'|'code'|finite"):
            atlas.unfold(**wrong)
    with pytest.raises(ParameterError, match="no sequence 99"):
        atlas.unfold(at=[0, 0], row=99)


def test_responses_of_the_server(url):
    with httpx.Client(base_url=url, headers={"content-type": "application/json"}) as client:
        page = client.get("/")
        assert "default-src 'none'; script-src 'self'" in page.headers["content-security-policy"]
        assert "unsafe" not in page.headers["content-security-policy"]
        assert client.get("/", headers={"host": "evil.example"}).status_code == 400
        assert client.get("/page/..%2f_atlas.py").status_code == 404
        assert client.get("/page/no.js").status_code == 404
        assert len(client.get("/explore/points").content) == 48 * 8
        missing = client.get("/explore/fields/none")
        assert missing.status_code == 422
        assert "There is site, length, error" in missing.json()["error"]["message"]
        assert client.get("/explore/sequences/48").status_code == 422
        assert client.get("/v1/drift").json()["latent_dim"] == 3  # the service is available, too
        pasted = client.post("/explore/place", content=b"[oops")
        assert pasted.status_code == 422
        assert "line 1 is not JSON" in pasted.json()["error"]["message"]
        for body in (b"", b"[]", b'{"rows": []}', b'{"rows": [48]}', b'{"rows": [true]}'):
            assert client.post("/explore/tables/codes", content=body).status_code == 422
        assert client.post("/explore/tables/no", json={"rows": [1]}).status_code == 422
        assert client.get("/explore/points?map=no").status_code == 422
        for body in ({}, {"rows": [1], "name": "site", "value": "a"}, {"rows": [1], "name": "a"}):
            assert client.post("/explore/labels", json=body).status_code == 422
        assert client.get("/explore/labels/site.csv").status_code == 422
        assert client.post("/explore/normal", json={"rows": []}).status_code == 422
        simple = {"content-type": "text/plain"}  # what pages of other servers can send
        refused = client.post("/explore/normal", content=b'{"rows": [1]}', headers=simple)
        assert "content type application/json" in refused.json()["error"]["message"]
        for body in (b"", b'{"at": [1]}', b'{"row": 1}', b'{"at": [0, 0], "row": "a"}'):
            assert client.post("/explore/unfold", content=body).status_code == 422


def test_the_page_is_complete_and_uses_no_other_server():
    """The browser loads the modules of the page as they are in the sources."""
    files = {path.name: path.read_text() for path in PAGE.iterdir() if path.is_file()}
    asked = set(re.findall(r'/page/([\w.-]+)"', files["index.html"]))
    for name, text in files.items():
        if name.endswith(".js"):
            asked |= set(re.findall(r'from "\./([\w.-]+)"', text))
        assert set(re.findall(r"https?://[^\"' ]+", text)) <= {"http://www.w3.org/2000/svg"}
        assert "@import" not in text
    assert asked | {"index.html"} == set(files)
    assert "style=" not in files["index.html"]
    assert re.search(r"\son\w+=", files["index.html"]) is None
