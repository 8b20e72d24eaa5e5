"""`dsocr serve` whose Ray dies: it ends at once, and the next one on its port goes on with the jobs."""

import os
import subprocess
import time
from pathlib import Path

import httpx
import psutil
import pymupdf
import pytest

from serve_app.server import LOST
from tests.served import free_port, serving

pytestmark = [pytest.mark.ray, pytest.mark.timeout(600)]

PAGES = 6


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
