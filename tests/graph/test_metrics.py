"""What a running service exports, and that the dashboard and the alerts ask for nothing else."""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import promql_parser
import pytest
import yaml
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families
from promql_parser import VectorSelector
from ray.dashboard.modules.reporter.reporter_agent import METRICS_GAUGES

from serve_app import api_keys
from serve_app.cluster_metrics import merged
from serve_app.metrics import KeyNames
from serve_app.server_doctor import examine

pytestmark = pytest.mark.ray

ROOT = Path(__file__).parents[2]
GPU_NAMES = {f"ray_{name}" for name in METRICS_GAUGES if name.startswith(("node_gpu", "node_gram"))}
"""What Ray exports where there is a GPU, and nowhere else."""


def families(text: str) -> dict[str, Metric]:
    """The metrics of a text, by the names of their samples."""
    return {
        sample.name: family for family in text_string_to_metric_families(text) for sample in family.samples
    }


def value(found: dict[str, Metric], name: str, **labels: str) -> float:
    """The sum of a metric's samples that have these labels."""
    samples = found[name].samples if name in found else []
    return sum(
        sample.value
        for sample in samples
        if sample.name == name and labels.items() <= dict(sample.labels).items()
    )


@dataclass(frozen=True)
class Counts:
    """What a service exported before and after the requests of these tests."""

    before: dict[str, Metric]
    after: dict[str, Metric]

    def __call__(self, name: str, **labels: str) -> float:
        """How much was counted between."""
        return value(self.after, name, **labels) - value(self.before, name, **labels)


def asked_for() -> Iterator[tuple[str, str]]:
    """Every expression of the dashboard and the alerts, and where it stands."""
    for panel in json.loads((ROOT / "grafana/dsocr.json").read_text())["panels"]:
        for target in panel["targets"]:
            yield panel["title"], target["expr"]
    for group in yaml.safe_load((ROOT / "prometheus/alerts.yaml").read_text())["groups"]:
        for rule in group["rules"]:
            yield rule["alert"], rule["expr"]


def selectors(expression: str) -> list[VectorSelector]:
    """What an expression asks for."""
    found: list[Any] = []
    promql_parser.walk(promql_parser.parse(expression), found.append)
    return [each for each in found if isinstance(each, VectorSelector)]


@pytest.fixture(scope="module")
def metrics(deploy: Callable[..., str], pdf: bytes, tmp_path_factory: pytest.TempPathFactory) -> Counts:
    """What `/metrics` shows once pages were read, failed, ran away and were refused."""
    keys = tmp_path_factory.mktemp("keys") / "keys"
    harbour = api_keys.new(keys, "harbour")
    address = deploy(api={"keys_file": str(keys)}, model={"embedded": {"max_concurrent_pages": 2}})
    with httpx.Client(base_url=address, timeout=60) as client:
        before = families(client.get("/metrics").text)
        for prompt in ("plain", "fail", "loop"):
            data = {"task": "custom", "prompt": prompt}
            headers = {"Authorization": f"Bearer {harbour}"} if prompt == "plain" else {}
            reply = client.post("/v1/ocr", files={"file": ("page", pdf)}, data=data, headers=headers)
            assert reply.status_code == 200
        assert client.post("/v1/ocr", files={"file": ("page", b"hello")}).status_code == 415
        assert client.get("/nowhere").status_code == 404
        deadline = time.monotonic() + 60
        found: dict[str, Metric] = {}
        wanted = {name for _, expression in asked_for() for name in _names(expression)} - GPU_NAMES
        while time.monotonic() < deadline:
            reply = client.get("/metrics")
            assert reply.headers["content-type"].startswith("text/plain; version=0.0.4")
            found = families(reply.text)
            counts = Counts(before, found)
            # Each process's counts come out at their own time: one of each that the tests below ask for.
            if (
                found.keys() >= wanted
                and counts("ray_dsocr_requests_total", status="404")
                and counts("ray_dsocr_preprocess_seconds_count") >= 12
                and counts("ray_dsocr_model_seconds_count") == 11
                and counts("ray_dsocr_postprocess_seconds_count") == 8
            ):
                break
            time.sleep(0.5)
    return counts


def _names(expression: str) -> set[str]:
    return {selector.name for selector in selectors(expression)}


@pytest.mark.parametrize(("place", "expression"), list(asked_for()))
def test_the_dashboard_and_the_alerts_ask_for_what_there_is(
    metrics: Counts, place: str, expression: str
) -> None:
    for selector in selectors(expression):
        if selector.name in GPU_NAMES:
            continue
        assert selector.name in metrics.after, place
        labels = {label for sample in metrics.after[selector.name].samples for label in sample.labels}
        assert {matcher.name for matcher in selector.matchers.matchers} <= labels, place


def test_no_engine_at_all_is_an_alert_too() -> None:
    """A replica that was never healthy has no series, and the sum of none is not 0."""
    expressions = dict(asked_for())
    expression = expressions["DsocrNoEngine"]
    assert " or vector(0)) == 0" in expression
    assert 'reader="requests"' in expressions["DsocrDown"], "jobs are counted by another process"


def test_pages_are_counted_by_outcome_and_key(metrics: Counts) -> None:
    assert metrics("ray_dsocr_pages_total", reader="requests", outcome="stop") == 8
    assert metrics("ray_dsocr_pages_total", reader="requests", outcome="error") == 1
    assert metrics("ray_dsocr_page_errors_total", code="generation_failed") == 1
    assert metrics("ray_dsocr_key_pages_total", key="harbour") == 3
    assert metrics("ray_dsocr_key_pages_total", key="none") == 5


def test_what_ran_away_is_counted_where_it_happened_and_as_a_repeat(metrics: Counts) -> None:
    assert metrics("ray_dsocr_runaways_total") == 3
    assert metrics("ray_dsocr_page_repeats_total", reader="requests") == 3


def test_each_stage_is_timed(metrics: Counts) -> None:
    pages = metrics("ray_dsocr_preprocess_seconds_count")
    assert pages >= 12, "nine pages, three of them twice"
    assert metrics("ray_dsocr_model_seconds_count") == 11
    assert metrics("ray_dsocr_postprocess_seconds_count") == 8
    assert metrics("ray_dsocr_output_tokens_total") == 33


def test_requests_are_counted_by_route_and_code_and_never_by_path_or_key(metrics: Counts) -> None:
    name = "ray_dsocr_requests_total"
    assert metrics(name, route="/v1/ocr", status="200", code="none") == 3
    assert metrics(name, route="/v1/ocr", status="415", code="unsupported_media_type") == 1
    assert metrics(name, route="none", status="404") == 1
    assert metrics("ray_dsocr_key_requests_total", key="harbour") == 1
    shown = {
        text
        for metric in metrics.after.values()
        for sample in metric.samples
        for text in sample.labels.values()
    }
    assert not [text for text in shown if text.startswith(api_keys.PREFIX) and len(text) > 20]


def test_the_doctor_names_the_bottleneck_of_a_running_service(
    metrics: Counts, address: str, pdf: bytes
) -> None:
    idle = _said_by_the_doctor(address, "nothing to do")
    assert "is ready, with the embedded engine" in idle
    data = {"task": "custom", "prompt": "slow", "stream": "true"}
    with (
        httpx.Client(base_url=address, timeout=60) as client,
        client.stream("POST", "/v1/ocr", files={"file": ("page", pdf)}, data=data) as reply,
    ):
        assert reply.status_code == 200
        assert "of what can be written at a time" in _said_by_the_doctor(address, "The bottleneck is Model")


def _said_by_the_doctor(address: str, awaited: str) -> str:
    """What the doctor says once what the service does has come out in its metrics."""
    deadline = time.monotonic() + 50
    while awaited not in (said := "\n".join(examine(address, None, 1))) and time.monotonic() < deadline:
        pass
    assert awaited in said
    return said


def test_names_of_keys_are_a_bounded_number() -> None:
    names = KeyNames(most=2)
    assert [names.label(name) for name in ("", "a", "b", "c", "a")] == ["none", "a", "b", "others", "a"]


def test_one_metric_s_samples_of_several_machines_stand_together() -> None:
    text = (
        "# HELP ray_dsocr_x x\n# TYPE ray_dsocr_x gauge\n"
        'ray_dsocr_x{{ip="{0}"}} 1.0\n'
        "# TYPE python_y gauge\npython_y 1\n"
    )
    both = merged([text.format("a"), "", text.format("b")])
    assert both.count("# TYPE ray_dsocr_x gauge") == 1
    assert [dict(sample.labels) for sample in next(text_string_to_metric_families(both)).samples] == [
        {"ip": "a"},
        {"ip": "b"},
    ]
    assert "python_y" not in both
