"""The computations of the explorer's server, without a browser."""

import re
import tempfile

import httpx
import numpy as np
import pytest

from refold.errors import DataError, MissingFileError, ParameterError, RefoldError
from refold.explore import Atlas, exploring
from refold.explore._fields import field_of
from refold.explore._pasted import MOST, read_pasted
from refold.explore._routes import PAGE
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
    expected = atlas.ae.inverse_transform(code[None])[0]
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
    unit = atlas.ae._fitted.units.scale_[0]
    numbers = (np.subtract(*(np.array(shown[name][0]) for name in ("values", "back"))) / unit) ** 2
    np.testing.assert_allclose(shown["errors"], (numbers + wrong) / 2, rtol=1e-4)


def test_p_values_are_those_of_detect(atlas, data):
    values = atlas.field("anomaly p-value").values(wait=20)
    np.testing.assert_allclose(values, atlas.ae.detect(data, alpha=0.5).p_values, rtol=1e-6)
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


def test_bad_arguments_are_refused(atlas, data, tmp_path):
    with pytest.raises(DataError, match="Got 2 codes for 48 sequences"):
        Atlas(atlas.ae, data, codes=atlas.codes[:2])
    with pytest.raises(DataError, match="'site' has 2 values for 48"):
        Atlas(atlas.ae, data, codes=atlas.codes, fields={"site": [1, 2]})
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
        (b"[1, 2", "", "This is not JSON: .* at line 1, column 6"),
        (b"[]", "", "Expected a list of sequences"),
        (b"[[[1, 2], [3, 4]]]", "", "2 features"),
        (b'[{"y": [1]}]', "", "lacks 'x0'"),
        (b'[{"x0": [1]}, {"x0": [[1]]}]', "", "."),
        (b"\xff\xfe\x00", "", "not text in UTF-8"),
        (b"?", "a.docx", "cannot be read. Use one of"),
        (b"PAR1", "a.parquet", "."),
        (b"[" * 5000, "", "nested too deeply|not JSON"),
        (b"a,b\n1,x\n", "a.csv", "."),
        (str([[0]] * (MOST + 1)).encode(), "", "places 500 at once"),
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
    with httpx.Client(base_url=url) as client:
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
        assert "This is not JSON" in pasted.json()["error"]["message"]
        for body in (b"", b"[]", b'{"rows": []}', b'{"rows": [48]}', b'{"rows": [true]}'):
            assert client.post("/explore/tables/codes", content=body).status_code == 422
        assert client.post("/explore/tables/no", json={"rows": [1]}).status_code == 422
        for body in (b"", b'{"at": [1]}', b'{"row": 1}', b'{"at": [0, 0], "row": "a"}'):
            assert client.post("/explore/unfold", content=body).status_code == 422


def test_the_page_is_complete_and_uses_no_other_server():
    """The browser loads the modules of the page as they are in the sources."""
    files = {path.name: path.read_text() for path in PAGE.iterdir()}
    asked = set(re.findall(r'/page/([\w.-]+)"', files["index.html"]))
    for name, text in files.items():
        if name.endswith(".js"):
            asked |= set(re.findall(r'from "\./([\w.-]+)"', text))
        assert set(re.findall(r"https?://[^\"' ]+", text)) <= {"http://www.w3.org/2000/svg"}
        assert "@import" not in text
    assert asked | {"index.html"} == set(files)
    assert "style=" not in files["index.html"]
    assert re.search(r"\son\w+=", files["index.html"]) is None
