"""The service under load, next to the offline rate and to a simple service with FastAPI.

``python -m benchmarks.serve [--parts PART ...]`` fits models to sines of 10 to 1000 steps and to
JapaneseVowels, serves them with ``refold serve``, and writes ``results/serve.json`` and
``results/serve.md``. A part that is not measured keeps its previous results. By default, all parts
are measured except ``schema``, ten minutes of requests from Schemathesis. The clients and the
service share the cores of the machine.
"""

import argparse
import json
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks._results import FOLDER, PACKAGES, environment, table, write_page
from benchmarks.serve_peers import parts as measure

ENCODING = {
    "mixed": "sines, 10 to 1000 steps",
    "vowels": "JapaneseVowels, 10 steps of latent optimization",
    "plain": "JapaneseVowels, no latent optimization",
}
SHOWN = (*PACKAGES, "uvicorn", "uvloop", "httptools", "orjson", "pyarrow", "fastapi")
RESULTS = FOLDER / "serve.json"
PARTS = ("rates", "half", "peers", "memory", "overload", "shutdown", "schema")


def main() -> None:
    """Measure the parts and write the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--parts", nargs="*", choices=PARTS, default=PARTS[:-1])
    parser.add_argument(
        "--requests", type=int, default=200_000, help="number of requests for the memory test"
    )
    parser.add_argument("--seconds", type=float, default=5.0, help="of a measurement")
    parser.add_argument("--schema-seconds", type=float, default=600.0)
    parser.add_argument("--page", action="store_true", help="write the page without measurements")
    given = parser.parse_args()
    results = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    warnings.simplefilter("ignore", UserWarning)
    if not given.page:
        with tempfile.TemporaryDirectory() as name:
            bench = measure.fit(Path(name), given.seconds)
            for part in given.parts:
                more = {"memory": given.requests, "schema": given.schema_seconds}
                options = [more[part]] if part in more else []
                results[part] = getattr(measure, part)(bench, *options)
                results["about"] = environment(SHOWN)
                RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    shown = [_SECTIONS[part](results[part]) for part in PARTS if part in results]
    page = [_targets(results), *(text for section in shown for text in section)]
    write_page("serve", "The service", page, about=results["about"])


def _targets(results: dict[str, Any]) -> str:
    """Return a table of targets and measured values."""
    rows: list[tuple[str, str, bool]] = []
    for row in results.get("rates", ()):
        share = row["rate"] / row["offline"]
        what = f"{ENCODING[row['data']]}, {row['each']} per request, {row['form']}"
        rows.append((f"0.9 of the offline rate: {what}", f"{share:.2f}", share >= 0.9))
    for row in results.get("peers", ()):
        ratio = row["our_rate"] / row["rate"]
        rows.append((f"5 times FastAPI: {ENCODING[row['data']]}", f"{ratio:.1f}", ratio >= 5))
    for row in results.get("half", ()):
        what = f"p99 below 50 ms at half of the largest rate: {ENCODING[row['data']]}"
        rows.append((what, f"{_ms(row['p99'])} ms", row["p99"] < 0.05))
    if found := results.get("memory"):
        first, last = found["megabytes"][1], found["megabytes"][-1]
        flat = last < 1.02 * first and not found["failed"]
        what = f"flat memory over {found['number']:,} requests without a failure"
        rows.append((what, f"{first:.0f} MB to {last:.0f} MB, {found['failed']} failed", flat))
    if found := results.get("overload"):
        p99, share = found["refusal_p99"], found["rate"] / found["largest"]
        after = found["after"] / found["largest"]
        rows += [
            (
                "requests are refused within 20 ms at 10 times the largest rate",
                f"p99 {_ms(p99)} ms",
                p99 < 0.02,
            ),
            ("0.9 of the largest rate continues during that time", f"{share:.2f}", share >= 0.9),
            ("0.9 of the largest rate in the following second", f"{after:.2f}", after >= 0.9),
        ]
    if found := results.get("shutdown"):
        lost, again = found["lost"], found["again"]
        rows += [
            (
                "no request is lost after SIGTERM under load",
                f"{lost} lost",
                not lost and not found["code"],
            ),
            ("a new process is ready within 1 s after `kill -9`", f"{again:.2f} s", again < 1),
        ]
    if found := results.get("schema"):
        what = f"no failure in {found['seconds']:g} s of requests from Schemathesis"
        rows.append((what, found["cases"], not found["code"] and found["alive"]))
    lines = [[what, value, "yes" if met else "**no**"] for what, value, met in rows]
    return table(["target", "measured", "met"], lines)


def _rates(rows: list[dict[str, Any]]) -> list[str]:
    lines = [
        [
            ENCODING[row["data"]], row["form"], f"{row['each']}", f"{row['rate']:,.0f}",
            f"{row['offline']:,.0f}", f"{row['rate'] / row['offline']:.2f}",
            f"{row['together'] / row['offline']:.2f}", f"{row['service_us']:,.0f}",
            f"{row['clients_us']:,.0f}", f"{row['offline_us']:,.0f}", _ms(row["p50"]),
            _ms(row["p99"]),
        ]
        for row in rows
    ]  # fmt: skip
    return [
        "## Rates",
        f"Each of {measure.CLIENTS} clients sends its next request when it has the response to the "
        "last one. The clients run in one thread, and share the cores with the service. The "
        "offline rate is the best of five calls of `transform` on all sequences at once. Two "
        f"things bound the ratio. First, at most {measure.CLIENTS} requests can be computed "
        "together. The column \"offline, same batch\" is the ratio that `transform` reaches on as "
        "many sequences as these requests have. Second, the service and the clients need CPU time "
        "for HTTP and for the format. The table has the CPU time per sequence of all threads.",
        table(
            ["data", "format", "sequences per request", "sequences per second", "offline",
             "ratio", "offline, same batch", "CPU time of the service, µs", "clients, µs",
             "offline, µs", "median, ms", "p99, ms"],
            lines,
        ),
    ]  # fmt: skip


def _half(rows: list[dict[str, Any]]) -> list[str]:
    lines = [
        [ENCODING[row["data"]], f"{row['rate']:,.0f}", _ms(row["p50"]), _ms(row["p99"])]
        for row in rows
    ]
    return [
        "## Half of the largest rate",
        "One sequence per request, in JSON, sent at random times. Response times start when the "
        "request is due.",
        table(["data", "requests per second", "median, ms", "p99, ms"], lines),
    ]


def _peers(rows: list[dict[str, Any]]) -> list[str]:
    lines = [
        [
            ENCODING[row["data"]], f"{row['rate']:,.0f}", f"{row['our_rate']:,.0f}",
            f"{row['our_rate'] / row['rate']:.1f}", f"{row['service_us']:,.0f}",
            f"{row['our_service_us']:,.0f}", _ms(row["p99"]), _ms(row["our_p99"]),
        ]
        for row in rows
    ]  # fmt: skip
    return [
        "## FastAPI",
        "For comparison, a FastAPI service calls `encoder.predict` for each request. Sequences are "
        "padded to a power of two, and all shapes are compiled in advance. A request has one "
        "sequence in JSON, and there is no latent optimization.",
        table(
            ["data", "FastAPI, requests per second", "Refold", "ratio", "FastAPI, CPU time, µs",
             "Refold", "FastAPI, p99, ms", "Refold"],
            lines,
        ),
    ]  # fmt: skip


def _memory(found: dict[str, Any]) -> list[str]:
    start, *others = (f"{size:.0f} MB" for size in found["megabytes"])
    return [
        "## Memory",
        f"The process uses {start} of memory at the start, and {', '.join(others)} after a tenth, "
        f"a half and all of {found['number']:,} requests. {found['failed']} requests failed.",
    ]


def _overload(found: dict[str, Any]) -> list[str]:
    return [
        "## Overload",
        f"With {found['each']} utterances per request, {measure.CLIENTS} clients reached "
        f"{found['largest']:,.0f} requests per second. Then 320 clients sent "
        f"{found['offered']:,.0f} requests per second ({found['offered'] / found['largest']:.1f} "
        f"times as many). {found['rate']:,.0f} per second succeeded, and {found['refused']:,} were "
        f"refused with 429 or 503. Half of the refusals came within {_ms(found['refusal_p50'])} ms "
        f"after the request was due, and 99 % within {_ms(found['refusal_p99'])} ms. "
        f"{found['failed']} requests failed otherwise. In the following second, the rate was "
        f"{found['after']:,.0f}.",
    ]


def _shutdown(found: dict[str, Any]) -> list[str]:
    return [
        "## Shutdown",
        f"SIGTERM under load: {found['answered']:,} requests got a response, {found['lost']} got "
        f"none, and the process exited with code {found['code']}. After `kill -9`, a new process "
        f"was ready after {found['again']:.2f} s.",
    ]


def _schema(found: dict[str, Any]) -> list[str]:
    return [
        "## Schemathesis",
        f"Schemathesis generated requests from the OpenAPI description for {found['seconds']:g} "
        f"seconds: {found['cases']}. The command exited with code {found['code']}.",
    ]


_SECTIONS: dict[str, Callable[[Any], list[str]]] = {
    "rates": _rates,
    "half": _half,
    "peers": _peers,
    "memory": _memory,
    "overload": _overload,
    "shutdown": _shutdown,
    "schema": _schema,
}


def _ms(seconds: float) -> str:
    return f"{seconds * 1e3:.1f}"


if __name__ == "__main__":
    main()
