"""Parquet files larger than memory."""
