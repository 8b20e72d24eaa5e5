"""A Ray of the tests' own, in this process."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import ray

STARTS = 3


@contextmanager
def local_ray(num_cpus: int) -> Iterator[None]:
    """Start Ray, and stop it in the end.

    Ray gives its own processes 30 seconds to start, which can't be set for all of them and can be too little
    on a machine at full load; what was started is then stopped, and started again.
    """
    assert not ray.is_initialized(), "another package's Ray is still there; its fixture must end with it"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_AUTH_MODE", "disabled")
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_gcs_server_port_wait_time_s", "120")
        patch.delenv("RAY_ADDRESS", raising=False)
        for start in range(1, STARTS + 1):
            try:
                ray.init("local", num_cpus=num_cpus, include_dashboard=False, log_to_driver=False)
                break
            except Exception as error:
                ray.shutdown()
                # Ray raises plain exceptions here, told apart by their text alone.
                if start == STARTS or "start" not in str(error):
                    raise
        yield
        ray.shutdown()
