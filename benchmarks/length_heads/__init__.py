"""Other models of the length, for `benchmarks.lengths`."""
