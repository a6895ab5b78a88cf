"""Implementations of the LSTM, each timed in a process of its own, for ``benchmarks.lstm``."""
