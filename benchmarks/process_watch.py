"""CPU time and memory of this process, and of all that it started, as time goes by."""

import os
import threading
import time
from dataclasses import dataclass
from pathlib import Path


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
            self.samples.append(Sample(time.time(), time.process_time(), *family()))

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


def family() -> tuple[float, float, float, float]:
    """Return what `Sample` has from `ray_cpu` on."""
    parents, cpu, rss = {}, {}, {}
    page, tick = os.sysconf("SC_PAGE_SIZE"), os.sysconf("SC_CLK_TCK")
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            name, _, rest = (folder / "stat").read_text().partition("(")[2].rpartition(")")
            shared = int((folder / "statm").read_text().split()[2])
        except (OSError, ValueError):
            continue
        fields = rest.split()
        pid = int(folder.name)
        parents[pid] = int(fields[1])
        cpu[pid] = (name, (int(fields[11]) + int(fields[12])) / tick)
        rss[pid] = (int(fields[21]) - shared) * page / 2**20
    mine = {os.getpid()}
    grown = True
    while grown:
        below = {pid for pid, parent in parents.items() if parent in mine} - mine
        mine |= below
        grown = bool(below)
    ray_cpu = sum(
        seconds for pid, (name, seconds) in cpu.items() if pid in mine and name in ("raylet", "gcs_server")
    )
    workers = [rss[pid] for pid in mine if cpu[pid][0].startswith("ray::")]
    return ray_cpu, rss[os.getpid()], sum(rss[pid] for pid in mine), max(workers, default=0.0)
