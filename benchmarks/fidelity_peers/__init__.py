"""Parts of `benchmarks.fidelity`: the methods, what is run, and the page."""
