"""Connecting to Ray, and what its cluster has."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager

import ray

from serve_app.sizing import Resources


@contextmanager
def connected() -> Iterator[None]:
    """Use the cluster that `RAY_ADDRESS` names, or a Ray of our own on this machine, quietly.

    A Ray of our own leaves others on the machine alone. Some of its ports are open to the network, so
    it takes orders only with the token that Ray keeps in the user's home (`RAY_AUTH_MODE` overrides
    that), and announces itself on loopback. Where Ray is connected already, that is used and kept.
    """
    if ray.is_initialized():
        yield
        return
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    if "RAY_ADDRESS" in os.environ:
        ray.init(logging_level=logging.WARNING)
    else:
        os.environ.setdefault("RAY_AUTH_MODE", "token")
        ray.init(
            "local", include_dashboard=False, logging_level=logging.WARNING, _node_ip_address="127.0.0.1"
        )
    try:
        yield
    finally:
        ray.shutdown()


def cluster_resources() -> Resources:
    """Return the CPUs and GPUs of the cluster that Ray is connected to."""
    totals = ray.cluster_resources()
    return Resources(cpus=int(totals.get("CPU", 0)), gpus=int(totals.get("GPU", 0)))
