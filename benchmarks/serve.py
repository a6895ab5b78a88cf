"""The service under load, next to the offline rate and to a simple service with FastAPI.

``python -m benchmarks.serve [--parts PART ...]`` fits models to sines of 10 to 1000 steps and to
JapaneseVowels, serves them with ``refold serve``, and writes ``results/serve.json`` and
``results/serve.md``. A part that is not measured keeps its previous results. The clients and the
service share the cores of the machine.
"""

import argparse
import json
import tempfile
import warnings
from pathlib import Path
from typing import Any

from benchmarks._results import PACKAGES, environment, results_folder, table, write_page
from benchmarks.serve_peers import parts as measure

ENCODING = {
    "mixed": "sines, 10 to 1000 steps",
    "vowels": "JapaneseVowels, 10 steps of latent optimization",
    "plain": "JapaneseVowels, no latent optimization",
}
SHOWN = (*PACKAGES, "uvicorn", "uvloop", "httptools", "msgspec", "pyarrow", "fastapi")
PARTS = ("rates", "peers", "memory", "overload")


def main() -> None:
    """Measure the parts and write the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--parts", nargs="*", choices=PARTS, default=PARTS)
    parser.add_argument(
        "--requests", type=int, default=200_000, help="number of requests for the memory test"
    )
    parser.add_argument("--seconds", type=float, default=5.0, help="of a measurement")
    parser.add_argument("--page", action="store_true", help="write the page without measurements")
    parser.add_argument("--quick", action="store_true", help="only check that everything runs")
    given = parser.parse_args()
    if given.quick:
        given.seconds, given.requests = 0.3, 100
    folder = results_folder(complete=not given.quick)
    path = folder / "serve.json"
    results = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    warnings.simplefilter("ignore", UserWarning)
    if not given.page:
        with tempfile.TemporaryDirectory() as name:
            bench = measure.fit(Path(name), given.seconds)
            for part in given.parts:
                options = [given.requests] if part == "memory" else []
                results[part] = getattr(measure, part)(bench, *options)
                results["about"] = environment(SHOWN)
                path.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    shown = [_section(part, results[part]) for part in PARTS if part in results]
    page = [text for section in shown for text in section]
    write_page("serve", "The service", page, about=results["about"], folder=folder)


def _section(part: str, found: Any) -> list[str]:
    """Return the title of a part, its text, and a table if it has several rows."""
    title, text, *columns = _SECTIONS[part]
    one = {} if columns else _shown(found)
    shown = [f"## {title}", text.format(clients=measure.CLIENTS, **one)]
    if columns:
        rows = [[form.format(**_shown(row)) for _, form in columns] for row in found]
        shown.append(table([name for name, _ in columns], rows))
    return shown


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    """Return what the page shows of a row: milliseconds, the name of the data, and ratios."""
    shown = {key: 1e3 * row[key] if key.endswith(("p50", "p99")) else row[key] for key in row}
    shown["data"] = ENCODING.get(row.get("data", ""))
    for name, above, below in _RATIOS:
        if above in row and below in row:
            shown[name] = row[above] / row[below]
    return shown


# Name of a ratio, and the values that it relates.
_RATIOS = (
    ("share", "rate", "offline"),
    ("alike", "together", "offline"),
    ("gain", "our_rate", "rate"),
    ("times", "offered", "largest"),
)
# By part: title, text, and the columns of a table.
_SECTIONS: dict[str, tuple[Any, ...]] = {
    "rates": (
        "Rates",
        "Each of {clients} clients sends its next request when it has the response to the "
        "last one. The clients run in one thread, and share the cores with the service. The "
        "offline rate is the best of five calls of `transform` on all sequences at once. Two "
        "things bound the ratio. First, at most {clients} requests can be computed "
        'together. The column "offline, same batch" is the ratio that `transform` reaches on as '
        "many sequences as these requests have. Second, the service and the clients need CPU time "
        "for HTTP and for the format. The table has the CPU time per sequence of all threads.",
        ("data", "{data}"),
        ("format", "{form}"),
        ("sequences per request", "{each}"),
        ("sequences per second", "{rate:,.0f}"),
        ("offline", "{offline:,.0f}"),
        ("ratio", "{share:.2f}"),
        ("offline, same batch", "{alike:.2f}"),
        ("CPU time of the service, µs", "{service_us:,.0f}"),
        ("clients, µs", "{clients_us:,.0f}"),
        ("offline, µs", "{offline_us:,.0f}"),
        ("median, ms", "{p50:.1f}"),
        ("p99, ms", "{p99:.1f}"),
    ),
    "peers": (
        "FastAPI",
        "For comparison, a FastAPI service calls `encoder.predict` for each request. Sequences are "
        "padded to a power of two, and all shapes are compiled in advance. A request has one "
        "sequence in JSON, and there is no latent optimization.",
        ("data", "{data}"),
        ("FastAPI, requests per second", "{rate:,.0f}"),
        ("Refold", "{our_rate:,.0f}"),
        ("ratio", "{gain:.1f}"),
        ("FastAPI, CPU time, µs", "{service_us:,.0f}"),
        ("Refold", "{our_service_us:,.0f}"),
        ("FastAPI, p99, ms", "{p99:.1f}"),
        ("Refold", "{our_p99:.1f}"),
    ),
    "memory": (
        "Memory",
        "The process uses {megabytes[0]:.0f} MB of memory at the start, and {megabytes[1]:.0f} MB, "
        "{megabytes[2]:.0f} MB, {megabytes[3]:.0f} MB after a tenth, a half and all of {number:,} "
        "requests. {failed} requests failed.",
    ),
    "overload": (
        "Overload",
        "With {each} utterances per request, {clients} clients reached {largest:,.0f} requests per "
        "second. Then 320 clients sent {offered:,.0f} requests per second ({times:.1f} times as "
        "many). {rate:,.0f} per second succeeded, and {refused:,} were refused with 429 or 503. "
        "Half of the refusals came within {refusal_p50:.1f} ms after the request was due, and 99 % "
        "within {refusal_p99:.1f} ms. {failed} requests failed otherwise. In the following second, "
        "the rate was {after:,.0f}.",
    ),
}


if __name__ == "__main__":
    main()
