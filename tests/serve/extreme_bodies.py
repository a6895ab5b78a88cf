"""Bodies of requests with numbers at all extremes, in JSON and Arrow."""

import json
import random
import re

import numpy as np
import pyarrow as pa

from serve.serving import ARROW, stream_of

# As they are written in JSON; some are no JSON, and some no numbers.
FINITE = [
    *["0", "-0.0", "1", "-1", "0.5", "1e-45", "5e-324", "-1e-320", "1.17e-38", "1e12", "-1e20"],
    *["1e30", "-1e37", "1e38", "3.4e38", "-3.4e38", "9007199254740993", "2147483648"],
    *["9223372036854775808", "-9223372036854775809", "18446744073709551616"],
]
ODD = [
    *["3.5e38", "1e39", "-1e300", "1e308", "1.7976931348623157e308", "1e309", "-1e999"],
    *["1" + "0" * 400, "-" + "9" * 400, "NaN", "Infinity", "-Infinity"],
    *["null", "true", '"1e308"', "[]", "{}", "[1]", "[" * 5000],
]
DOUBLES = [
    *[0.0, -0.0, 1.0, 0.5, 5e-324, 1e-45, 1e12, -1e20, 1e30, -1e37, 1e38, 3.4e38, -3.4e38],
    *[3.5e38, 1e39, 1e300, -1e308, np.finfo(float).max, np.nan, np.inf, -np.inf],
]
# Fields beside the sequences and the codes.
FIELDS = {
    "encode": {},
    "decode": {"lengths": [3, 1], "clip": True},
    "reconstruct": {"clip": True},
    "detect": {"alpha": 0.2, "steps": True},
    "forecast": {"steps": 2, "alpha": 0.3, "context": 4, "clip": True},
    "generate": {"n": 2, "lengths": [3, 1], "temperature": 0.5, "components": 1, "seed": 5},
    "search": {"k": 3},
}


class Bodies:
    """A source of requests for some models, each with its number of columns and of dimensions."""

    def __init__(self, models, seed=0):
        self._models = models
        self._random = random.Random(seed)  # noqa: S311

    def draw(self):
        """Return the path, the body and the type of a request."""
        draw, chance = self._random.choice, self._random.random
        name, operation = draw(list(self._models)), draw(list(FIELDS))
        columns, width = self._models[name]
        fields = {key: value for key, value in FIELDS[operation].items() if chance() < 0.4}
        if operation in ("detect", "generate"):  # by default, these refuse or take long
            fields = FIELDS[operation]
        wants = "codes" if operation == "decode" else "sequences"
        if operation == "search":
            wants = draw(["codes", "sequences", "ids"])
        path = f"/v1/{name}/{operation}"
        if chance() < 0.3 and operation != "generate":
            plain = {key: fields[key] for key in fields if key != "lengths"}
            query = "&".join(f"{key}={self._odd(json.dumps(plain[key]))}" for key in plain)
            return f"{path}?{query}", stream_of(self._table(wants, columns, width)), ARROW
        rows = range(self._random.randint(0, 4))
        if wants == "codes":
            fields = fields | {wants: [[self._random.gauss() for _ in range(width)] for _ in rows]}
        elif wants == "ids":
            fields = fields | {wants: [*rows]}
        elif operation != "generate":
            steps = self._random.randint(0, 6)
            row = [5.0, 3.0, "a", 1][:columns]
            fields = fields | {wants: [[row] * steps for _ in rows]}
        return path, self._odd(json.dumps(fields)).encode(), "application/json"

    def _odd(self, text):
        """Replace some numbers of a text by those that no client should send."""

        def other(match):
            kind = self._random.random()
            numbers = FINITE if kind < 0.05 else ODD if kind < 0.07 else [match[0]]
            return self._random.choice(numbers)

        return re.sub(r"-?\b\d+(\.\d+)?(e-?\d+)?\b", other, text)

    def _table(self, wants, columns, width):
        def values(count):
            numbers = [self._random.gauss(5, 3) for _ in range(count)]
            odd = [*DOUBLES, None]
            return [
                self._random.choice(odd) if self._random.random() < 0.05 else one for one in numbers
            ]

        kind = pa.list_(self._random.choice([pa.float64(), pa.float32()]))
        rows = range(self._random.randint(0, 4))
        if wants == "codes":
            return pa.table({"code": pa.array([values(width) for _ in rows], kind)})
        lengths = [self._random.randint(0, 6) for _ in rows]
        table = {f"x{i}": pa.array([values(n) for n in lengths], kind) for i in range(columns)}
        if columns == 4:
            table["x2"] = pa.array([["a"] * n for n in lengths], pa.list_(pa.string()))
            table["x3"] = pa.array([[1.0] * n for n in lengths], kind)
        return pa.table(table)


def check(response):
    """Check that an answer is a success without a missing number, or one line of an error."""
    if response.headers["content-type"] == ARROW:
        table = pa.ipc.open_stream(response.content).read_all()
        for name in set(table.column_names) & {"code", "x0", "x1", "score", "distance"}:
            numbers = table[name].combine_chunks()
            while pa.types.is_nested(numbers.type):
                numbers = numbers.flatten()
            if pa.types.is_floating(numbers.type):
                assert np.isfinite(numbers.to_numpy(zero_copy_only=False)).all(), name
        return 200
    content, status = response.json(), response.status_code
    assert status in (200, 404, 422, 501), (status, response.text[:500])
    if status != 200:
        assert "\n" not in content["error"]["message"]
    for name in ("codes", "sequences"):
        assert "null" not in json.dumps(content.get(name, [])), response.text[:500]
    for row in content.get("detections", ()):
        assert None not in (row["score"], row["error"], row["distance"], row["p_value"])
    for hits in content.get("hits", ()):
        assert None not in [hit["distance"] for hit in hits]
    return status
