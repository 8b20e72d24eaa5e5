"""One Ray for all jobs of these tests."""

import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import ray

from deployments.types import PageRequest
from serve_app.bulk.job import JobOptions, run_job
from serve_app.settings import load_settings
from tests.fake_engine import FakeEngine

AT_72_DPI = PageRequest(dpi=72)

RunJob = Callable[..., dict[str, Any]]


@pytest.fixture(scope="package")
def cluster() -> Iterator[None]:
    """Ray with two CPUs, unless other tests have started one; without the variables of a developer's own."""
    if ray.is_initialized():
        yield
        return
    os.environ["RAY_AUTH_MODE"] = "disabled"
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    ray.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()


@pytest.fixture
def run(cluster: None, tmp_path: Path) -> RunJob:
    """Run a job into `out`, with the fake engine unless told otherwise."""

    def run_one(
        manifest: str,
        out: str | Path = tmp_path / "out",
        create: Callable[..., Any] = FakeEngine,
        bulk: dict[str, Any] | None = None,
        request: PageRequest = AT_72_DPI,
        **options: Any,
    ) -> dict[str, Any]:
        settings = load_settings({"model": {"engine": "embedded"}, "bulk": {"flush_s": 0.2, **(bulk or {})}})
        return run_job(JobOptions(manifest, str(out), request, **options), settings, partial(create))

    return run_one
