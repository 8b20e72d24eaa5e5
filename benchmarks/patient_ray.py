"""A Ray that is given time to start."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

from ray._private import services

PATIENCE_S = 240.0


@contextmanager
def patient_start(patience_s: float = PATIENCE_S) -> Iterator[None]:
    """Let nodes that are started meanwhile take their time.

    Ray gives its own processes 30 seconds to start, which can't be set and can be too little on a machine at
    full load. Trying again would leave processes of the first time behind, so it is made to wait longer.
    """
    look: Any = services.get_node

    def patient(*arguments: Any, **named: Any) -> Any:
        deadline = time.monotonic() + patience_s
        while True:
            try:
                return look(*arguments, **named)
            except RuntimeError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.2)

    with mock.patch.object(services, "get_node", patient):
        yield


def started(start: Callable[[], Any]) -> Any:
    """Start a node or a cluster, at most three times.

    On a busy machine a raylet ends where its agent is not up within 15 s (ray-project/ray#65983).
    """
    with patient_start(60):
        for left in (2, 1, 0):
            try:
                return start()
            except Exception:  # Ray raises no narrower class
                if not left:
                    raise
    raise AssertionError("the last attempt returns or raises")
