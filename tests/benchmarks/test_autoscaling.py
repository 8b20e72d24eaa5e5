"""The simulated engine is held against measurements of the real one, those it was fitted to and another."""

import pytest
from ray.serve.config import AutoscalingConfig

from benchmarks.autoscale.engines import H200
from benchmarks.autoscale.simulation import Simulation
from benchmarks.autoscaling import swings


def one_replica(max_queued: int) -> Simulation:
    config = AutoscalingConfig(min_replicas=1, max_replicas=1)
    return Simulation(
        H200, config, max_ongoing=1280, max_queued=max_queued, tick_s=0.1, cohort=1, report_s=10
    )


def test_a_full_engine_gives_the_pages_that_were_measured() -> None:
    assert H200.pages_per_s() == pytest.approx(20.63, rel=0.03)
    trace = one_replica(100_000).run(lambda now: 300.0 if now < 10 else 21.0, 200)
    late = [pages for _, pages in trace.latencies]
    assert sum(late) / 200 == pytest.approx(20.63, rel=0.25), "the first pages take a latency to come"


def test_two_hundred_pages_at_once_take_what_they_took() -> None:
    """200 pages of up to 2,000 tokens had a median of 15.5 s (graph_check_first_start_h200)."""
    trace = one_replica(1000).run(lambda now: 2000.0 if now < 0.1 else 0.0, 60)
    latencies = sorted(seconds for seconds, _ in trace.latencies)
    assert len(latencies) == pytest.approx(200, rel=0.3)
    assert latencies[len(latencies) // 2] == pytest.approx(15.5, rel=0.2)


@pytest.mark.parametrize(
    ("replicas", "count"),
    [([1, 1, 20, 40, 40, 1], 1), ([1, 64, 9, 52, 64, 10, 1], 3), ([40, 39, 40, 41, 40], 0), ([1, 9, 9], 0)],
)
def test_a_swing_is_a_turn_and_no_tremor(replicas: list[int], count: int) -> None:
    assert swings(replicas, 8) == count
