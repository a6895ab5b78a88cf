"""Run every benchmark but ``fidelity``, one after the other: ``make bench``."""

from benchmarks import denoising, detection, first_path, forecasting, lstm, missing, probe, training

for script in (denoising, detection, first_path, forecasting, lstm, missing, probe, training):
    print(f"benchmarks.{script.__name__.rpartition('.')[2]}", flush=True)
    script.main()
