"""Numbers of one client never fail the requests of others, and never give a missing number."""

import collections
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
import pytest

from refold.search import Index
from refold.sequences import Sequences, codes_to_arrow
from serve.extreme_bodies import Bodies, check
from serve.serving import ARROW, busy, same, started, stream_of, wait_until
from small_data import overflowing, ragged, untrained

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


def message(response):
    assert response.status_code == 422, response.text
    text = response.json()["error"]["message"]
    assert "\n" not in text
    return text


@pytest.mark.parametrize("computed", [False, True], ids=["refused", "overflowing"])
def test_one_bad_request_in_ten_fails_alone(url, service, pairs, computed):
    bad = [overflowing(pairs)] if computed else [[[1e308, 1.0]]]
    sets = [bad if i % 10 == 4 else [one.tolist() for one in ragged(1, seed=i)] for i in range(40)]
    number = 40 if computed else 36  # of requests that get to be computed

    def ask(given):
        return httpx.post(f"{url}/v1/pairs/reconstruct", json={"sequences": given}, timeout=20)

    with ThreadPoolExecutor(40) as threads:
        with busy(service):
            answers = [threads.submit(ask, given) for given in sets]
            wait_until(lambda: service.batches.waiting == number)
        answers = [answer.result() for answer in answers]
    for given, answer in zip(sets, answers, strict=True):
        if given is bad:
            assert "float32" in message(answer)
        else:
            assert answer.status_code == 200, answer.text
            assert same(answer.json()["sequences"], pairs.reconstruct(given))


@pytest.mark.parametrize("operation", ["encode", "reconstruct", "detect", "forecast"])
def test_values_beyond_float32_are_refused_with_their_place(client, operation):
    given = [[[1.0, 2.0]], [[1.0, 2.0], [3.0, -1e300]]]
    options = {"alpha": 0.2} if operation in ("detect", "forecast") else {}
    place = "Got -1e+300 at sequence 1, step 1, column 'x1'"
    path = f"/v1/pairs/{operation}"
    assert place in message(client.post(path, json={"sequences": given, **options}))
    body, headers = stream_of(Sequences.from_list(given).to_arrow()), {"content-type": ARROW}
    assert place in message(client.post(path, params=options, content=body, headers=headers))


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
        text = message(response)
        assert "more than 1000 standard deviations" in text
        assert "row 1, dimension 1" in text
    response = client.post("/v1/pairs/decode", json={"codes": near.tolist()})
    assert same(response.json()["sequences"], pairs.decode(near))


@pytest.fixture(scope="module")
def more(files, pairs, tmp_path_factory):
    """Return model files, an index, and the numbers of columns and dimensions of the models."""
    rng, folder = np.random.default_rng(0), tmp_path_factory.mktemp("more")
    levels = [10.0 ** rng.uniform(-2, 2) * rng.normal(size=5 + i % 4) for i in range(40)]
    mixed = [
        [[*rng.normal(9, 2, 2), "ab"[i % 2], int(rng.integers(2))] for _ in range(3 + i % 4)]
        for i in range(40)
    ]
    mixed[3][1][1] = None
    untrained(levels, scale="sequence").save(folder / "levels.refold")
    untrained(mixed, calibration_fraction=0.4).save(folder / "mixed.refold")
    paths = {name: folder / f"{name}.refold" for name in ("levels", "mixed")}
    widths = {"pairs": (2, 3), "levels": (1, 5), "mixed": (4, 3)}
    index = Index.create(folder / "pairs.index", pairs, ragged(20))
    return paths | {"pairs": files["pairs"]}, {"pairs": index.path}, widths


@pytest.mark.parametrize("number", [500, pytest.param(10_000, marks=pytest.mark.slow)])
def test_no_body_gives_a_500_or_a_missing_number_or_takes_memory(more, number):
    paths, indexes, widths = more
    bodies, lock = Bodies(widths), threading.Lock()
    counts, sizes = collections.Counter(), []

    def ask(_):
        with lock:
            path, body, kind = bodies.draw()
        response = client.post(path, content=body, headers={"content-type": kind})
        try:
            counts[check(response)] += 1
        except AssertionError as error:
            raise AssertionError(f"{path}: {body[:500]}") from error

    status = Path("/proc/self/status")
    with (
        started(paths, indexes=indexes) as (url, service),
        httpx.Client(base_url=url, timeout=60) as client,
        ThreadPoolExecutor(8) as threads,
    ):
        for share in (0.2, 0.4, 0.4):
            list(threads.map(ask, range(int(share * number))))
            if status.exists():
                sizes.append(int(re.search(r"VmRSS:\s+(\d+)", status.read_text())[1]) / 1024)
        assert client.get("/v1/ready").status_code == 200
        assert service.batches.open == service.batches.waiting == 0
    assert min(counts[200], counts[422]) > 0.1 * number
    assert not sizes or sizes[-1] < 1.05 * sizes[0] + 5, sizes
