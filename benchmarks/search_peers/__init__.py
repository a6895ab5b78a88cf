"""Parts of `benchmarks.search`."""
