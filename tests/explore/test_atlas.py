"""The answers of the explorer's server, without a browser."""

import gzip
import os
import re
import sys
from pathlib import Path

import httpx
import numpy as np
import pytest

import refold
from refold.errors import DataError, MissingExtraError, ParameterError
from refold.explore import Atlas, _color_fields, check_exportable, exploring
from refold.explore._maps import BackgroundTask, NeighborMap, compute_umap_places
from refold.explore._server import MAX_ADDED_SEQUENCES
from small_data import draw_ragged_sequences


def test_places_and_codes_decode_as_the_model_does(atlas):
    code = atlas.codes[7]
    expected = atlas.model.decode(code[None])[0]
    decoded = atlas.decode_place_or_code(code=code)
    assert decoded["length"] == len(expected)
    np.testing.assert_array_equal(np.array(decoded["back"][0], float), expected[:, 0].astype(float))
    assert decoded["back"][1] == expected[:, 1].tolist()
    np.testing.assert_allclose(decoded["at"], atlas.places[7], atol=1e-4)
    at_place = atlas.decode_place_or_code(atlas.places[7], base_row=7)
    np.testing.assert_allclose(at_place["code"], code, rtol=1e-4, atol=1e-5)
    assert at_place["nearest"] == 7


def test_only_places_away_from_the_data_are_far(atlas):
    assert atlas.decode_place_or_code([9.0, 9.0])["far"]
    assert not atlas.decode_place_or_code(atlas.places[0])["far"]
    assert atlas.decode_place_or_code(code=atlas.codes[0] + 50)["far"]
    assert not atlas.decode_place_or_code(code=atlas.codes[0])["far"]


def test_errors_are_those_of_the_reconstruction(atlas, data):
    values = atlas.get_field("error").result(max_seconds=20)
    answer = atlas.describe_sequence(4)
    assert answer["error"] == pytest.approx(float(values[4]), rel=1e-5)
    wrong = np.array([a != b for a, b in zip(answer["values"][1], answer["back"][1], strict=True)])
    unit = atlas.model.error_scaler.scale_[0]
    numbers = (np.subtract(*(np.array(answer[name][0]) for name in ("values", "back"))) / unit) ** 2
    np.testing.assert_allclose(answer["errors"], (numbers + wrong) / 2, rtol=1e-4)
    worst, largest = answer["reasons"][0], max(numbers.max(), wrong.max())
    assert worst["share"] == pytest.approx(largest / (numbers.sum() + wrong.sum()), rel=1e-4)
    assert (numbers if worst["column"] == "height" else wrong)[worst["step"]] == largest


def test_p_values_are_those_of_detect(atlas, data):
    values = atlas.get_field("anomaly p-value").result(max_seconds=20)
    with pytest.warns(UserWarning, match="that the model was trained on"):
        detection = atlas.model.detect(data, alpha=0.5)
    np.testing.assert_allclose(values, detection.p_values, rtol=1e-6)
    assert atlas.describe_sequence(2)["p_value"] == pytest.approx(float(values[2]))


def test_neighbors_are_the_nearest_weighted_codes(atlas):
    weighted = atlas.codes * atlas.projection.weights
    order = np.linalg.norm(weighted - weighted[9], axis=1).argsort()
    assert [hit["row"] for hit in atlas.describe_sequence(9)["neighbors"]] == order[1:7].tolist()


def test_a_place_between_points_is_a_mean_of_their_codes(atlas):
    """On a map without a formula, points decode to their codes, and the codes are continuous."""
    places = np.ascontiguousarray(atlas.places[:, ::-1])
    neighbor_map = NeighborMap(places, atlas.codes, atlas.weighted_codes)
    np.testing.assert_allclose(neighbor_map.code_at(places[5]), atlas.codes[5], rtol=1e-4)
    np.testing.assert_allclose(neighbor_map.project(atlas.codes[[5]])[0], places[5], atol=1e-4)
    path = np.linspace(places[5], places[9], 2000)
    path_codes = [neighbor_map.code_at(place) for place in path]
    assert np.abs(np.diff(path_codes, axis=0)).max() < 0.2 * np.ptp(atlas.codes)
    assert (path_codes <= atlas.codes.max(axis=0) + 1e-4).all()


def test_a_umap_map_says_what_is_missing(atlas, monkeypatch):
    with pytest.raises(ParameterError, match="map must be 'pca' or 'umap'"):
        atlas.map("tsne")
    with pytest.raises(ParameterError, match="needs 5 to 50,000 sequences"):
        compute_umap_places(np.zeros((4, 3), np.float32))
    monkeypatch.setitem(sys.modules, "umap", None)
    with pytest.raises(MissingExtraError, match=r"'\.\[umap\]'"):
        compute_umap_places(np.zeros((9, 3), np.float32))


FAKE_UMAP = """
class UMAP:
    def __init__(self, **options):
        pass

    def fit_transform(self, vectors):
        return vectors[:, :2]
"""


def test_a_umap_map_comes_from_another_process(tmp_path, monkeypatch, caplog):
    (tmp_path / "umap.py").write_text(FAKE_UMAP)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(map(str, sys.path)))
    vectors = np.random.default_rng(0).normal(size=(60, 4)).astype(np.float32)
    places = compute_umap_places(vectors)
    differences = places - vectors[:, :2] / np.ptp(vectors[:, :2]) * np.ptp(places)
    assert np.ptp(differences, axis=0).max() < 1e-3
    failing = BackgroundTask("The map", lambda: compute_umap_places(np.zeros((9, 0), np.float32)))
    with pytest.raises(ParameterError, match="The map could not be computed"):
        failing.result(max_seconds=60)
    assert "The map could not be computed" in caplog.text


def test_fields_of_metadata(atlas, data):
    field_of = _color_fields.make_metadata_color_field
    assert field_of("n", [3, 1, 2]).categories == ["1", "2", "3"]
    assert field_of("n", ["10", "9", None]).categories == ["9", "10", "(none)"]
    assert field_of("x", np.r_[np.arange(30.0), np.nan]).categories is None
    assert field_of("b", [True, False]).get_value(0) == "1"
    assert field_of("y", np.float32([1020.4, 20040817.0])).categories == ["1020.4", "20040816"]
    assert field_of("note", [f"text {i}" for i in range(300)]) is None
    with pytest.raises(DataError, match="Got 2 values of 'site' for 48 sequences"):
        Atlas(atlas.model, data, codes=atlas.codes, fields={"site": [1, 2]})


def test_clusters_of_a_sample_are_extended_to_all_codes(atlas, monkeypatch):
    monkeypatch.setattr(_color_fields, "MAX_CLUSTERED_CODES", 20)
    field = atlas.cluster(3)
    values, vectors = field.result(max_seconds=30), atlas.weighted_codes.vectors
    assert field.categories == ["0", "1", "2"]
    assert field.note.startswith("k-means found 3 clusters in a sample of 20 sequences. Each other")
    assert "refold cluster uses all, so its clusters may differ" in field.note
    rows = np.linspace(0, 47, 20).round().astype(int)
    for row in set(range(48)) - {*rows.tolist()}:
        closest = rows[np.linalg.norm(vectors[rows] - vectors[row], axis=1).argmin()]
        assert values[row] == values[closest]


def test_other_clusters_replace_those_of_the_map(atlas, data):
    before = [field.name for field in atlas.fields]
    for num_clusters in (0, None):
        atlas.cluster(num_clusters)
        assert [field.name for field in atlas.fields] == before
    with pytest.raises(ParameterError, match="num_clusters must be an integer from 0 to 48"):
        atlas.cluster(49)
    small_atlas = Atlas(atlas.model, data[:6], codes=atlas.codes[:6], num_clusters=0)
    assert small_atlas.get_field("cluster").result(max_seconds=30).tolist() == [0] * 6
    assert small_atlas.get_field("cluster").categories == ["noise"]
    labeled = Atlas(atlas.model, data[:6], codes=atlas.codes[:6], fields={"cluster": [1] * 6})
    with pytest.raises(ParameterError, match="is a column of labels"):
        labeled.cluster(3)


TOO_MANY = str([[[1, "a"]]] * (MAX_ADDED_SEQUENCES + 1)).replace("'", '"').encode()


@pytest.mark.parametrize(
    ("content", "name", "message"),
    [
        (b" ", "", "There is nothing to read"),
        (b"[1, 2", "", "The pasted text, line 1 is not JSON: .* truncated"),
        (b"[[[1], [3]]]", "", "1 features"),
        (b"?", "a.docx", "cannot be read. Use one of"),
        (b"a,b\n1,x\n", "a.csv", "has no column 'id'"),
        (TOO_MANY, "", "at most 500 can be added at once"),
    ],
)
def test_pasted_content_that_cannot_be_read(url, content, name, message):
    response = httpx.post(f"{url}/explore/added", content=content, params={"name": name})
    assert response.status_code == 422
    assert re.search(message, response.json()["error"]["message"])


def test_a_model_of_keras_is_explored(tmp_path):
    """Only an exported page needs a default model with LSTMs."""
    packed = Path(__file__).parents[1] / "model_files/gru.refold.gz"
    (tmp_path / "gru.refold").write_bytes(gzip.decompress(packed.read_bytes()))
    atlas = Atlas(refold.load(tmp_path / "gru.refold"), draw_ragged_sequences(9))
    with exploring("gru.refold", atlas) as url:
        assert httpx.get(f"{url}/explore/sequences/1", timeout=30).json()["id"] == 1
    with pytest.raises(ParameterError, match="Only default models with LSTMs"):
        check_exportable(atlas.model)


@pytest.mark.parametrize(
    ("path", "content", "message"),
    [
        ("fields/none", None, "There is site, length, error"),
        ("sequences/48", None, "no sequence 48"),
        ("points?map=no", None, "map must be 'pca' or 'umap'"),
        ("tables/codes", [], "JSON object"),
        ("tables/codes", {"rows": []}, "The selection is empty"),
        ("tables/codes", {"rows": [True]}, "no sequence True"),
        ("unfold", {"row": 1}, "a place as 'at', or a code"),
        ("unfold", {"at": [0, 0], "row": "a"}, "no sequence a"),
    ],
)
def test_wrong_requests_are_refused(url, path, content, message):
    with httpx.Client(base_url=f"{url}/explore", timeout=30) as client:
        response = client.get(path) if content is None else client.post(path, json=content)
    assert response.status_code == 422
    assert re.search(message, response.json()["error"]["message"])


def test_responses_of_the_server(url):
    with httpx.Client(base_url=url) as client:
        page = client.get("/")
        assert "default-src 'none'; script-src 'self'" in page.headers["content-security-policy"]
        assert "unsafe" not in page.headers["content-security-policy"]
        assert client.get("/", headers={"host": "evil.example"}).status_code == 400
        for missing in ("/page/..%2f_atlas.py", "/page/no.js", "/explore/nothing"):
            assert client.get(missing).status_code == 404
        assert len(client.get("/explore/points").content) == 48 * 8
        simple_headers = {"content-type": "text/plain"}  # what pages of other servers can send
        response = client.post("/explore/unfold", content=b'{"at": [0, 0]}', headers=simple_headers)
        assert "content type application/json" in response.json()["error"]["message"]
