"""Faults at random under load: what fails, what is lost, and how long until the service is whole again.

    python -m benchmarks.chaos --minutes 30 --out benchmarks/results/chaos.json

The whole service runs on a cluster of several nodes, all on this machine, with an engine double that
only waits. Load comes over HTTP at a share of what the double can do: single pages, streams, clients
that leave, and jobs. Beside it every kind of fault is made in turn (`benchmarks/faults/faults.py`), the
next a while after the service is whole again. Every answer is compared with the right one. Progress goes
to standard error; the last line is JSON.
"""

import argparse
import asyncio
import contextlib
import json
import os
import platform
import signal
import statistics
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ray

from benchmarks.faults.faults import Fault, Faults
from benchmarks.faults.load import Load, Outcome, jobs_lost
from benchmarks.faults.service import Service, running_service

NODES, SLOTS, LATENCY_S = 3, 4, 1.5
WARM_UP_S = 10.0


class BackgroundLoad:
    """A load in a thread of its own."""

    def __init__(self, load: Load) -> None:
        self.tally = load.tally
        self._load = load
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        with contextlib.closing(self._loop):
            self._loop.run_until_complete(self._load.run(self._stop))

    def end(self) -> None:
        """Send no more, and wait for what is under way."""
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()


def run_chaos(
    service: Service,
    seconds: float,
    share: float,
    *,
    seed: int = 1,
    pause_s: tuple[float, float] = (5, 15),
    only: tuple[str, ...] = (),
    tell: Callable[[dict[str, Any]], None] = lambda _: None,
) -> dict[str, Any]:
    """Make faults under load and return what came of it.

    Args:
        service: whole.
        seconds: for which faults are made; the last may take longer to mend.
        share: of the engines' capacity that the load takes.
        seed: of load and faults.
        pause_s: shortest and longest pause between a whole service and the next fault.
        only: kinds of faults; none for all.
        tell: is given the figures so far after each fault.
    """
    load = BackgroundLoad(Load(service.address, service.capacity * share, 20.0, seed))
    began = time.monotonic()
    time.sleep(WARM_UP_S)
    faults = Faults(service, seed)

    def figures() -> dict[str, Any]:
        tally, now = load.tally, time.monotonic()
        failures = tally.failures()
        return {
            "seconds": round(now - began),
            "load_share": share,
            "pages_per_s_offered": round(service.capacity * share, 2),
            "requests": len(tally.outcomes),
            "results": tally.results(),
            "failed": len(failures),
            "failed_unclearly": sum(is_unclear(failure.result) for failure in failures),
            "not_sent": tally.not_sent,
            "latency_s": tally.latency(),
            "faults": len(faults.made),
            "by_fault": by_fault(faults.made, list(tally.outcomes), now),
            "jobs": {"accepted": len(tally.jobs), "refused": dict(tally.refused_jobs)},
        }

    faults.make_in_turn(time.monotonic() + seconds, pause_s, only, lambda: tell(figures()))
    time.sleep(WARM_UP_S)
    load.end()
    found = figures()
    whole = service.whole_within(faults.limit_s)
    lost = jobs_lost(service.address, load.tally.jobs, 300)
    return found | {"jobs": found["jobs"] | lost, "whole_at_the_end": whole}


def is_unclear(result: str) -> bool:
    """Whether a failure does not say what it is: no answer, a wrong one, or an error without a code.

    Serve's proxy answers 500 in plain text where the ingress replica itself died under a request.
    """
    return result in ("unanswered", "wrong", "unreadable", "stream broke off") or "unclear" in result


def by_fault(faults: list[Fault], outcomes: list[Outcome], ended: float) -> dict[str, Any]:
    """Return, for each kind of fault, how often it was made and what followed until the next one."""
    rows: dict[str, dict[str, Any]] = defaultdict(
        lambda: {"made": 0, "failed": 0, "results": defaultdict(int), "whole_after_s": [], "failing_s": []}
    )
    limits = [fault.at for fault in faults[1:]] + [ended]
    for fault, limit in zip(faults, limits, strict=True):
        row = rows[fault.kind]
        row["made"] += 1
        row["whole_after_s"].append(fault.whole_after_s)
        # A request is put to the fault in whose time it failed.
        failed = [o for o in outcomes if fault.at <= o.ended < limit and o.result not in ("ok", "left")]
        row["failed"] += len(failed)
        for outcome in failed:
            row["results"][outcome.result] += 1
        row["failing_s"].append(round(max((o.ended - fault.at for o in failed), default=0.0), 1))
    for row in rows.values():
        row["results"] = dict(row["results"])
        whole = [after for after in row["whole_after_s"] if after is not None]
        row["whole_after_s_median"] = statistics.median(whole) if whole else None
    return dict(sorted(rows.items()))


def conditions() -> dict[str, Any]:
    """Return what the figures were measured on."""
    return {
        "date": time.strftime("%Y-%m-%d"),
        "cpus": os.cpu_count(),
        "load_average": [round(load, 1) for load in os.getloadavg()],
        "python": platform.python_version(),
        "ray": ray.__version__,
    }


def end_in_order() -> None:
    """Have SIGTERM, such as `timeout` sends, end this process as an exception does: with its service."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by SIGTERM"))


def main() -> None:
    """Run the benchmark."""
    end_in_order()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--share", type=float, default=0.5)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--only", nargs="*", default=(), help="kinds of faults, by name")
    arguments = parser.parse_args()
    result = {
        "benchmark": "chaos",
        **conditions(),
        "nodes": NODES,
        "engine": f"double: {SLOTS} pages at once, {LATENCY_S} s each, 3 replicas",
    }

    def tell(figures: dict[str, Any]) -> None:
        result.update(figures, load_average_after=[round(load, 1) for load in os.getloadavg()])
        if arguments.out:
            arguments.out.write_text(json.dumps(result, indent=1) + "\n")

    with running_service(NODES, SLOTS, LATENCY_S) as service:
        figures = run_chaos(
            service,
            arguments.minutes * 60,
            arguments.share,
            seed=arguments.seed,
            only=tuple(arguments.only),
            tell=tell,
        )
        tell(figures)
    sys.stdout.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()
