"""Load, and what the service is compared with, for `benchmarks.serve`."""
