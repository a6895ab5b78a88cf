"""Run every benchmark, one after the other: ``make bench``."""

from benchmarks import first_path

for script in (first_path,):
    print(f"benchmarks.{script.__name__.rpartition('.')[2]}", flush=True)
    script.main()
