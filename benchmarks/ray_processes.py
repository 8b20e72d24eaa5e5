"""What the processes of a Ray that this process started use: processor time by role, and memory."""

import re
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field

import psutil

_REPLICA = re.compile(r"^ray::(?:ServeReplica:\w+:|SERVE_REPLICA::\w+#)(\w+)")
_OTHERS = {
    "ProxyActor": "proxy",
    "ServeController": "controller",
    "raylet": "raylet",
    "gcs_server": "gcs",
    "agent.py": "agents",
    "runtime_env": "agents",
    "sandbox_child": "sandbox",
}


@dataclass(frozen=True, slots=True)
class Usage:
    """A moment's count.

    Attributes:
        cpu_seconds: so far, by role; a role is a deployment's name or a part of Ray.
        memory_bytes: resident and not shared, all processes together.
    """

    cpu_seconds: Counter[str] = field(default_factory=Counter)
    memory_bytes: int = 0

    def since(self, earlier: "Usage") -> dict[str, float]:
        """Return processor seconds by role since an earlier moment; a process that ended counts no more."""
        return {
            role: max(0.0, seconds - earlier.cpu_seconds.get(role, 0.0))
            for role, seconds in self.cpu_seconds.items()
        }


def usage() -> Usage:
    """Count the processes below this one; it itself is left out."""
    cpu: Counter[str] = Counter()
    memory = 0
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            name = " ".join(process.cmdline())
            times, held = process.cpu_times(), process.memory_info()
            cpu[_role(name)] += times.user + times.system
            memory += held.rss - held.shared
    return Usage(cpu, memory)


def _role(command: str) -> str:
    replica = _REPLICA.match(command)
    if replica:
        return replica.group(1).lower()
    return next((role for mark, role in _OTHERS.items() if mark in command), "other")
