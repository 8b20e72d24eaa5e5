"""`dsocr serve` that is told to stop while it reads."""

import os
import signal
import subprocess
import time
from pathlib import Path

import httpx
import pymupdf
import pytest

from tests.served import COMMAND, free_port, serving

pytestmark = [pytest.mark.ray, pytest.mark.timeout(400)]

PAGES = 40


def test_a_request_under_way_is_answered_and_no_other_let_in(tmp_path: Path) -> None:
    port = free_port()
    with (tmp_path / "log").open("w") as log, serving(port, environment(tmp_path), log) as process:
        wait_until_said(tmp_path / "log", "try  curl")
        url = f"http://127.0.0.1:{port}"
        with httpx.stream("POST", f"{url}/v1/ocr", files=book(), data={"stream": "true"}, timeout=120) as one:
            events = one.iter_lines()
            next(line for line in events if line.startswith("event: page"))
            process.send_signal(signal.SIGTERM)
            refused = refusal(url)
            rest = [line for line in events if line.startswith("event: ")]
        assert rest.count("event: page.done") == PAGES
        assert rest[-1] == "event: done"
        assert process.wait(60) == 0
    assert refused.json()["error"]["code"] == "engine_unavailable"
    assert int(refused.headers["Retry-After"]) > 0
    said = (tmp_path / "log").read_text()
    assert "requests under way: " in said
    assert "Traceback" not in said
    assert "SIGTERM received" not in said, "as Ray's own handler says"


def test_a_second_ctrl_c_stops_at_once(tmp_path: Path) -> None:
    port = free_port()
    with (tmp_path / "log").open("w") as log, serving(port, environment(tmp_path), log) as process:
        wait_until_said(tmp_path / "log", "try  curl")
        url = f"http://127.0.0.1:{port}/v1/ocr"
        with httpx.stream("POST", url, files=book(), data={"stream": "true"}, timeout=120) as reply:
            events = reply.iter_lines()
            next(line for line in events if line.startswith("event: page"))
            process.send_signal(signal.SIGINT)
            wait_until_said(tmp_path / "log", "under way")
            process.send_signal(signal.SIGINT)
            with pytest.raises(httpx.HTTPError):
                list(events)
        assert process.wait(60) == 0
    assert "requests cut off: 1" in (tmp_path / "log").read_text()


def test_a_service_that_is_starting_stops(tmp_path: Path) -> None:
    with (tmp_path / "log").open("w") as log:
        command = [*COMMAND, "--port", str(free_port())]
        process = subprocess.Popen(command, env=environment(tmp_path), stdout=log, stderr=log)  # noqa: S603
        try:
            wait_until_said(tmp_path / "log", "starting")
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 0
        finally:
            process.kill()
            process.wait()
    said = (tmp_path / "log").read_text()
    assert "stopping before it was ready" in said
    assert "ready at" not in said
    assert "Traceback" not in said


def test_an_engine_that_the_machine_has_no_gpu_for_is_refused(tmp_path: Path) -> None:
    ended = subprocess.run(  # noqa: S603 - our own command
        [*COMMAND[:-1], "vllm", "--port", str(free_port())],
        env={**environment(tmp_path), "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 2
    assert "wants 1 NVIDIA GPU, and this machine has none" in ended.stderr


def environment(folder: Path) -> dict[str, str]:
    return {**os.environ, "DSOCR_JOBS__DIRECTORY": str(folder / "jobs")}


def book() -> dict[str, tuple[str, bytes]]:
    """A PDF that takes some seconds to read."""
    document = pymupdf.open()
    for number in range(PAGES):
        page = document.new_page(width=500, height=700)
        for line in range(30):
            page.insert_text(
                (30, 40 + 20 * line), f"Line {line} of page {number}, of some length.", fontsize=12
            )
    return {"file": ("book.pdf", document.tobytes())}


def refusal(url: str) -> httpx.Response:
    """The first answer to a small request that is not its result."""
    files = {"file": ("empty.pdf", b"")}
    deadline = time.monotonic() + 60
    while (reply := httpx.post(f"{url}/v1/ocr", files=files, timeout=60)).status_code == 422:
        assert time.monotonic() < deadline
    assert reply.status_code == 503
    assert httpx.get(f"{url}/readyz", timeout=60).status_code == 503
    assert httpx.get(f"{url}/healthz", timeout=60).status_code == 200
    return reply


def wait_until_said(log: Path, words: str) -> None:
    deadline = time.monotonic() + 60
    while words not in log.read_text():
        assert time.monotonic() < deadline
        time.sleep(0.05)
