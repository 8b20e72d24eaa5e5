"""Bytes of a document in, page images and model inputs out."""
