"""Benchmarks: what Refold is measured by.  README.md says what each script shows."""
