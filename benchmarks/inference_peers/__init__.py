"""Processes that ``benchmarks.inference`` starts."""
