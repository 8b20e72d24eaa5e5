"""Memory of every process of a service, over time."""

import statistics
import threading
import time
from collections import defaultdict
from typing import Any

import psutil

from benchmarks.process_name import process_name


class MemoryWatch(threading.Thread):
    """Notes the memory that each process below this one has for itself (USS), and its CPU seconds.

    Args:
        interval_s: between two looks.
    """

    def __init__(self, interval_s: float) -> None:
        super().__init__(daemon=True)
        self._interval_s = interval_s
        self._end = threading.Event()
        self._began = time.monotonic()
        self._labels: dict[int, str] = {}
        self._megabytes: dict[int, list[tuple[float, float]]] = defaultdict(list)
        self._cpu: dict[int, tuple[float, float]] = {}

    def run(self) -> None:
        """Look until stopped."""
        while not self._end.wait(self._interval_s):
            self._look()

    def stop(self) -> None:
        """Look no more."""
        self._end.set()
        self.join()

    def _look(self) -> None:
        me = psutil.Process()
        for process in [me, *me.children(recursive=True)]:
            try:
                name = process_name(process)
                memory, times = process.memory_full_info(), process.cpu_times()
            except psutil.Error:  # it ended meanwhile
                continue
            if name is None:
                continue
            self._labels[process.pid] = "load generator" if process.pid == me.pid else name
            now = time.monotonic() - self._began
            self._megabytes[process.pid].append((now, memory.uss / 2**20))
            used = times.user + times.system
            self._cpu[process.pid] = (self._cpu.get(process.pid, (used, 0))[0], used)

    def report(self, warm_up_s: float) -> list[dict[str, Any]]:
        """Return a row for each process that lived to the end: MB at the start, the middle and the end.

        Start, middle and end are medians of a tenth of the time after the warm-up. `mb_per_hour` is the
        slope of the line through all of that time (Theil and Sen's, by tenths), and
        `mb_per_hour_second_half` that of its later half. `mb_each_minute` is all of it.

        Args:
            warm_up_s: time that does not count, in which caches fill.
        """
        end = max((samples[-1][0] for samples in self._megabytes.values()), default=0.0)
        rows = []
        for pid, samples in self._megabytes.items():
            late = [(at, mb) for at, mb in samples if at >= warm_up_s]
            if len(late) < 10 or samples[-1][0] < end - 2 * self._interval_s or late[0][0] > warm_up_s * 1.5:
                continue
            tenth = len(late) // 10
            tenths = [late[i * tenth : (i + 1) * tenth] for i in range(10)]
            medians = [statistics.median(mb for _, mb in part) for part in tenths]
            times = [statistics.median(at for at, _ in part) for part in tenths]
            rows.append(
                {
                    "process": self._labels[pid],
                    "mb_start": round(medians[0], 1),
                    "mb_middle": round(medians[5], 1),
                    "mb_end": round(medians[9], 1),
                    "mb_per_hour": slope(times, medians),
                    "mb_per_hour_second_half": slope(times[5:], medians[5:]),
                    "cpu_seconds": round(self._cpu[pid][1] - self._cpu[pid][0], 1),
                    "mb_each_minute": each_minute(samples),
                }
            )
        return sorted(rows, key=lambda row: row["process"])


def slope(times: list[float], megabytes: list[float]) -> float:
    """Return Theil and Sen's slope, in MB an hour, of points whose times are in seconds."""
    points = list(zip(times, megabytes, strict=True))
    return round(
        statistics.median(
            (b - a) / (t - s) * 3600 for i, (s, a) in enumerate(points) for t, b in points[i + 1 :]
        ),
        1,
    )


def each_minute(samples: list[tuple[float, float]]) -> list[float]:
    """Return the last sample, in MB, of each minute that has one."""
    return [round(mb, 1) for mb in {int(at // 60): mb for at, mb in samples}.values()]
