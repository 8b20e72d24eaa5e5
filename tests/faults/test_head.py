"""`dsocr serve` whose Ray dies: it ends at once, and the next one on its port goes on with the jobs."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil
import pymupdf
import pytest

from serve_app.server import LOST

pytestmark = [pytest.mark.ray, pytest.mark.timeout(600)]

PAGES = 6


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def serving(port: int, environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """A service that is ready, started again should it end before, as a supervisor does."""
    code = "from serve_app.cli import main; main()"
    command = [sys.executable, "-c", code, "serve", "--engine", "embedded", "--port", str(port)]
    process = subprocess.Popen(command, env=environment)  # noqa: S603 - our own command
    deadline = time.monotonic() + 240
    try:
        while not ready(port):
            assert time.monotonic() < deadline
            if process.poll() is not None:
                process = subprocess.Popen(command, env=environment)  # noqa: S603 - as above
            time.sleep(0.5)
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.wait(120)


def ready(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/readyz", timeout=5).status_code == 200
    except httpx.HTTPError:
        return False


def family(process: subprocess.Popen[bytes], name: str) -> psutil.Process:
    (found,) = [
        child for child in psutil.Process(process.pid).children(recursive=True) if child.name() == name
    ]
    return found


@pytest.mark.parametrize("victim", ["gcs_server", "raylet"])
def test_a_service_whose_ray_dies_ends_and_the_next_one_finishes_its_jobs(
    victim: str, tmp_path: Path
) -> None:
    port = free_port()
    environment = dict(os.environ, DSOCR_JOBS__DIRECTORY=str(tmp_path / "jobs"))
    document = pymupdf.open()
    for number in range(PAGES):
        document.new_page(width=300, height=200).insert_text((20, 50), f"page number {number}", fontsize=20)
    with serving(port, environment) as process:
        address = f"http://127.0.0.1:{port}"
        id_ = httpx.post(
            f"{address}/v1/jobs", files={"file": ("book.pdf", document.tobytes())}, timeout=60
        ).json()["id"]
        children = psutil.Process(process.pid).children(recursive=True)
        family(process, victim).kill()
        assert process.wait(60) == LOST
    psutil.wait_procs(children, timeout=60)
    with serving(port, environment):
        status = {"state": ""}
        deadline = time.monotonic() + 200
        while status["state"] != "done":
            assert time.monotonic() < deadline, status
            status = httpx.get(f"{address}/v1/jobs/{id_}", timeout=60).json()
            time.sleep(0.5)
        pages = httpx.get(f"{address}/v1/jobs/{id_}/result", timeout=60).json()["pages"]
    assert [f"number {page['index']}" in page["markdown"] for page in pages] == [True] * PAGES
