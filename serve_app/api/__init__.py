"""The HTTP interface, over any `serve_app.reading.Reader`."""
