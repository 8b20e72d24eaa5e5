"""The metrics of all machines of the cluster in one text, for `/metrics`.

Each machine's Ray agent exports what the processes on it count. On a large cluster Prometheus should ask
the machines itself; asking one address is for one machine, for a look by hand and for `dsocr doctor`.
"""

import asyncio
import logging
import time
from collections.abc import Iterable, Iterator

import httpx
import ray

logger = logging.getLogger(__name__)

PREFIXES = ("ray_dsocr_", "ray_serve_", "ray_node_")
"""What is passed on: ours, Serve's, and the machines' CPUs, memory, disks and GPUs."""

REMEMBERED_S = 1.0
"""How long a text is good for, so that several who ask at once make one round."""

_TIMEOUT_S = 5.0
_MAX_AT_ONCE = 32
"""Machines that are asked side by side."""


class ClusterMetrics:
    """Asks the agents of all machines."""

    def __init__(self) -> None:
        self._http = httpx.AsyncClient(timeout=_TIMEOUT_S, trust_env=False)
        self._lock = asyncio.Lock()
        self._places = asyncio.Semaphore(_MAX_AT_ONCE)
        self._asked_at = float("-inf")
        self._text = ""

    async def text(self) -> str:
        """Return the metrics in Prometheus' text format; a machine that does not answer is left out."""
        async with self._lock:
            if time.monotonic() - self._asked_at > REMEMBERED_S:
                addresses = await asyncio.to_thread(_agents)
                self._text = merged(await asyncio.gather(*map(self._ask, addresses)))
                self._asked_at = time.monotonic()
            return self._text

    async def _ask(self, address: str) -> str:
        async with self._places:
            try:
                reply = await self._http.get(address)
                reply.raise_for_status()
            except httpx.HTTPError as error:
                logger.warning("no metrics from %s: %s", address, error or type(error).__name__)
                return ""
            return reply.text


def _agents() -> list[str]:
    """Return where the metrics of each machine that is alive are."""
    return [
        f"http://{node['NodeManagerAddress']}:{node['MetricsExportPort']}/metrics"
        for node in ray.nodes()
        if node["Alive"]
    ]


def merged(texts: Iterable[str]) -> str:
    """Return texts in Prometheus' format as one, each metric's lines together, as the format asks.

    Args:
        texts: of several machines; their samples differ in labels.
    """
    heads: dict[str, list[str]] = {}
    samples: dict[str, list[str]] = {}
    for text in texts:
        for name, head, lines in _families(text):
            if name.startswith(PREFIXES):
                heads.setdefault(name, head)
                samples.setdefault(name, []).extend(lines)
    return "".join(f"{line}\n" for name, head in heads.items() for line in (*head, *samples[name]))


def _families(text: str) -> Iterator[tuple[str, list[str], list[str]]]:
    """Yield each metric's name, its comment lines and its samples."""
    name, head, lines = "", list[str](), list[str]()
    for line in text.splitlines():
        if line.startswith("# "):
            of = line.split(" ", 3)[2]
            if of != name:
                yield name, head, lines
                name, head, lines = of, [], []
            head.append(line)
        elif line:
            lines.append(line)
    yield name, head, lines
