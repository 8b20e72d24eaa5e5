"""A Ray of the tests' own, in this process."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import ray
from ray._private import services

PATIENCE_S = 240


@contextmanager
def local_ray(num_cpus: int, **system_config: Any) -> Iterator[None]:
    """Start Ray, and stop it in the end.

    Ray gives its own processes 30 seconds to start, which can't be set and can be too little on a machine at
    full load. Trying again would leave processes of the first time behind, so it is made to wait longer.
    """
    assert not ray.is_initialized(), "another package's Ray is still there; its fixture must end with it"
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

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_AUTH_MODE", "disabled")
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_gcs_server_port_wait_time_s", str(PATIENCE_S))
        patch.delenv("RAY_ADDRESS", raising=False)
        patch.setattr(services, "get_node", patient)
        ray.init(
            "local",
            num_cpus=num_cpus,
            include_dashboard=False,
            log_to_driver=False,
            _system_config=system_config or None,
        )
        yield
        ray.shutdown()
