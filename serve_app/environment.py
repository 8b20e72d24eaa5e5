"""What Ray reads from the environment, once, as it is imported."""

import os


def prepare_ray() -> None:
    """Set what Ray should find where the user has not set it; to be called before Ray is imported.

    A Ray of our own has ports that are open to the network, so it takes orders only with the token that
    it keeps in the user's home. A cluster that `RAY_ADDRESS` names has its own ways.

    A replica that answers no health check is killed rather than asked to drain, which it can't: its pages
    are then read again two minutes earlier.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_SERVE_FORCE_STOP_UNHEALTHY_REPLICAS", "1")
    if "RAY_ADDRESS" not in os.environ:
        os.environ.setdefault("RAY_AUTH_MODE", "token")
