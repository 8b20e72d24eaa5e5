"""A real Ray, a real HTTP port, and the graph over the fake engine."""

import socket
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pymupdf
import pytest
from ray import serve
from ray.serve.config import HTTPOptions

from serve_app.graph import build_app
from serve_app.settings import load_settings
from serve_app.sizing import Resources
from tests.fake_engine import FakeEngine
from tests.local_ray import local_ray


@pytest.fixture(scope="package")
def address() -> Iterator[str]:
    """Where these tests' Serve listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with local_ray(num_cpus=4, metrics_report_interval_ms=3000):  # instead of ten seconds
        serve.start(http_options=HTTPOptions(host="127.0.0.1", port=port))
        yield f"http://127.0.0.1:{port}"
        serve.shutdown()


@pytest.fixture(scope="package")
def deploy(address: str, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., str]:
    """Deploy the graph with settings; returns its address. A second call replaces the first."""
    jobs = {"directory": str(tmp_path_factory.mktemp("jobs"))}

    def deploy_with(marker: Path | None = None, *, real_engine: bool = False, **settings: Any) -> str:
        create = None if real_engine else partial(FakeEngine, str(marker) if marker else None)
        loaded = load_settings({"jobs": jobs, **settings})
        serve.run(build_app(loaded, Resources(cpus=2, gpus=0), create), name="dsocr")
        return address

    return deploy_with


@pytest.fixture(scope="package")
def client(deploy: Callable[..., str]) -> Iterator[httpx.Client]:
    """A client of the graph as shipped, but for the engine."""
    with httpx.Client(base_url=deploy(), timeout=60) as http:
        yield http


@pytest.fixture(scope="package")
def pdf() -> bytes:
    """Three pages of different sizes."""
    document = pymupdf.open()
    for width in (200, 300, 400):
        document.new_page(width=width, height=400).insert_text((20, 50), f"width {width}")
    return bytes(document.tobytes())
