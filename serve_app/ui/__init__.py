"""The page for people: a deployment of its own that serves files; the browser asks the HTTP interface."""
