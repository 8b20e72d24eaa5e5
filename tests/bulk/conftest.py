"""One Ray for all jobs of these tests."""

import socket
import subprocess
import sys
import time
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
def gs_bucket() -> Iterator[str]:
    """A bucket on a Cloud Storage server of these tests' own.

    In a process of its own: PyArrow opens an object with the interpreter lock held, which a server in this
    process would need for its reply.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    where = ["--host", "127.0.0.1", "--port", str(port), "--in-memory", "--default-bucket", "corpus"]
    command = [sys.executable, "-m", "gcp_storage_emulator", "start", *where]
    server = subprocess.Popen(command)  # noqa: S603 - our own interpreter
    try:
        limit = time.monotonic() + 60
        while not _listens(port):
            assert server.poll() is None
            assert time.monotonic() < limit
            time.sleep(0.1)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("CLOUD_STORAGE_EMULATOR_ENDPOINT", f"http://127.0.0.1:{port}")
            yield "gs://corpus"
    finally:
        server.terminate()
        server.wait(30)


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


@pytest.fixture(scope="package")
def cluster(bucket: str, gs_bucket: str) -> Iterator[None]:
    """Ray with two CPUs, whose workers reach the buckets."""
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
