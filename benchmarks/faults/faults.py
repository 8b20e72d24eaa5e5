"""Faults: what is killed, stopped or taken away, at random and in turn."""

import contextlib
import random
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import psutil
from ray._private import ray_constants
from ray.exceptions import RayError

from benchmarks.faults.service import Service

STAGES = ("Ingress", "Preprocess", "Model", "Postprocess", "JobRunner")
NOTICED_WITHIN_S = 4.0
"""Serve notices a death at its next health check, up to two seconds later, at the end of its own round."""

TAKEN_WITHIN_S = 30.0
"""How long an order may lie before an engine takes it."""


@dataclass(slots=True)
class Fault:
    """A fault that was made.

    Attributes:
        kind: which.
        at: `time.monotonic()`.
        whole_after_s: until every replica ran again; None where that did not come in time.
    """

    kind: str
    at: float
    whole_after_s: float | None = None


@dataclass(slots=True)
class Faults:
    """Makes faults in a service.

    Args:
        service: whole at first.
        seed: of the order and the victims.
        limit_s: longest wait for the service to be whole again.
    """

    service: Service
    seed: int = 1
    limit_s: float = 240.0
    made: list[Fault] = field(default_factory=list)
    _random: random.Random = field(init=False)
    _nodes: list[Any] = field(init=False)
    _upgrades: int = 0

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)
        self._nodes = list(self.service.cluster.worker_nodes)

    def kinds(self) -> dict[str, Callable[[], None]]:
        """Return every kind of fault, and how it is made."""
        kinds: dict[str, Callable[[], None]] = {
            f"kill a replica of {stage}": partial(self._kill, f"ray::ServeReplica:dsocr:{stage}")
            for stage in STAGES
        }
        return kinds | {
            "kill every replica of Model": lambda: self._kill("ray::ServeReplica:dsocr:Model", of_all=True),
            "kill the controller": lambda: self._kill("ray::ServeController"),
            "kill the HTTP proxy": lambda: self._kill("ray::ProxyActor"),
            "kill a raylet": self._kill_raylet,
            "lose a node": self._lose_node,
            "an engine hangs": lambda: self._order("hang"),
            "an engine dies, its process stays": lambda: self._order("expire"),
            "a replica of Model is stopped (SIGSTOP)": self._stop_process,
            "rolling upgrade": self._upgrade,
        }

    def make(self, kind: str) -> Fault:
        """Make a fault and wait until the service is whole again."""
        fault = Fault(kind, time.monotonic())
        self.made.append(fault)
        try:
            self.kinds()[kind]()
        except (psutil.Error, RayError, RuntimeError) as error:
            # A victim that was gone already, or a cluster too busy for it: the run goes on.
            fault.kind = f"{kind} (not as meant: {type(error).__name__})"
        time.sleep(NOTICED_WITHIN_S)
        if self.service.whole_within(self.limit_s):
            fault.whole_after_s = round(time.monotonic() - fault.at, 1)
        print(f"{kind}: whole after {fault.whole_after_s} s", file=sys.stderr, flush=True)
        return fault

    def make_in_turn(
        self,
        until: float,
        pause_s: tuple[float, float],
        only: tuple[str, ...] = (),
        made: Callable[[], None] = lambda: None,
    ) -> None:
        """Make faults until a time, each kind once before any a second time.

        Args:
            until: `time.monotonic()` after which no fault is made.
            pause_s: shortest and longest time from a whole service to the next fault.
            only: the kinds to make; none for all.
            made: called after each.
        """
        turn: list[str] = []
        while time.monotonic() < until:
            if not turn:
                turn = list(only or self.kinds())
                self._random.shuffle(turn)
            self.make(turn.pop())
            made()
            time.sleep(self._random.uniform(*pause_s))

    def _kill(self, title: str, *, of_all: bool = False) -> None:
        victims = self.service.processes(title)
        for victim in victims if of_all else self._random.sample(victims, min(len(victims), 1)):
            victim.kill()

    def _stop_process(self) -> None:
        for victim in self.service.processes("ray::ServeReplica:dsocr:Model")[:1]:
            victim.send_signal(signal.SIGSTOP)
            with contextlib.suppress(psutil.TimeoutExpired):
                victim.wait(self.limit_s)

    def _order(self, order: str) -> None:
        file = self.service.orders / order
        file.touch()
        deadline = time.monotonic() + TAKEN_WITHIN_S
        while file.exists() and time.monotonic() < deadline:
            time.sleep(0.1)
        file.unlink(missing_ok=True)
        self._until_replaced()

    def _until_replaced(self) -> None:
        """Wait until a replica of Model has gone, which a hang takes its time for."""
        before = {process.pid for process in self.service.processes("ray::ServeReplica:dsocr:Model")}
        deadline = time.monotonic() + self.limit_s
        while time.monotonic() < deadline and all(psutil.pid_exists(pid) for pid in before):
            time.sleep(0.2)

    def _kill_raylet(self) -> None:
        node = self._nodes.pop(self._random.randrange(len(self._nodes)))
        node.all_processes[ray_constants.PROCESS_TYPE_RAYLET][0].process.kill()
        self._replace(node)

    def _lose_node(self) -> None:
        self._replace(self._nodes.pop(self._random.randrange(len(self._nodes))))

    def _replace(self, node: Any) -> None:
        """Take away what is left of a node, and add another, as a cluster's autoscaler does."""
        self.service.cluster.remove_node(node, allow_graceful=False)
        self._nodes.append(self.service.add_node())

    def _upgrade(self) -> None:
        self._upgrades += 1
        self.service.deploy(reading={"page_timeout_s": 600 + self._upgrades})
