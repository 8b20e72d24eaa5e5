"""Samples, beside a run: how busy the GPU is, and what each of the run's processes takes of the CPUs."""

import contextlib
import importlib.util
import os
import threading
import time
from collections import defaultdict
from typing import Any, NamedTuple

import psutil

from benchmarks.process_name import process_name

INTERVAL_S = 0.5
"""The driver's own figure of how busy a GPU is covers the last sixth of a second to a second."""


class GpuSample(NamedTuple):
    """What the driver says of the GPU."""

    time: float
    busy_percent: int
    watts: float
    used_bytes: int


class Watch:
    """Watches the first GPU and a process with all it starts, from a thread, until `stop`.

    Args:
        pid: the run's process.
    """

    def __init__(self, pid: int) -> None:
        self.gpu_samples: list[GpuSample] = []
        self._cpu: dict[tuple[int, float], list[tuple[float, float]]] = defaultdict(list)
        self._names: dict[tuple[int, float], str] = {}
        self._root = psutil.Process(pid)
        self._gpu = first_gpu()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the sampling."""
        self._end.set()
        self._thread.join()

    def kill_what_is_left(self) -> None:
        """End every process that the run started and that still runs; Ray's and vLLM's may outlive it."""
        for process in self._left():
            if process.pid != os.getpid():
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()

    def still_running(self) -> list[str]:
        """Name the processes that the run started and that still run, itself left out."""
        names = []
        for process in self._left():
            with contextlib.suppress(psutil.NoSuchProcess):
                if process.pid != self._root.pid and process.status() != psutil.STATUS_ZOMBIE:
                    names.append(process_name(process) or process.name())
        return names

    def _left(self) -> list[psutil.Process]:
        found = []
        for pid, created in list(self._cpu):
            with contextlib.suppress(psutil.NoSuchProcess):
                process = psutil.Process(pid)
                if process.create_time() == created:
                    found.append(process)
        return found

    def figures(self, window: tuple[float, float]) -> dict[str, Any]:
        """Return what the samples within a window say.

        Args:
            window: its beginning and end, seconds of `time.time()`.
        """
        opens, closes = window
        found: dict[str, Any] = {}
        samples = [sample for sample in self.gpu_samples if opens <= sample.time < closes]
        if samples:
            found["gpu_busy_percent"] = round(
                sum(sample.busy_percent for sample in samples) / len(samples), 1
            )
            found["gpu_watts"] = round(sum(sample.watts for sample in samples) / len(samples))
            found["gpu_memory_gb"] = round(max(sample.used_bytes for sample in samples) / 1e9, 1)
        cores: dict[str, float] = defaultdict(float)
        for key, series in self._cpu.items():
            within = [(moment, used) for moment, used in series if opens <= moment < closes]
            if len(within) > 1:
                cores[self._names.get(key, "?")] += (within[-1][1] - within[0][1]) / (closes - opens)
        busiest = sorted(cores.items(), key=lambda item: -item[1])
        found["cpu_cores"] = {name: round(used, 2) for name, used in busiest if used >= 0.01}
        found["cpu_cores_total"] = round(sum(cores.values()), 2)
        return found

    def _run(self) -> None:
        while not self._end.wait(INTERVAL_S):
            if self._gpu is not None:
                self.gpu_samples.append(self._gpu.sample())
            try:
                processes = [self._root, *self._root.children(recursive=True)]
            except psutil.NoSuchProcess:
                continue
            for process in processes:
                try:
                    with process.oneshot():
                        times, key = process.cpu_times(), (process.pid, process.create_time())
                        if name := process_name(process):
                            self._names[key] = name
                except psutil.Error:  # it ended meanwhile
                    continue
                self._cpu[key].append((time.time(), times.user + times.system))


class Gpu:
    """A GPU, through NVIDIA's management library.

    Args:
        index: of the driver's own counting, which `CUDA_VISIBLE_DEVICES` uses too.
    """

    def __init__(self, index: int) -> None:
        import pynvml

        pynvml.nvmlInit()
        self._nvml = pynvml
        self._handle = pynvml.nvmlDeviceGetHandleByIndex(index)
        self.name = str(pynvml.nvmlDeviceGetName(self._handle))
        self.driver = str(pynvml.nvmlSystemGetDriverVersion())

    def sample(self) -> GpuSample:
        """Ask the driver."""
        nvml = self._nvml
        return GpuSample(
            time.time(),
            int(nvml.nvmlDeviceGetUtilizationRates(self._handle).gpu),
            nvml.nvmlDeviceGetPowerUsage(self._handle) / 1_000,
            int(nvml.nvmlDeviceGetMemoryInfo(self._handle).used),
        )


def first_gpu() -> Gpu | None:
    """Return the first GPU that CUDA would take, or None where there is none or nothing to ask it with."""
    if importlib.util.find_spec("pynvml") is None:
        return None
    import pynvml

    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0]
    try:
        return Gpu(int(visible) if visible.isdigit() else 0)
    except pynvml.NVMLError:
        return None
