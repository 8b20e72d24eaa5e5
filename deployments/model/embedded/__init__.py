"""A classical OCR on the CPU that writes the model's own markup: no GPU, no download, no network."""
