"""Benchmarks of Refold.  README.md says what each script measures."""
