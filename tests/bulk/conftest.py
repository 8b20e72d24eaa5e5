"""One Ray for all jobs of these tests."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from deployments.types import PageRequest
from serve_app.bulk.job import JobOptions, run_job
from serve_app.settings import load_settings
from tests.fake_engine import FakeEngine
from tests.local_ray import local_ray
from tests.s3_server import s3_bucket

AT_72_DPI = PageRequest(dpi=72)

RunJob = Callable[..., dict[str, Any]]


@pytest.fixture(scope="package")
def bucket() -> Iterator[str]:
    """A bucket on an S3 server of these tests' own."""
    with s3_bucket("corpus") as uri:
        yield uri


@pytest.fixture(scope="package")
def cluster(bucket: str) -> Iterator[None]:
    """Ray with two CPUs, whose workers reach the bucket."""
    with local_ray(num_cpus=2):
        yield


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
