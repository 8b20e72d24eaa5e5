"""The model's raw text in, blocks, Markdown and files out."""
