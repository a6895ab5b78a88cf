"""Run benchmarks one after the other: ``make bench``, or ``python -m benchmarks [NAME ...]``."""

import argparse
import subprocess
import sys

# Those that need neither hours nor a cluster, in the order in which they run by default.
SHORT = (
    "first_path",
    "forecasting",
    "inference",
    "lstm",
    "missing",
    "onnx",
    "probe",
    "serve",
    "training",
)
LONG = ("cluster", "fidelity", "search")


def main() -> None:
    """Run the named benchmarks, or all that do not take hours."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "names",
        nargs="*",
        metavar="NAME",
        help=f"{', '.join(SHORT)} (these by default), {', '.join(LONG)}",
    )
    names = parser.parse_args().names
    if unknown := set(names) - {*SHORT, *LONG}:
        parser.error(f"there is no benchmark {', '.join(sorted(unknown))}. See --help.")
    for name in names or SHORT:
        print(f"benchmarks.{name}", flush=True)
        subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], check=True)


if __name__ == "__main__":
    main()
