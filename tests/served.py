"""`dsocr serve` in a process of its own."""

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

import httpx

COMMAND = [sys.executable, "-c", "from serve_app.cli import main; main()", "serve", "--engine", "embedded"]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def serving(
    port: int, environment: dict[str, str], log: IO[Any] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """A service that is ready, started again should it end before, as a supervisor does."""
    command = [*COMMAND, "--port", str(port)]
    process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)  # noqa: S603 - our own command
    deadline = time.monotonic() + 240
    try:
        while not ready(port):
            assert time.monotonic() < deadline
            if process.poll() is not None:
                process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)  # noqa: S603 - as above
            time.sleep(0.5)
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
        process.wait(120)


def ready(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/readyz", timeout=5).status_code == 200
    except httpx.HTTPError:
        return False
