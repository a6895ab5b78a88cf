"""Parts of `benchmarks.fidelity`: data sets, one script for each method, and a worker process."""
