"""Where the application's own log lines go."""

import logging


def log_to_stderr() -> None:
    """Write what `serve_app` and `deployments` log to this process's standard error, as it stands.

    Ray collects that of its workers; a line of the request log is JSON already.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(message)s"))
    for name in ("serve_app", "deployments"):
        logger = logging.getLogger(name)
        if not logger.handlers:
            logger.addHandler(handler)
            logger.setLevel(logging.INFO)
            logger.propagate = False
