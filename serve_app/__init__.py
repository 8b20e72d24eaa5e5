"""The application: settings, the Ray Serve graph, the HTTP interface, bulk jobs and the command line."""
