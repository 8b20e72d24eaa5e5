"""`dsocr doctor --server`: the bottleneck it names, from recorded shapes, and of a service that answers."""

from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

import anyio.to_thread
import httpx
import pytest

from deployments.errors import EngineUnavailable, OcrError, Unauthenticated
from serve_app.api.app import create_app
from serve_app.api.settings import ApiSettings
from serve_app.bottleneck import Interval, Reading, diagnose
from serve_app.server_doctor import examine
from tests.fakes import FakeReader, FakeStatus, serving

RECORDED = """\
# HELP ray_dsocr_pages_total Pages that ended, by outcome.
# TYPE ray_dsocr_pages_total counter
ray_dsocr_pages_total{{WorkerId="i",outcome="stop",reader="requests"}} {pages}
# TYPE ray_dsocr_page_errors_total counter
ray_dsocr_page_errors_total{{WorkerId="i",code="corrupt_page",reader="requests"}} {failed}
# TYPE ray_dsocr_pages_waiting gauge
ray_dsocr_pages_waiting{{WorkerId="i",reader="requests"}} {waiting}
# TYPE ray_dsocr_pages_under_way gauge
ray_dsocr_pages_under_way{{WorkerId="i",reader="requests"}} {under_way}
# TYPE ray_dsocr_engine_places gauge
ray_dsocr_engine_places{{WorkerId="i"}} 100.0
ray_dsocr_engine_places{{WorkerId="j"}} 100.0
# TYPE ray_dsocr_model_pages gauge
ray_dsocr_model_pages{{WorkerId="a"}} {model_pages}
ray_dsocr_model_pages{{WorkerId="b"}} {model_pages}
# TYPE ray_dsocr_model_seconds histogram
ray_dsocr_model_seconds_bucket{{WorkerId="a",le="+Inf"}} {pages}
ray_dsocr_model_seconds_count{{WorkerId="a"}} {pages}
ray_dsocr_model_seconds_sum{{WorkerId="a"}} {pages}
# TYPE ray_dsocr_preprocess_seconds histogram
ray_dsocr_preprocess_seconds_bucket{{WorkerId="p",le="+Inf"}} {pages}
ray_dsocr_preprocess_seconds_count{{WorkerId="p"}} {pages}
ray_dsocr_preprocess_seconds_sum{{WorkerId="p"}} {prepared_s}
# TYPE ray_dsocr_runaways_total counter
ray_dsocr_runaways_total{{WorkerId="a"}} {runaways}
# TYPE ray_dsocr_requests_total counter
ray_dsocr_requests_total{{code="queue_full",route="/v1/ocr",status="429"}} {refused}
# TYPE ray_serve_deployment_queued_queries gauge
ray_serve_deployment_queued_queries{{deployment="Preprocess"}} {queued}
# TYPE ray_serve_deployment_replica_healthy gauge
ray_serve_deployment_replica_healthy{{deployment="Model",replica="a"}} {model}
ray_serve_deployment_replica_healthy{{deployment="Model",replica="b"}} {model}
ray_serve_deployment_replica_healthy{{deployment="Preprocess",replica="p"}} 1.0
ray_serve_deployment_replica_healthy{{deployment="Postprocess",replica="q"}} 1.0
# TYPE ray_serve_autoscaling_target_replicas gauge
ray_serve_autoscaling_target_replicas{{deployment="Model"}} {target}
# TYPE ray_node_gpus_utilization gauge
ray_node_gpus_utilization{{GpuIndex="0",ip="g"}} {gpu}
"""


@dataclass(frozen=True)
class Moment:
    """A service's state, in the shape that a running one was recorded in."""

    pages: float = 0
    failed: float = 0
    waiting: float = 0
    under_way: float = 0
    model_pages: float = 0
    prepared_s: float = 0
    runaways: float = 0
    refused: float = 0
    queued: float = 0
    model: float = 1
    target: float = 2
    gpu: float = 0

    @property
    def reading(self) -> Reading:
        fields = {name: float(getattr(self, name)) for name in self.__dataclass_fields__}
        return Reading.parse(RECORDED.format(**fields))


def said(after: Moment, before: Moment | None = None) -> str:
    return "\n".join(diagnose(Interval((before or Moment()).reading, after.reading, 10.0)))


def test_full_engines_are_named_with_what_would_help() -> None:
    busy = Moment(pages=400, under_way=250, waiting=50, model_pages=100, gpu=97)
    text = said(busy, Moment(under_way=250, waiting=50, model_pages=100))
    assert "40.00 pages" in text
    assert "bottleneck is Model" in text
    assert "97 % busy" in text
    assert "scaling.model.max_replicas" in text
    waiting = Moment(under_way=250, model_pages=100, target=4)
    assert "about to run 4" in said(waiting, waiting)


def test_too_few_cpus_for_preprocess_are_named() -> None:
    before = Moment(under_way=200, model_pages=10, queued=80)
    text = said(Moment(pages=90, under_way=200, model_pages=10, queued=80, prepared_s=39, gpu=20), before)
    assert "bottleneck is Preprocess" in text
    assert "3.9 pages at once and 80 wait" in text
    assert "scaling.preprocess.max_replicas" in text


def test_an_ingress_that_holds_pages_back_is_named() -> None:
    moment = Moment(under_way=64, waiting=300, model_pages=32, gpu=40)
    assert "bottleneck is the ingress: 300 pages wait" in said(moment, moment)


def test_an_engine_that_is_missing_is_named_before_all_else() -> None:
    moment = Moment(under_way=64, waiting=300, model=0)
    assert "No replica of Model is healthy" in said(moment, moment)


def test_a_service_without_work_or_with_room_has_no_bottleneck() -> None:
    assert "nothing to do" in said(Moment())
    moment = Moment(under_way=20, model_pages=10)
    assert "No stage is full" in said(moment, moment)


def test_gauges_that_a_busy_machine_did_not_report_are_not_taken_for_zero() -> None:
    busy = Moment(under_way=250, waiting=50, model_pages=100, gpu=97)
    gauges = ("ray_dsocr_pages_under_way", "ray_serve_deployment_replica_healthy", "ray_dsocr_model_pages")
    late = Reading({name: found for name, found in busy.reading.samples.items() if name not in gauges})
    assert "bottleneck is Model" in "\n".join(diagnose(Interval(late, busy.reading, 10.0)))
    assert "bottleneck is Model" in "\n".join(diagnose(Interval(busy.reading, late, 10.0)))
    assert "not known" in "\n".join(diagnose(Interval(late, late, 10.0)))


def test_what_goes_wrong_is_counted() -> None:
    text = said(Moment(pages=100, failed=7, runaways=30, refused=20, under_way=1))
    assert "Pages failed: 7 corrupt_page." in text
    assert "30% of attempts at pages ran away" in text
    assert "2.00 requests a second are refused with 429" in text


def test_a_counter_of_a_process_that_went_away_does_not_run_backwards() -> None:
    assert "read 0.00 pages" in said(Moment(pages=5), Moment(pages=500))


@dataclass
class Metrics:
    text_: str

    async def text(self) -> str:
        return self.text_


def app(text: str, missing: str | None = None, **settings: str) -> AbstractAsyncContextManager[str]:
    given = ApiSettings.model_validate({"keys_file": "/nonexistent/keys", **settings})
    status = FakeStatus(missing=missing)
    return serving(create_app(FakeReader(), given, status, metrics_text=Metrics(text)))


async def examined(address: str) -> str:
    return await anyio.to_thread.run_sync(lambda: "\n".join(examine(address, None, 1, lambda _: None)))


async def test_a_service_that_answers_is_examined() -> None:
    moment = Moment(under_way=64, waiting=300, model_pages=32)
    fields = {name: float(getattr(moment, name)) for name in moment.__dataclass_fields__}
    async with app(RECORDED.format(**fields)) as address:
        text = await examined(address)
    assert "is ready, with the embedded engine and the model fake-ocr" in text
    assert "bottleneck is the ingress" in text


async def test_one_that_is_not_ready_says_why() -> None:
    async with app("", "the engine is loading") as address:
        assert "not ready: the engine is loading" in await examined(address)


@pytest.mark.parametrize(
    ("text", "settings", "error"),
    [("{nonsense", {}, OcrError), ("", {"authentication": "on"}, Unauthenticated)],
)
async def test_what_stands_in_the_way_is_said(
    text: str, settings: dict[str, str], error: type[OcrError]
) -> None:
    async with app(text, **settings) as address:
        with pytest.raises(error):
            await examined(address)


def test_nobody_there() -> None:
    with pytest.raises(EngineUnavailable, match="is it running"):
        list(examine("http://127.0.0.1:9", None, 1))


async def test_metrics_are_shown_to_who_may_see_them_and_nothing_else_is() -> None:
    async with app("ray_dsocr_x 1\n") as address, httpx.AsyncClient(base_url=address) as client:
        reply = await client.get("/metrics")
        assert (reply.text, reply.status_code) == ("ray_dsocr_x 1\n", 200)
    async with app("", authentication="on") as address, httpx.AsyncClient(base_url=address) as client:
        assert (await client.get("/metrics")).status_code == 401
