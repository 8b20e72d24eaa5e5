"""`dsocr doctor`: what this machine has, which engine would run, and why not the other."""

import importlib.metadata
import os
import platform
import subprocess
from collections.abc import Iterator
from pathlib import Path

from deployments.errors import ConfigurationError
from deployments.model.selection import choose_engine, gpu_count
from serve_app.settings import Settings

SHOWN_PACKAGES = ("dsocr", "ray", "vllm", "torch", "pymupdf", "rapidocr")


def report(settings: Settings) -> str:
    """Return the report, a line a finding."""
    return "\n".join(f"{name:<14}{finding}" for name, finding in _findings(settings))


def _findings(settings: Settings) -> Iterator[tuple[str, str]]:
    """Yield what was looked at, and what was found."""
    yield "system", f"{platform.system()} {platform.machine()}, Python {platform.python_version()}"
    yield "cpu", f"{len(os.sched_getaffinity(0))} cores usable"
    yield "memory", f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.1f} GiB"
    yield "gpu", "; ".join(_gpus()) or "none found"
    for package in SHOWN_PACKAGES:
        yield package, _version(package)
    choice = choose_engine(settings.model)
    yield "engine", f"{choice.name}: {choice.reason}"
    obstacle = _vllm_obstacle(settings)
    if choice.name == "embedded":
        yield "not vllm", obstacle or "nothing stands in its way: set model.engine to vllm"
    elif obstacle is not None:
        yield "but", obstacle
    yield "listens on", f"{settings.http.host}:{settings.http.port}"


def _gpus() -> list[str]:
    """Name the GPUs as the driver's own tool does."""
    if gpu_count() == 0:
        return []
    query = ["nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"]
    try:
        answer = subprocess.run(query, capture_output=True, text=True, timeout=20, check=True)  # noqa: S603 - fixed words
    except (OSError, subprocess.SubprocessError) as error:
        return [f"{gpu_count()} device files, but nvidia-smi does not answer ({error})"]
    return answer.stdout.strip().splitlines()


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _vllm_obstacle(settings: Settings) -> str | None:
    """Return what stands in the vLLM engine's way, as its own checks say it; nothing is fetched."""
    from deployments.model.vllm import compat, preflight

    folder = Path(settings.model.vllm.model)
    try:
        compat.installed()
        if gpu_count() == 0 and not compat.on_cpu():
            return "it needs an NVIDIA GPU, and none was found"
        if not folder.is_dir():
            return f"{folder} is no folder here; the first start would fetch it from the Hugging Face hub"
        preflight.check(settings.model.vllm, folder)
    except ConfigurationError as error:
        return str(error)
    return None
