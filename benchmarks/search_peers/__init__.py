"""Parts of `benchmarks.search`: data sets, retrieval and speed."""
