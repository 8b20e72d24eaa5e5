"""A Ray on this machine for one run."""

import os
import shutil
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ray

from benchmarks.gpu.spec import Spec
from deployments.types import PreparedPage

STORE_SHARE = 0.8
"""Of the shared memory that is free, for Ray's object store."""

MOST_STORE_BYTES = 32 * 10**9
"""640 pages of 13.8 MB under way are 9 GB; this leaves room for those between the stages."""


@contextmanager
def ray_of_our_own(spec: Spec) -> Iterator[dict[str, Any]]:
    """Start Ray and stop it; yields what is worth knowing of it.

    Args:
        spec: whose `options` may hold `ray`, arguments of `ray.init`.
    """
    os.environ.setdefault("RAY_AUTH_MODE", "disabled")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    shared = shutil.disk_usage("/dev/shm").free if Path("/dev/shm").is_dir() else 0  # noqa: S108 - Ray's place
    store = min(int(shared * STORE_SHARE), MOST_STORE_BYTES)
    arguments = {"object_store_memory": store, "include_dashboard": False, **spec.options.get("ray", {})}
    ray.init("local", **arguments)
    try:
        yield {"shared_memory_gb": round(shared / 1e9, 1), "object_store_gb": round(store / 1e9, 1)}
    finally:
        ray.shutdown()


def transport_ms(page: PreparedPage, rounds: int = 10) -> float:
    """Return the median milliseconds that a prepared page takes from one Ray process to another."""

    @ray.remote(num_cpus=0)
    def size(page: PreparedPage) -> int:
        return page.views.tiles.nbytes if page.views else 0

    times = []
    for _ in range(rounds + 1):
        began = time.perf_counter()
        ray.get(size.remote(ray.put(page)))
        times.append(time.perf_counter() - began)
    return round(statistics.median(times[1:]) * 1_000, 2)
