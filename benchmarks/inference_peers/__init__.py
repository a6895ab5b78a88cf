"""The processes of ``benchmarks.inference``."""
