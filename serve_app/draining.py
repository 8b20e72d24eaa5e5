"""`dsocr drain`: take a machine out of service before it is stopped.

Serve starts replacements for the machine's replicas elsewhere, sends them no more requests and stops
each once it has answered those it has. Ray's own command for this tells nobody when that is done.
"""

import logging
import time

import ray
from ray._raylet import GcsClient  # type: ignore[attr-defined] # compiled, without type hints
from ray.core.generated import autoscaler_pb2
from ray.serve.context import _get_global_client

from deployments.errors import ConfigurationError

POLL_S = 0.5
"""Pause between two looks at what is left on the machine."""


_PREEMPTION: int = autoscaler_pb2.DrainNodeReason.Value("DRAIN_NODE_REASON_PREEMPTION")  # type: ignore[attr-defined] # generated
"""An idle machine's drain would be refused while replicas run."""


def drain_this_machine(grace_s: float) -> int:
    """Drain the machine that this process runs on; see `drain`.

    Raises:
        ConfigurationError: no Ray runs here.
    """
    try:
        ray.init("auto", logging_level=logging.ERROR)
    except ConnectionError as error:
        raise ConfigurationError("No Ray cluster runs on this machine.") from error
    try:
        return drain(ray.get_runtime_context().get_node_id(), grace_s)
    finally:
        ray.shutdown()


def drain(node_id: str, grace_s: float) -> int:
    """Take a node out of service, and wait until its replicas have gone.

    Args:
        node_id: of the node, in hexadecimal.
        grace_s: longest wait, in seconds.

    Returns:
        How many replicas are left on it: 0 unless the grace was too short.

    Raises:
        ConfigurationError: Ray refuses to drain the node.
    """
    client = GcsClient(address=ray.get_runtime_context().gcs_address)
    deadline_ms = int((time.time() + grace_s) * 1000)
    accepted, why = client.drain_node(
        node_id,
        _PREEMPTION,
        "dsocr drain",
        deadline_ms,
    )
    if not accepted:
        raise ConfigurationError(f"Ray does not drain this machine: {why}")
    give_up = time.monotonic() + grace_s
    while (left := _replicas_on(node_id)) and time.monotonic() < give_up:
        time.sleep(POLL_S)
    return left


def _replicas_on(node_id: str) -> int:
    """Count Serve's replicas on a node; none where Serve does not run."""
    client = _get_global_client(raise_if_no_controller_running=False)
    if client is None:
        return 0
    applications = client.get_serve_details().get("applications", {}).values()
    return sum(
        replica.get("node_id") == node_id  # a replica that starts has none yet
        for application in applications
        for deployment in application["deployments"].values()
        for replica in deployment["replicas"]
    )
