"""Connecting to Ray, and what its cluster has."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import ray
from ray._private.ray_logging import global_worker_stdstream_dispatcher

from deployments.errors import EngineUnavailable
from serve_app.sizing import Resources

ESSENTIAL = ("gcs_server", "raylet")
"""The head's two processes without which nothing new starts, or nothing runs."""


@contextmanager
def connected() -> Iterator[None]:
    """Use the cluster that `RAY_ADDRESS` names, or a Ray of our own on this machine, quietly.

    A Ray of our own leaves others on the machine alone and announces itself on loopback; see also
    `serve_app.environment`. Where Ray is connected already, that is used and kept.

    Raises:
        EngineUnavailable: Ray can't be started or reached.
    """
    if ray.is_initialized():
        yield
        return
    try:
        if is_given():
            ray.init(logging_level=logging.WARNING)
        else:
            ray.init(
                "local", include_dashboard=False, logging_level=logging.WARNING, _node_ip_address="127.0.0.1"
            )
    # Where its processes take longer than 30 seconds to start, as on a machine at full load, Ray raises a
    # plain Exception.
    except Exception as error:
        raise EngineUnavailable(f"Ray can't be started or reached; try again. It said: {error}") from error
    try:
        yield
    finally:
        ray.shutdown()


def is_given() -> bool:
    """Whether Ray is a cluster that `RAY_ADDRESS` names, which may grow, and not one of our own."""
    return "RAY_ADDRESS" in os.environ


def lost_processes() -> list[str]:
    """Name those of Ray's processes that this one started, can't do without, and that have died."""
    node: Any = ray._private.worker._global_node  # Ray has no public way to ask
    if node is None:
        return []
    return [name for name, _ in node.dead_processes() if name in ESSENTIAL]


def kill_processes() -> None:
    """Kill those of Ray's processes that this one started; its workers end with their raylet."""
    node: Any = ray._private.worker._global_node
    if node is not None:
        node.kill_all_processes(check_alive=False, allow_graceful=False)


def silence_workers() -> None:
    """Stop printing here what workers print; their log files have it. Until Ray is connected anew."""
    # Ray has no public way to stop it once it is connected; this is what its own disconnecting does.
    global_worker_stdstream_dispatcher.remove_handler("ray_print_logs")


def cluster_resources() -> Resources:
    """Return the CPUs and GPUs of the cluster that Ray is connected to."""
    totals = ray.cluster_resources()
    return Resources(cpus=int(totals.get("CPU", 0)), gpus=int(totals.get("GPU", 0)))
