"""Run the benchmarks one after the other: ``make bench``.

``cluster``, ``cluster_training``, ``explore``, ``fidelity``, ``lengths``, ``onnx``, ``patience``
and ``search`` are not among them.
"""

from benchmarks import (
    bits,
    contention,
    denoising,
    detection,
    first_path,
    forecasting,
    inference,
    lines_of_text,
    lstm,
    missing,
    probe,
    serve,
    training,
)

for script in (
    bits, contention, denoising, detection, first_path, forecasting, inference, lines_of_text,
    lstm, missing, probe, serve, training,
):  # fmt: skip
    print(f"benchmarks.{script.__name__.rpartition('.')[2]}", flush=True)
    script.main()
