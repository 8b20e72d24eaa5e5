"""Mode `graph`: the whole Ray Serve application over HTTP, as `dsocr serve` runs it.

A load generator in a process of its own posts documents of one page, and as one is answered the next is
sent. The engine notes when pages come and go, the generator how long an answer takes.
"""

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
from ray import serve
from ray.serve.config import HTTPOptions

from benchmarks.gpu import pages
from benchmarks.gpu.journal import EnginePlan, read_journal
from benchmarks.gpu.load import Load, Visit, figures
from benchmarks.gpu.ray_machine import ray_of_our_own, transport_ms
from benchmarks.gpu.settings import application_settings
from benchmarks.gpu.spec import Spec
from serve_app.cluster import cluster_resources
from serve_app.graph import APP_NAME, build_app


def main() -> None:
    """Measure what the command line's spec says."""
    spec = Spec.from_command_line()
    phase = spec.phases[0]
    began = time.time()
    with ray_of_our_own(spec) as machine:
        settings = application_settings(spec)
        vllm = settings.model.vllm
        sample = pages.prepared_pages(Path(spec.pages_pdf), 2, spec.model, settings.views)[0]
        result: dict[str, Any] = {
            "machine": machine,
            "breakdown": {"transport_ray_ms_per_page": transport_ms(sample)},
            "phases": {},
        }
        journal = Path(spec.out) / f"{spec.name}.journal"
        journal.unlink(missing_ok=True)
        create = EnginePlan(vllm, str(journal), phase.mean_tokens, spec.seed + phase.repeat, spec.primed)
        port = free_port()
        serve.start(http_options=HTTPOptions(host="127.0.0.1", port=port))
        serve.run(build_app(settings, cluster_resources(), create), name=APP_NAME, route_prefix="/")
        url = f"http://127.0.0.1:{port}/v1/ocr"
        _warm_up(url, pages.single_pages(Path(spec.pages_pdf), 1)[0])
        result["start_s"] = round(time.time() - began, 1)
        spec.write_result(result)
        in_flight = round((spec.in_flight + 0.15) * vllm.max_num_seqs)  # some are with the other stages
        answered = _load(spec, url, in_flight)
        visits, steps = read_journal(journal)
        lengths = create.lengths()
        load = Load(answered["began"], tuple(answered["window"]), visits, answered["reasons"])
        found = figures(load, phase, lengths, steps)
        client = Load(load.began, load.window, [Visit(*visit) for visit in answered["visits"]], load.reasons)
        found["client"] = figures(client, phase, lengths, ())["steady"]
        result["phases"][phase.label] = found
        spec.write_result(result)
        spec.complete_path.touch()
        serve.shutdown()


def _load(spec: Spec, url: str, in_flight: int) -> dict[str, Any]:
    """Run the load generator and return what it noted."""
    target = Path(spec.out) / f"{spec.name}.answers.json"
    arguments = [str(spec.path), url, str(in_flight), str(target)]
    command = [sys.executable, "-m", "benchmarks.gpu.http_load", *arguments]
    subprocess.run(command, check=True, env=os.environ)  # noqa: S603 - our own module
    return dict(json.loads(target.read_text()))


def _warm_up(url: str, document: bytes) -> None:
    """Read one page, so that nothing is done for the first time under load."""
    reply = httpx.post(url, files={"file": ("page.pdf", document, "application/pdf")}, timeout=300)
    if reply.status_code != 200 or "error" in reply.json()["pages"][0]:
        raise SystemExit(f"the first page failed: {reply.status_code} {reply.text[:500]}")


def free_port() -> int:
    """Return a port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    main()
