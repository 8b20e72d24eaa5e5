"""One Ray for all jobs of these tests."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import ray
from moto.server import ThreadedMotoServer
from pyarrow import fs

from deployments.types import PageRequest
from serve_app.bulk.job import JobOptions, run_job
from serve_app.settings import load_settings
from tests.fake_engine import FakeEngine

AT_72_DPI = PageRequest(dpi=72)

RunJob = Callable[..., dict[str, Any]]


@pytest.fixture(scope="package")
def bucket() -> Iterator[str]:
    """A bucket on an S3 server of these tests' own, and the variables that lead to it."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        patch.setenv("AWS_ACCESS_KEY_ID", "test")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        owner = fs.S3FileSystem(endpoint_override=f"http://{host}:{port}", allow_bucket_creation=True)
        owner.create_dir("corpus")
        yield "s3://corpus"
    server.stop()


@pytest.fixture(scope="package")
def cluster(bucket: str) -> Iterator[None]:
    """Ray with two CPUs, whose workers reach the bucket."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_AUTH_MODE", "disabled")
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
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
