"""Modules that `benchmarks.training` runs, each in its own process."""
