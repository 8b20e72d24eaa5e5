"""A Ray that is given time to start."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

from ray._private import services

PATIENCE_S = 240.0


@contextmanager
def patient_start() -> Iterator[None]:
    """Let nodes that are started meanwhile take four minutes.

    Ray gives its own processes 30 seconds to start, which can't be set and can be too little on a machine at
    full load. Trying again would leave processes of the first time behind, so it is made to wait longer.
    """
    look = services.get_node

    def patient(*arguments: Any, **named: Any) -> Any:
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                return look(*arguments, **named)
            except RuntimeError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.2)

    with mock.patch.object(services, "get_node", patient):
        yield
