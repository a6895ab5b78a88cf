"""Data larger than one machine: work on a Ray cluster. Needs the extra ``ray``."""
