"""Helpers for all packages, independent of sequences and models."""
