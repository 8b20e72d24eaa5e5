"""The whole service on a cluster of several nodes, all of them on this machine."""

import logging
import os
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import psutil
import ray
from ray import serve
from ray.cluster_utils import Cluster
from ray.exceptions import RayError
from ray.serve._private.common import ReplicaState
from ray.serve.config import HTTPOptions, ProxyLocation

from benchmarks.faults.engine import SteadyEngine
from benchmarks.patient_ray import patient_start
from serve_app.graph import APP_NAME, build_app
from serve_app.settings import load_settings
from serve_app.sizing import Resources

NODE_CPUS = 4
PATIENCE = {
    "RAY_gcs_rpc_server_reconnect_timeout_s": "600",
    "RAY_health_check_timeout_ms": "60000",
    "RAY_health_check_failure_threshold": "20",
    "RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S": "60",
}
"""For machines so busy with other work that Ray's own processes may get no turn for a minute."""

OBJECT_STORE = 100 * 2**20
"""Bytes of a node's object store: its pages are small."""

REPLICAS = {"ingress": 2, "preprocess": 2, "model": 3, "postprocess": 2}


class Service:
    """The graph over an engine double, and the cluster that it runs on.

    The head takes the Serve controller and the HTTP proxy; replicas go where CPUs are, which the head
    has none of.

    Args:
        cluster: whose head is up.
        folder: for jobs and orders.
        slots: pages that each engine reads at once.
        latency: seconds for a page.
    """

    def __init__(self, cluster: Cluster, folder: Path, slots: int, latency: float) -> None:
        self.cluster = cluster
        self.folder = folder
        self.orders = folder / "orders"
        self.orders.mkdir()
        self._create = partial(SteadyEngine, slots, latency, str(self.orders))
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.address = f"http://127.0.0.1:{self.port}"
        self.capacity = REPLICAS["model"] * slots / latency

    def add_node(self) -> Any:
        """Add a node for replicas."""
        return started(lambda: self.cluster.add_node(num_cpus=NODE_CPUS, object_store_memory=OBJECT_STORE))

    def start(self) -> None:
        """Start the HTTP proxy on the head, and the graph.

        Raises:
            RuntimeError: it was not whole within five minutes.
        """
        options = HTTPOptions(host="127.0.0.1", port=self.port)
        with suppress(RayError):  # a proxy that is slow to start is replaced
            serve.start(proxy_location=ProxyLocation.HeadOnly, http_options=options)
        self.deploy()
        if not self.whole_within(300):
            raise RuntimeError(f"The service did not become whole: {self.missing()}.")

    def deploy(self, **changed: Any) -> None:
        """Deploy the graph; a second time, with changed settings, it is a rolling upgrade."""
        scaling = {
            stage: {"min_replicas": count, "max_replicas": count, "num_cpus": 0.25}
            for stage, count in REPLICAS.items()
        }
        settings = load_settings(
            {
                "model": {"engine": "embedded", "stall_timeout_s": 10},
                "scaling": scaling,
                "jobs": {"directory": str(self.folder / "jobs"), "pages_in_flight": 4},
                **changed,
            }
        )
        serve.run(build_app(settings, Resources(cpus=8, gpus=0), self._create), name=APP_NAME)

    def processes(self, title: str) -> list[psutil.Process]:
        """Return processes of this cluster whose title begins with the given words."""
        found = []
        for process in psutil.Process().children(recursive=True):
            try:
                line = process.cmdline()
            except psutil.Error:  # it ended meanwhile
                continue
            if line and line[0].startswith(title):
                found.append(process)
        return found

    def missing(self) -> str:
        """Say what is not as it should be; nothing if the service is whole."""
        application = serve.status().applications.get(APP_NAME)
        if application is None:
            return "the application"
        for name, deployment in application.deployments.items():
            wanted = REPLICAS.get(name.lower(), 1)
            running = deployment.replica_states.get(ReplicaState.RUNNING, 0)
            others = sum(deployment.replica_states.values()) - running
            if running != wanted or others:
                return f"{name}: {deployment.replica_states}"
        try:
            ready = httpx.get(f"{self.address}/readyz", timeout=10).status_code
        except httpx.HTTPError as error:
            return f"the proxy: {error}"
        return "" if ready == 200 else f"readiness: {ready}"

    def whole_within(self, limit_s: float) -> bool:
        """Wait until every replica runs; returns whether that came in time."""
        deadline = time.monotonic() + limit_s
        while time.monotonic() < deadline:
            try:
                if not self.missing():
                    return True
            except (RayError, RuntimeError, TimeoutError):
                pass  # the controller itself is being replaced
            time.sleep(0.5)
        return False


def started(start: Callable[[], Any]) -> Any:
    """Start a node; once more where even then Ray did not answer in time."""
    with patient_start():
        try:
            return start()
        except RayError:
            return start()


@contextmanager
def running_service(nodes: int, slots: int, latency: float, *, patient: bool = False) -> Iterator[Service]:
    """Run the service, and stop all of it at the end.

    Args:
        nodes: beside the head.
        slots: pages that each engine reads at once.
        latency: seconds for a page.
        patient: whether Ray takes long silence of its processes for load rather than death.
    """
    if patient:
        os.environ.update(PATIENCE)
    os.environ["RAY_AUTH_MODE"] = "disabled"
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    logging.getLogger("ray.serve").setLevel(logging.WARNING)
    # Short, for the sockets in it; of its own, since Ray notes there which cluster is the latest.
    with tempfile.TemporaryDirectory(prefix="dsocr-", ignore_cleanup_errors=True) as name:
        head = {"num_cpus": 0, "include_dashboard": False, "object_store_memory": OBJECT_STORE}
        cluster = started(lambda: Cluster(initialize_head=True, head_node_args={**head, "temp_dir": name}))
        try:
            service = Service(cluster, Path(name), slots, latency)
            for _ in range(nodes):
                service.add_node()
            ray.init(address=cluster.address, log_to_driver=False, logging_level=logging.WARNING)
            try:
                service.start()
                yield service
                serve.shutdown()
            finally:
                ray.shutdown()
        finally:
            cluster.shutdown()
