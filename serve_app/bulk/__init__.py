"""Bulk jobs: a corpus from a Parquet manifest, read with Ray Data."""
