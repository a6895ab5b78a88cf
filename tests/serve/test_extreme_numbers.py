"""Numbers of one client never fail the requests of others, and never give a missing number."""

import json
import re
from concurrent.futures import ThreadPoolExecutor

import httpx
import numpy as np
import pyarrow as pa
import pytest

from refold.sequences import Sequences, codes_to_arrow
from serve.serving import ARROW, busy, refusal, same, stream_of, wait_until
from small_data import overflowing, ragged

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


@pytest.mark.parametrize("computed", [False, True], ids=["refused", "overflowing"])
def test_one_bad_request_in_ten_fails_alone(url, service, pairs, computed):
    bad = [overflowing(pairs)] if computed else [[[1e308, 1.0]]]
    sets = [bad if i % 10 == 4 else [one.tolist() for one in ragged(1, seed=i)] for i in range(20)]
    number = 20 if computed else 18  # of requests that get to be computed

    def ask(given):
        return httpx.post(f"{url}/v1/pairs/reconstruct", json={"sequences": given}, timeout=20)

    with ThreadPoolExecutor(20) as threads:
        with busy(service):
            answers = [threads.submit(ask, given) for given in sets]
            wait_until(lambda: service.batches.waiting == number)
        answers = [answer.result() for answer in answers]
    for given, answer in zip(sets, answers, strict=True):
        if given is bad:
            assert "float32" in refusal(answer)
        else:
            assert answer.status_code == 200, answer.text
            assert same(answer.json()["sequences"], pairs.reconstruct(given))


@pytest.mark.parametrize("operation", ["encode", "forecast"])
def test_values_beyond_float32_are_refused_with_their_place(client, operation):
    given = [[[1.0, 2.0]], [[1.0, 2.0], [3.0, -1e300]]]
    place = "Got -1e+300 at sequence 1, step 1, column 'x1'"
    path = f"/v1/pairs/{operation}"
    assert place in refusal(client.post(path, json={"sequences": given}))
    body, headers = stream_of(Sequences.from_list(given).to_arrow()), {"content-type": ARROW}
    assert place in refusal(client.post(path, content=body, headers=headers))


def test_codes_far_from_those_of_training_are_refused_with_their_place(client, pairs):
    codes = pairs.encode(ragged(60))
    center, unit = codes.mean(axis=0), codes.std(axis=0)
    near, far = (
        np.stack([center, center + np.eye(3)[1] * unit * number]).astype(np.float32)
        for number in (700, -1500)
    )
    table = stream_of(codes_to_arrow(far))
    for response in (
        client.post("/v1/pairs/decode", json={"codes": far.tolist()}),
        client.post("/v1/pairs/decode", content=table, headers={"content-type": ARROW}),
    ):
        text = refusal(response)
        assert "more than 1000 standard deviations" in text
        assert "row 1, dimension 1" in text
    response = client.post("/v1/pairs/decode", json={"codes": near.tolist()})
    assert same(response.json()["sequences"], pairs.decode(near))


# Numbers as they are written in JSON; some of these are no JSON, and some no numbers.
ODD = [
    *["-0.0", "5e-324", "-1e20", "3.4e38", "3.5e38", "-1e300", "1e309", "1" + "0" * 400],
    *["9007199254740993", "-9223372036854775809", "18446744073709551616", "NaN", "-Infinity"],
    *["null", "true", '"1e308"', "[]", "{}"],
]
DOUBLES = [-0.0, 5e-324, -1e20, 3.4e38, 3.5e38, -1e308, np.nan, np.inf, -np.inf, None]
BODIES = {
    "encode": '{"sequences": [[[1.5, 2], [3, 4]]]}',
    "decode": '{"codes": [[0.5, 1, 2]], "lengths": [3]}',
    "reconstruct": '{"sequences": [[[1.5, 2], [3, 4]], []]}',
    "detect": '{"sequences": [[[1.5, 2]]], "alpha": 0.2}',
    "forecast": '{"sequences": [[[1.5, 2]]], "steps": 2, "alpha": 0.3, "context": 4}',
    "generate": '{"n": 2, "lengths": [3, 1], "temperature": 0.5, "seed": 5}',
}


def check(response):
    """Check that an answer is a success without a missing number, or one line of an error."""
    if response.headers["content-type"] == ARROW:
        table = pa.ipc.open_stream(response.content).read_all()
        for name in set(table.column_names) & {"code", "x0", "score"}:
            numbers = table[name].combine_chunks()
            if pa.types.is_nested(numbers.type):
                numbers = numbers.flatten()
            assert np.isfinite(numbers.to_numpy(zero_copy_only=False)).all(), name
        return
    content = response.json()
    assert response.status_code in (200, 422), response.text
    assert "\n" not in content.get("error", {}).get("message", "")
    for name in ("codes", "sequences"):
        assert "null" not in json.dumps(content.get(name, [])), response.text
    for row in content.get("detections", ()):
        assert None not in (row["score"], row["error"], row["distance"], row["p_value"])


@pytest.mark.parametrize("operation", BODIES)
def test_no_number_gives_a_500_or_a_missing_number(client, operation):
    path, body = f"/v1/pairs/{operation}", BODIES[operation]
    headers = {"content-type": "application/json"}
    for match in re.finditer(r"\d+(\.\d+)?", body):
        for odd in ODD:
            content = (body[: match.start()] + odd + body[match.end() :]).encode()
            check(client.post(path, content=content, headers=headers))
    names = ["code"] if operation == "decode" else ["x0", "x1"]
    query = "?alpha=0.2" if "alpha" in body else ""
    headers = {"content-type": ARROW}
    for number in DOUBLES:
        values = pa.array([[1.5, number, 2.0]], pa.list_(pa.float64()))
        table = stream_of(pa.table(dict.fromkeys(names, values)))
        check(client.post(path + query, content=table, headers=headers))
