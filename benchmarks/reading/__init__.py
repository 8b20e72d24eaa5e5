"""How well pages are read: truth, readers, metrics, and a report."""
