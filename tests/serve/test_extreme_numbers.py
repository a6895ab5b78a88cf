"""Numbers of one client never fail the requests of others, and never give a missing number."""

import json

import httpx
import numpy as np
import pytest

from refold.sequences import Sequences
from serve.serving import ARROW, refusal, same, stream_of, waiting_together
from small_data import overflowing, ragged

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


def test_one_bad_request_in_ten_fails_alone(url, service, pairs):
    bad = [overflowing(pairs)]
    sets = [bad if i % 10 == 4 else [one.tolist() for one in ragged(1, seed=i)] for i in range(20)]

    def ask(given):
        return httpx.post(f"{url}/v1/pairs/reconstruct", json={"sequences": given}, timeout=20)

    for given, answer in zip(sets, waiting_together(service, ask, sets), strict=True):
        if given is bad:
            assert "float32" in refusal(answer)
        else:
            assert same(answer.json()["sequences"], pairs.reconstruct(given))


def test_values_beyond_float32_are_refused_with_their_place(client):
    given = [[[1.0, 2.0]], [[1.0, 2.0], [3.0, -1e300]]]
    place = "Got -1e+300 at sequence 1, step 1, column 'x1'"
    assert place in refusal(client.post("/v1/pairs/encode", json={"sequences": given}))
    body, headers = stream_of(Sequences.from_list(given).to_arrow()), {"content-type": ARROW}
    assert place in refusal(client.post("/v1/pairs/encode", content=body, headers=headers))


def test_codes_far_from_those_of_training_are_refused_with_their_place(client, pairs):
    codes = pairs.encode(ragged(60))
    center, far = codes.mean(axis=0), codes.mean(axis=0) - 1500 * codes.std(axis=0) * np.eye(3)[1]
    text = refusal(
        client.post("/v1/pairs/decode", json={"codes": np.stack([center, far]).tolist()})
    )
    assert "more than 1000 standard deviations" in text
    assert "row 1, dimension 1" in text


# Numbers as they are written in JSON; some of these are no JSON, and some no numbers.
@pytest.mark.parametrize("number", ["5e-324", "3.5e38", "1e309", "NaN", "null"])
def test_no_number_gives_a_500_or_a_missing_number(client, number):
    for operation, body in (
        ("reconstruct", '{"sequences": [[[1.5, NUMBER], [3, 4]], []]}'),
        ("decode", '{"codes": [[0.5, 1, NUMBER]]}'),
        ("generate", '{"n": 2, "temperature": NUMBER, "seed": 5}'),
    ):
        content, headers = body.replace("NUMBER", number), {"content-type": "application/json"}
        response = client.post(f"/v1/pairs/{operation}", content=content, headers=headers)
        assert response.status_code in (200, 422), response.text
        assert "null" not in json.dumps(response.json().get("sequences", []))
