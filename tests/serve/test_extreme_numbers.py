"""Numbers of one client never fail the requests of others, and never give a missing number."""

import json

import httpx
import numpy as np
import pytest

from refold.sequences import Sequences
from serve.server_helpers import ARROW_TYPE, error_message, has_same_bits, send_together, to_stream
from small_data import draw_overflowing_sequence, draw_ragged_sequences

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


def test_one_bad_request_in_ten_fails_alone(url, service, pairs):
    bad = [draw_overflowing_sequence(pairs)]
    sets = [
        bad if i % 10 == 4 else [sequence.tolist() for sequence in draw_ragged_sequences(1, seed=i)]
        for i in range(20)
    ]

    def send(data):
        return httpx.post(f"{url}/v1/pairs/reconstruct", json={"sequences": data}, timeout=20)

    for data, answer in zip(sets, send_together(service, send, sets), strict=True):
        if data is bad:
            assert "float32" in error_message(answer)
        else:
            assert has_same_bits(answer.json()["sequences"], pairs.reconstruct(data))


def test_values_beyond_float32_are_refused_with_their_place(client):
    data = [[[1.0, 2.0]], [[1.0, 2.0], [3.0, -1e300]]]
    message = "Got -1e+300 at sequence 1, step 1, column 'x1'"
    assert message in error_message(client.post("/v1/pairs/encode", json={"sequences": data}))
    body, headers = to_stream(Sequences.from_list(data).to_arrow()), {"content-type": ARROW_TYPE}
    assert message in error_message(client.post("/v1/pairs/encode", content=body, headers=headers))


def test_codes_far_from_those_of_training_are_refused_with_their_place(client, pairs):
    codes = pairs.encode(draw_ragged_sequences(60))
    center, far = codes.mean(axis=0), codes.mean(axis=0) - 1500 * codes.std(axis=0) * np.eye(3)[1]
    text = error_message(
        client.post("/v1/pairs/decode", json={"codes": np.stack([center, far]).tolist()})
    )
    assert "more than 1000 standard deviations" in text
    assert "row 1, dimension 1" in text


# Numbers as they are written in JSON; some of these are no JSON, and some no numbers.
@pytest.mark.parametrize("json_number", ["5e-324", "3.5e38", "1e309", "NaN", "null"])
def test_no_number_gives_a_500_or_a_missing_number(client, json_number):
    for operation, body in (
        ("reconstruct", '{"sequences": [[[1.5, NUMBER], [3, 4]], []]}'),
        ("decode", '{"codes": [[0.5, 1, NUMBER]]}'),
        ("generate", '{"n": 2, "temperature": NUMBER, "seed": 5}'),
    ):
        content, headers = body.replace("NUMBER", json_number), {"content-type": "application/json"}
        response = client.post(f"/v1/pairs/{operation}", content=content, headers=headers)
        assert response.status_code in (200, 422), response.text
        assert "null" not in json.dumps(response.json().get("sequences", []))
