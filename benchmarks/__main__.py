"""Run every benchmark, one after the other: ``make bench``."""

from benchmarks import first_path, lstm

for script in (first_path, lstm):
    print(f"benchmarks.{script.__name__.rpartition('.')[2]}", flush=True)
    script.main()
