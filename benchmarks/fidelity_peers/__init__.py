"""What `benchmarks.fidelity` runs: data sets, one script a method, and the process around it."""
