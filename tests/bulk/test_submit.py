"""A job handed to a cluster with `ray job submit`, in the form that README.md prints."""

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.bulk.corpus import pdf, read_table, write_rows
from tests.bulk.processes import wait_until

pytestmark = pytest.mark.ray

ROOT = Path(__file__).parents[2]
ADDRESS = "http://127.0.0.1:8265"
HEAD_STARTS = 4
TOKEN = "0123456789abcdef" * 2


def readme_command() -> list[str]:
    """The command of README.md's section on bulk jobs."""
    (command,) = re.findall(r"^\$ (ray job submit .*)$", (ROOT / "README.md").read_text(), re.MULTILINE)
    return str(command).split()


def free_ports(count: int) -> list[int]:
    probes = [socket.socket() for _ in range(count)]
    for probe in probes:
        probe.bind(("127.0.0.1", 0))
    ports = [int(probe.getsockname()[1]) for probe in probes]
    for probe in probes:
        probe.close()
    return ports


@pytest.fixture(scope="module")
def environment() -> dict[str, str]:
    """That of both machines: this Python first, and the cluster's token."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    return {
        **inherited,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": TOKEN,
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_gcs_server_port_wait_time_s": "240",
    }


def start_head(environment: dict[str, str], log: Path) -> tuple[subprocess.Popen[bytes], str]:
    """Start a cluster of one node, with ports of its own; returns it and the address of its dashboard."""
    port, dashboard, client, agent, grpc, metrics = free_ports(6)
    command = [
        *("ray", "start", "--head", "--block", "--node-ip-address=127.0.0.1", f"--port={port}"),
        *("--dashboard-host=127.0.0.1", f"--dashboard-port={dashboard}", "--num-cpus=2"),
        *(f"--ray-client-server-port={client}", f"--metrics-export-port={metrics}"),
        *(f"--dashboard-agent-listen-port={agent}", f"--dashboard-agent-grpc-port={grpc}"),
    ]
    with log.open("w") as told:
        process = subprocess.Popen(command, env=environment, stdout=told, stderr=told)  # noqa: S603 - words of this test
    return process, f"http://127.0.0.1:{dashboard}"


@pytest.fixture(scope="module")
def head(environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A cluster; yields the address of its dashboard.

    A head that ends itself is started again: Ray gives its processes 30 seconds, too little under full load.
    """
    log = tmp_path_factory.mktemp("head") / "log"
    headers = {"Authorization": f"Bearer {TOKEN}"}

    def up() -> bool:
        if process.poll() is not None:
            return True
        try:
            answer = httpx.get(f"{address}/api/version", headers=headers, timeout=30)
        except httpx.TransportError:
            return False
        return answer.is_success and "Ray runtime started" in log.read_text()

    for _ in range(HEAD_STARTS):
        process, address = start_head(environment, log)
        wait_until(up, deadline_s=300)
        if process.poll() is None:
            break
    assert process.poll() is None, log.read_text()
    yield address
    process.send_signal(signal.SIGTERM)
    process.wait(120)


@pytest.mark.timeout(900)
def test_the_readmes_command_runs_a_job_on_a_cluster(
    head: str, environment: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "a.pdf").write_bytes(pdf([200, 210]))
    rows = [{"doc_id": name, "uri": str(tmp_path / f"{name}.pdf")} for name in ("a", "missing")]
    manifest = write_rows(tmp_path / "manifest.parquet", rows)
    stand_ins = {
        ADDRESS: head,
        "/shared/manifest.parquet": manifest,
        "/shared/corpus": str(tmp_path / "out"),
    }
    command = readme_command()
    assert stand_ins.keys() <= set(command)
    asked = subprocess.run(  # noqa: S603 - the README's own words
        [stand_ins.get(word, word) for word in command],
        check=False,
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=540,
    )
    assert asked.returncode == 0, asked.stdout + asked.stderr
    assert "documents  2: 1 whole, 0 in part, 1 not" in asked.stdout
    found = [(row["page_id"], row["error_code"]) for row in read_table(tmp_path / "out" / "pages")]
    assert found == [("a#000000", None), ("a#000001", None), ("missing#", "document_unavailable")]
