"""A prepared page in, the model's raw text out."""
