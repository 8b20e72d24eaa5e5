"""A Ray of the tests' own, in this process."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import ray

from benchmarks.patient_ray import PATIENCE_S, patient_start


@contextmanager
def local_ray(num_cpus: int, **system_config: Any) -> Iterator[None]:
    """Start Ray, and stop it in the end."""
    assert not ray.is_initialized(), "another package's Ray is still there; its fixture must end with it"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_AUTH_MODE", "disabled")
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_gcs_server_port_wait_time_s", str(int(PATIENCE_S)))
        patch.delenv("RAY_ADDRESS", raising=False)
        with patient_start():
            ray.init(
                "local",
                num_cpus=num_cpus,
                include_dashboard=False,
                log_to_driver=False,
                _system_config=system_config or None,
            )
        yield
        ray.shutdown()
