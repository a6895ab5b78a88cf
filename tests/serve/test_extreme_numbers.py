"""Numbers of one client never fail the requests of others, and never give a missing number."""

import json
from concurrent.futures import ThreadPoolExecutor

import httpx
import numpy as np
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
@pytest.mark.parametrize("number", ["5e-324", "-1e20", "3.5e38", "1e309", "NaN", '"1e308"', "null"])
def test_no_number_gives_a_500_or_a_missing_number(client, number):
    for operation, body in (
        ("reconstruct", '{"sequences": [[[1.5, NUMBER], [3, 4]], []]}'),
        ("decode", '{"codes": [[0.5, 1, NUMBER]]}'),
        ("detect", '{"sequences": [[[1.5, 2]]], "alpha": NUMBER}'),
        ("generate", '{"n": 2, "temperature": NUMBER, "seed": 5}'),
    ):
        content, headers = body.replace("NUMBER", number), {"content-type": "application/json"}
        response = client.post(f"/v1/pairs/{operation}", content=content, headers=headers)
        assert response.status_code in (200, 422), response.text
        assert "null" not in json.dumps(response.json().get("sequences", []))
