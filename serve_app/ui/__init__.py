"""The page for people, on a deployment of its own: it serves files, and the browser asks the HTTP interface."""
