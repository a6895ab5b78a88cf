"""Means, standard deviations and extreme values of columns."""
