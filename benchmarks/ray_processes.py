"""What the processes of a Ray that this process started use: processor time by role, and memory."""

import re
from collections import defaultdict
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field

import psutil

from benchmarks.process_name import process_name

_REPLICA = re.compile(r"ray::ServeReplica:\w+:(\w+)")
_ROLES = {
    "ray::ProxyActor": "proxy",
    "ray::HAProxyManager": "proxy",
    "haproxy": "proxy",
    "ray::ServeController": "controller",
    "raylet": "raylet",
    "gcs_server": "gcs",
    "ray::DashboardAgent": "agents",
    "ray::RuntimeEnvAgent": "agents",
    "deployments.preprocess.sandbox_child": "sandbox",
}


@dataclass(frozen=True, slots=True)
class Usage:
    """A moment's count.

    Attributes:
        cpu_seconds: so far, by role; a role is a deployment's name or a part of Ray.
        memory_bytes: resident and not shared, all processes together.
        largest_worker_bytes: of the largest of Ray's workers.
    """

    cpu_seconds: Mapping[str, float] = field(default_factory=dict)
    memory_bytes: int = 0
    largest_worker_bytes: int = 0

    def since(self, earlier: "Usage") -> dict[str, float]:
        """Return processor seconds by role since an earlier moment; a process that ended counts no more."""
        return {
            role: max(0.0, seconds - earlier.cpu_seconds.get(role, 0.0))
            for role, seconds in self.cpu_seconds.items()
        }


def usage() -> Usage:
    """Count the processes below this one; it itself is left out."""
    cpu: defaultdict[str, float] = defaultdict(float)
    memory = largest_worker = 0
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.Error), process.oneshot():
            name, times = process_name(process) or "", process.cpu_times()
            cpu[_role(name)] += times.user + times.system
            held = own_bytes(process)
            memory += held
            if name.startswith("ray::"):
                largest_worker = max(largest_worker, held)
    return Usage(cpu, memory, largest_worker)


def own_bytes(process: psutil.Process) -> int:
    """Return a process's memory that is resident and not shared."""
    memory = process.memory_info()
    return int(memory.rss - memory.shared)


def _role(name: str) -> str:
    replica = _REPLICA.match(name)
    return replica.group(1).lower() if replica else _ROLES.get(name, "other")
