"""What `benchmarks.training` runs: each module is a process of its own."""
