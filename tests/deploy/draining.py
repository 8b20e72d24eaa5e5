"""A cluster of two machines on this one, of which one is drained under load; the last line tells how it went.

It runs in a process of its own: the tests' own process may have a Ray already.
"""

import asyncio
import json
import os
from collections import Counter

os.environ |= {"RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0"}

import ray
from ray import serve
from ray.cluster_utils import Cluster
from ray.serve.handle import DeploymentHandle

from benchmarks.patient_ray import started
from serve_app.draining import drain


@serve.deployment(
    num_replicas=2,
    max_replicas_per_node=1,
    ray_actor_options={"num_cpus": 1},
    graceful_shutdown_wait_loop_s=0.1,
    logging_config={"log_level": "WARNING"},
)
class Slow:
    async def __call__(self, seconds: float) -> str:
        """Answer after a while with the machine that this runs on."""
        await asyncio.sleep(seconds)
        return ray.get_runtime_context().get_node_id()


async def both(handle: DeploymentHandle[object]) -> set[str]:
    """Ask until both replicas have answered."""
    seen: set[str] = set()
    while len(seen) < 2:
        seen |= set(await asyncio.gather(*(handle.remote(0) for _ in range(10))))
    return seen


async def run(handle: DeploymentHandle[object], spare: "Cluster") -> dict[str, object]:
    """Drain one machine while both have requests, with a third one to move to."""
    first, _ = sorted(await both(handle))
    under_way = [asyncio.ensure_future(handle.remote(3)) for _ in range(12)]
    await asyncio.sleep(0.5)  # they are with the replicas by now
    started(lambda: spare.add_node(num_cpus=1))
    left = await asyncio.to_thread(drain, first, 240)
    answers = Counter(await asyncio.gather(*under_way, return_exceptions=True))
    after = await both(handle)
    return {
        "left": left,
        "answered": sum(count for answer, count in answers.items() if isinstance(answer, str)),
        "of_the_drained": answers[first],
        "drained_is_gone": first not in after,
    }


def main() -> None:
    head = {"num_cpus": 0, "include_dashboard": False}
    cluster = started(lambda: Cluster(initialize_head=True, head_node_args=head))
    for _ in range(2):
        started(lambda: cluster.add_node(num_cpus=1))
    ray.init(address=cluster.address, log_to_driver=False)
    serve.start(http_options={"location": "NoServer"})
    handle = serve.run(Slow.bind())
    print(json.dumps(asyncio.run(run(handle, cluster))))  # noqa: T201 - the test reads it
    serve.shutdown()
    ray.shutdown()
    cluster.shutdown()


if __name__ == "__main__":
    main()
