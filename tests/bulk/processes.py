"""Processes of a job's driver: to be found, waited for and killed."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

DEADLINE_S = 90


def start_driver(
    manifest: str, out: Path, log: Path, latency: float, **options: Any
) -> subprocess.Popen[bytes]:
    """Start a driver with its own Ray; what it says goes to `driver.out` and `driver.log` beside `out`."""
    command = [sys.executable, "-m", "tests.bulk.driver", manifest, str(out), str(log), str(latency)]
    environment = {**os.environ, "RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0"}
    environment.pop("RAY_ADDRESS", None)
    with (out.parent / "driver.out").open("w") as told, (out.parent / "driver.log").open("a") as errors:
        return subprocess.Popen(  # noqa: S603 - this interpreter, with words of the tests
            [*command, json.dumps(options)], stdout=told, stderr=errors, env=environment
        )


def wait_until(there: Callable[[], Any], deadline_s: float = DEADLINE_S) -> Any:
    """Return the first true answer."""
    deadline = time.monotonic() + deadline_s
    while time.monotonic() < deadline:
        if answer := there():
            return answer
        time.sleep(0.05)
    raise TimeoutError(f"waited {deadline_s} s")


def below(root: int) -> dict[int, str]:
    """The processes started by a process, by those, and so on, with their command lines."""
    parents, names = {}, {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            names[int(folder.name)] = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
        parents[int(folder.name)] = parent
    found: set[int] = set()
    edge = {root}
    while edge:
        edge = {pid for pid, parent in parents.items() if parent in edge} - found
        found |= edge
    return {pid: names[pid] for pid in found}


def find(root: int, word: str) -> int | None:
    """The process below `root` whose command line begins with, or whose program is, `word`."""
    for pid, command in below(root).items():
        program = command.split(" ")[0]
        if command.startswith(word) or program.endswith(f"/{word}"):
            return pid
    return None


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


def alive(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"
