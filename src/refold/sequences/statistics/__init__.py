"""Means, deviations and extreme values of columns."""
