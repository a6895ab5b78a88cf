"""Bodies of requests with numbers at all extremes, in JSON and Arrow."""

import json
import random
import struct

import numpy as np
import pyarrow as pa

from serve.serving import ARROW, stream_of

# As they are written in JSON; some are no JSON.
FINITE = [
    *["0", "-0.0", "1", "-1", "0.5", "1e-45", "5e-324", "-1e-320", "1.17e-38", "1e12", "-1e20"],
    *["1e30", "-1e37", "1e38", "3.4e38", "-3.4e38", "9007199254740993", "2147483648"],
    *["9223372036854775808", "-9223372036854775809", "18446744073709551616"],
]
NUMBERS = [
    *FINITE,
    *["3.5e38", "1e39", "-1e300", "1e308", "1.7976931348623157e308", "1e309", "-1e999"],
    *["1" + "0" * 400, "-" + "9" * 400, "NaN", "Infinity", "-Infinity"],
    *["null", "true", '"1e308"', "[]", "{}"],
]
DOUBLES = [
    *[0.0, -0.0, 1.0, 0.5, 5e-324, 1e-45, 1e12, -1e20, 1e30, -1e37, 1e38, 3.4e38, -3.4e38],
    *[3.5e38, 1e39, 1e300, -1e308, np.finfo(float).max, np.nan, np.inf, -np.inf],
]
OPERATIONS = ("encode", "decode", "reconstruct", "detect", "forecast", "generate", "search")
# Fields beside the sequences and the codes.
FIELDS = {
    "decode": ["lengths", "clip"],
    "reconstruct": ["clip"],
    "detect": ["alpha", "steps"],
    "forecast": ["steps", "alpha", "context", "clip"],
    "generate": ["n", "lengths", "temperature", "components", "seed", "clip"],
    "search": ["ids", "k"],
}

# How often a field is there, if not in a fifth of the bodies.
FREQUENT = {"alpha": 0.9, "components": 1.0}


class Bodies:
    """A source of requests for some models, each with its number of columns and of dimensions."""

    def __init__(self, models, seed=0):
        self._models = models
        self._random = random.Random(seed)  # noqa: S311

    def draw(self):
        """Return the path, the body and the type of a request."""
        name = self._random.choice(list(self._models))
        columns, width = self._models[name]
        operation = self._random.choice(OPERATIONS)
        if operation == "generate" and self._random.random() < 0.7:  # which is slower than others
            operation = "decode"
        if self._random.random() < 0.3:
            return self._table(name, operation, columns, width)
        parts = []
        wants = "codes" if operation == "decode" else "sequences"
        if operation == "search":
            wants = self._random.choice(["codes", "sequences", "ids"])
        if operation != "generate" and self._random.random() < 0.98:
            value = self._codes(width) if wants == "codes" else self._sequences(columns)
            parts.append(f'"{wants}": {value}')
        for field in FIELDS.get(operation, ()):
            if self._random.random() < FREQUENT.get(field, 0.2):
                parts.append(f'"{field}": {self._field(field)}')
        body = "{" + ", ".join(parts) + "}"
        if self._random.random() < 0.02:
            depth = self._random.choice([10, 1000, 5000])
            body = '{"sequences": ' + "[" * depth + "1" + "]" * depth + "}"
        return f"/v1/{name}/{operation}", body.encode(), "application/json"

    def _number(self):
        kind = self._random.random()
        if kind < 0.9:
            return repr(round(self._random.gauss(5, 3), 3))
        return self._random.choice(NUMBERS if kind < 0.92 else FINITE)

    def _list(self, entry, most):
        return "[" + ", ".join(entry() for _ in range(self._random.randint(0, most))) + "]"

    def _sequences(self, columns):
        def row():
            count = columns if self._random.random() < 0.98 else self._random.randint(0, 4)
            return "[" + ", ".join(self._entry(i) for i in range(count)) + "]"

        if self._random.random() < 0.03:
            return self._list(self._number, 3)
        return self._list(lambda: self._list(row, 6), 4)

    def _entry(self, column):
        if column < 2 or self._random.random() < 0.1:
            return self._number()
        return self._random.choice(['"a"', '"b"', "null"] if column == 2 else ["0", "1", "null"])

    def _codes(self, width):
        def code():
            count = width if self._random.random() < 0.98 else self._random.randint(0, 4)
            return "[" + ", ".join(self._number() for _ in range(count)) + "]"

        return self._list(code, 4)

    def _field(self, name):
        if name in ("lengths", "ids"):
            return self._list(self._number, 4)
        if name == "components":  # the choice of their number takes seconds
            return self._random.choice(["1", "1", "2", "0", "1e308", "-0.0", "65"])
        if name in ("alpha", "temperature") and self._random.random() < 0.9:
            return self._random.choice(["0.5", "0.2", "0.3", "1e-300", "0.9999999999999999"])
        if name == "clip" and self._random.random() < 0.5:
            return "true"
        return self._random.choice([*NUMBERS, "1", "2", "3"])

    def _table(self, name, operation, columns, width):
        def values(count):
            usual = [self._random.gauss(5, 3) for _ in range(count)]
            return [
                one if self._random.random() < 0.95 else self._random.choice([*DOUBLES, None])
                for one in usual
            ]

        rows, table = self._random.randint(0, 4), {}
        kind = self._random.choice([pa.float64(), pa.float32()])
        if operation == "decode" or (operation == "search" and self._random.random() < 0.5):
            table["code"] = pa.array([values(width) for _ in range(rows)], pa.list_(kind))
        else:
            lengths = [self._random.randint(0, 6) for _ in range(rows)]
            for i in range(columns):
                lists = [values(length) for length in lengths]
                if i == 2:
                    texts = [[self._random.choice("ab") for _ in one] for one in lists]
                    table[f"x{i}"] = pa.array(texts, pa.list_(pa.string()))
                    continue
                if i == 3:
                    lists = [[self._random.choice([0.0, 1.0, None]) for _ in one] for one in lists]
                table[f"x{i}"] = pa.array(lists, pa.list_(kind))
        query = [
            f"{field}={self._random.choice([*NUMBERS[:30], '0.5', '2', 'true'])}"
            for field in FIELDS.get(operation, ())
            if field not in ("lengths", "ids") and self._random.random() < 0.3
        ]
        body = bytearray(stream_of(pa.table(table)))
        if self._random.random() < 0.1:  # any bits where a number may be
            place = self._random.randrange(max(1, len(body) - 8))
            body[place : place + 8] = struct.pack("<d", self._random.choice(DOUBLES))
        return f"/v1/{name}/{operation}?{'&'.join(query)}", bytes(body), ARROW


def check(response):
    """Check that an answer is a success without a missing number, or one line of an error."""
    text = response.text if response.headers["content-type"] == "application/json" else ""
    assert response.status_code in (200, 404, 422, 501), (response.status_code, text[:500])
    if response.status_code != 200:
        assert "\n" not in json.loads(text)["error"]["message"]
    elif text:
        content = response.json()
        for name in ("codes", "sequences"):
            assert "null" not in json.dumps(content.get(name, [])), text[:500]
        for row in content.get("detections", ()):
            assert None not in (row["score"], row["error"], row["distance"], row["p_value"])
        for hits in content.get("hits", ()):
            assert None not in [hit["distance"] for hit in hits]
    else:
        table = pa.ipc.open_stream(response.content).read_all()
        for name in set(table.column_names) & {"code", "x0", "x1", "score", "distance"}:
            numbers = table[name].combine_chunks()
            while pa.types.is_nested(numbers.type):
                numbers = numbers.flatten()
            if pa.types.is_floating(numbers.type):
                assert np.isfinite(numbers.to_numpy(zero_copy_only=False)).all(), name
    return response.status_code
