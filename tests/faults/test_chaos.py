"""A short run of what `make chaos` does for half an hour: faults at random on a cluster, under load."""

from collections.abc import Iterator

import pytest

from benchmarks.chaos import run_chaos
from benchmarks.faults.service import Service, running_service

pytestmark = [pytest.mark.ray, pytest.mark.timeout(900)]

DEATHS = (
    "kill a replica of Preprocess",
    "kill a replica of Model",
    "an engine hangs",
    "kill the controller",
    "kill a replica of JobRunner",
    "kill a replica of Postprocess",
)
"""Faults under which no request may fail: each page is read once more."""

LOSSES = ("lose a node", "kill a replica of Ingress")
"""Faults that take requests with them, whose connections end where the process ended."""


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    with running_service(nodes=2, slots=4, latency=1.0) as service:
        yield service


def test_what_dies_behind_the_ingress_fails_nothing(service: Service) -> None:
    found = run_chaos(service, 20, share=0.3, pause_s=(0, 1), only=DEATHS)
    assert found["faults"] >= 2
    assert found["failed"] == 0, found["by_fault"]
    assert found["jobs"]["pages_lost"] == 0
    assert found["whole_at_the_end"]


def test_a_rolling_upgrade_fails_nothing(service: Service) -> None:
    found = run_chaos(service, 1, share=0.5, pause_s=(0, 1), only=("rolling upgrade",))
    assert found["faults"] == 1
    assert found["failed"] == 0, found["by_fault"]
    assert found["jobs"]["pages_lost"] == 0
    assert found["whole_at_the_end"]


def test_a_lost_node_loses_no_job_and_comes_back(service: Service) -> None:
    found = run_chaos(service, 10, share=0.3, pause_s=(0, 1), only=LOSSES)
    assert not {"wrong", "unanswered"} & set(found["results"]), found["results"]
    assert found["jobs"]["pages_lost"] == 0
    assert found["whole_at_the_end"]
