"""CPU time and memory of this process, and of all that it started, as time goes by."""

import threading
import time
from dataclasses import dataclass

import psutil

from benchmarks.ray_processes import own_bytes, usage


@dataclass(frozen=True, slots=True)
class Sample:
    """What was seen at a moment; memory is each process's own, in MB, without what it shares.

    Attributes:
        at: seconds since the epoch.
        driver_cpu: CPU seconds of this process so far.
        ray_cpu: those of Ray's own processes (raylet, GCS).
        driver_mb: memory of this process.
        all_mb: of it and of every process below it.
        largest_worker_mb: of the largest of Ray's workers.
    """

    at: float
    driver_cpu: float
    ray_cpu: float
    driver_mb: float
    all_mb: float
    largest_worker_mb: float


class Sampler(threading.Thread):
    """Looks at this process and those below it, once a second."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.samples: list[Sample] = []
        self._stop_asked = threading.Event()

    def run(self) -> None:
        """Take samples until stopped."""
        while not self._stop_asked.wait(1):
            self.samples.append(look())

    def stop(self) -> None:
        """Take no more samples."""
        self._stop_asked.set()
        self.join()

    def at(self, moment: float) -> Sample:
        """Return the sample nearest to a time."""
        return min(self.samples, key=lambda sample: abs(sample.at - moment))

    def tenths(self, first: float, last: float) -> list[Sample]:
        """Return the samples nearest to eleven evenly spaced times."""
        return [self.at(first + (last - first) * tenth / 10) for tenth in range(11)]


def look() -> Sample:
    """Take a sample."""
    below, mine = usage(), own_bytes(psutil.Process())
    return Sample(
        time.time(),
        time.process_time(),
        below.cpu_seconds.get("raylet", 0) + below.cpu_seconds.get("gcs", 0),
        mine / 2**20,
        (mine + below.memory_bytes) / 2**20,
        below.largest_worker_bytes / 2**20,
    )
