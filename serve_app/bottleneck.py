"""Which stage of a running service holds the others up, read from its metrics at two moments.

It knows names and numbers alone: where the texts come from is `serve_app.server_doctor`'s business.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from prometheus_client.parser import text_string_to_metric_families

FULL = 0.9
"""A stage that is busier than this share of what it can do is full."""

LIGHT_STAGES = ("Preprocess", "Postprocess")

Sample = tuple[str, dict[str, str], float]


@dataclass(frozen=True)
class Reading:
    """A text of metrics, ready to be asked."""

    samples: dict[str, list[tuple[dict[str, str], float]]] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> "Reading":
        """Read Prometheus' text format.

        Raises:
            ValueError: it is something else.
        """
        samples: dict[str, list[tuple[dict[str, str], float]]] = {}
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                samples.setdefault(sample.name, []).append((dict(sample.labels), sample.value))
        return cls(samples)

    def values(self, name: str, **labels: str) -> list[float]:
        """Return the values of a metric's samples that have these labels."""
        return [
            value for given, value in self.samples.get(f"ray_{name}", []) if labels.items() <= given.items()
        ]

    def sum(self, name: str, **labels: str) -> float:
        """Return their sum."""
        return sum(self.values(name, **labels))

    def by(self, name: str, label: str) -> dict[str, float]:
        """Return sums by the values of a label."""
        sums: dict[str, float] = {}
        for labels, value in self.samples.get(f"ray_{name}", []):
            sums[labels.get(label, "")] = sums.get(labels.get(label, ""), 0.0) + value
        return sums


@dataclass(frozen=True)
class Interval:
    """A service between two moments.

    Args:
        before: at the first.
        after: at the second.
        seconds: between them.
    """

    before: Reading
    after: Reading
    seconds: float

    def rate(self, name: str, **labels: str) -> float:
        """Return what a counter grew by, a second; 0 where a process that had counted much went away."""
        return max(self.after.sum(name, **labels) - self.before.sum(name, **labels), 0.0) / self.seconds

    def mean(self, name: str, **labels: str) -> float:
        """Return a gauge's mean over the moments that have it, summed over all processes.

        Ray drops a gauge that a busy machine has not reported for two intervals.
        """
        sums = [sum(found) for each in (self.before, self.after) if (found := each.values(name, **labels))]
        return sum(sums) / len(sums) if sums else 0.0

    def has(self, name: str) -> bool:
        """Tell whether a metric was there at either moment."""
        return bool(self.before.values(name) or self.after.values(name))

    def replicas(self, stage: str) -> int:
        """Return how many replicas of a stage are healthy."""
        return round(self.mean("serve_deployment_replica_healthy", deployment=stage))

    def queued(self, stage: str) -> float:
        """Return how many calls of a stage no replica has taken yet."""
        return self.mean("serve_deployment_queued_queries", deployment=stage)

    @property
    def occupancy(self) -> float:
        """Pages that the engines have, over those that they write at a time."""
        places = max(self.after.values("dsocr_engine_places"), default=0.0) * self.replicas("Model")
        return self.mean("dsocr_model_pages") / places if places else 0.0

    def busy(self, stage: str) -> float:
        """Return how many pages a stage's replica works on at once, on average."""
        replicas = self.replicas(stage)
        return self.rate(f"dsocr_{stage.lower()}_seconds_sum") / replicas if replicas else 0.0

    @property
    def gpu_percent(self) -> float | None:
        """How busy the GPUs are, or None where there are none."""
        found = self.after.values("node_gpus_utilization")
        return sum(found) / len(found) if found else None


def diagnose(interval: Interval) -> Iterator[str]:
    """Yield sentences: how much is done, which stage is the bottleneck now, and what goes wrong."""
    pages = interval.rate("dsocr_pages_total")
    tokens = interval.rate("dsocr_output_tokens_total")
    waiting, under_way = interval.mean("dsocr_pages_waiting"), interval.mean("dsocr_pages_under_way")
    yield (
        f"In the last {interval.seconds:.0f} s it read {pages:.2f} pages and wrote {tokens:,.0f} tokens a "
        f"second; {under_way:.0f} pages are under way and {waiting:.0f} wait."
    )
    yield _bottleneck(interval, waiting, under_way)
    yield from _faults(interval, pages)


def _bottleneck(interval: Interval, waiting: float, under_way: float) -> str:
    """Return the sentence that names the bottleneck."""
    if not (interval.has("dsocr_pages_under_way") and interval.has("serve_deployment_replica_healthy")):
        return (
            "What is under way is not known: the service has only just started, or its machines are too busy "
            "to report. Ask again."
        )
    missing = [stage for stage in ("Model", *LIGHT_STAGES) if interval.replicas(stage) == 0]
    if missing:
        return (
            f"No replica of {' and '.join(missing)} is healthy, so no page gets through: its log says why, "
            "and `serve status` what Ray waits for."
        )
    if under_way < 1 and waiting < 1:
        return "It has nothing to do: no stage is the bottleneck."
    occupancy = interval.occupancy
    if occupancy >= FULL:
        return f"The bottleneck is Model: {_engines(interval, occupancy)} {_wanted(interval)}"
    for stage in LIGHT_STAGES:
        if interval.busy(stage) >= FULL and (interval.queued(stage) >= 1 or interval.busy(stage) > 1):
            return (
                f"The bottleneck is {stage}: each of its {interval.replicas(stage)} replicas works on "
                f"{interval.busy(stage):.1f} pages at once and {interval.queued(stage):.0f} wait for one, "
                f"while {_engines(interval, occupancy)} "
                f"Give it more CPUs (scaling.{stage.lower()}.max_replicas)."
            )
    if waiting >= 1:
        return (
            f"The bottleneck is the ingress: {waiting:.0f} pages wait for a place, while "
            f"{_engines(interval, occupancy)} "
            "Raise reading.max_pages_in_flight, or the replicas of the ingress."
        )
    return (
        f"No stage is full: {_engines(interval, occupancy)} It would take more pages at once than are sent."
    )


def _engines(interval: Interval, occupancy: float) -> str:
    """Return the words for how busy the engines are."""
    count = interval.replicas("Model")
    gpus = "" if interval.gpu_percent is None else f" and the GPUs are {interval.gpu_percent:.0f} % busy"
    named = f"the {count} engines hold" if count > 1 else "the one engine holds"
    return f"{named} {occupancy:.0%} of what can be written at a time{gpus}."


def _wanted(interval: Interval) -> str:
    """Return what to do about full engines."""
    target = max(interval.after.values("serve_autoscaling_target_replicas", deployment="Model"), default=0.0)
    if target > interval.replicas("Model"):
        return (
            f"Ray is about to run {target:.0f}; if that lasts, it finds no machine for them (`ray status`)."
        )
    return "More engines would help: raise scaling.model.max_replicas, or add GPUs."


def _faults(interval: Interval, pages: float) -> Iterator[str]:
    """Yield sentences on what goes wrong."""
    after, before = (
        reading.by("dsocr_page_errors_total", "code") for reading in (interval.after, interval.before)
    )
    failed = {code: round(count - before.get(code, 0.0)) for code, count in after.items()}
    named = ", ".join(f"{count} {code}" for code, count in sorted(failed.items()) if count > 0)
    if named:
        yield f"Pages failed: {named}."
    attempts = interval.rate("dsocr_model_seconds_count")
    runaways = interval.rate("dsocr_runaways_total")
    if pages and attempts and runaways / attempts > 0.1:
        yield f"{runaways / attempts:.0%} of attempts at pages ran away; see docs/troubleshooting.md."
    refused = interval.rate("dsocr_requests_total", status="429")
    if refused:
        yield f"{refused:.2f} requests a second are refused with 429, since the service or their key is full."
    broken = sum(
        interval.rate("dsocr_requests_total", status=status) for status in ("500", "502", "503", "504")
    )
    if broken:
        yield f"{broken:.2f} requests a second end in an error of the service; its log says which."
