"""The policy of the Model stage: load rather than pages, steady rather than swinging."""

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ray.serve.config import AutoscalingConfig

from benchmarks.autoscale.engines import H200
from benchmarks.autoscale.simulation import Simulation
from serve_app.autoscaling import EngineLoad
from serve_app.settings import ScalingSettings


def wanted(replicas: int, running: float, queued: float = 0.0, target: int = 0) -> float:
    context = SimpleNamespace(
        current_num_replicas=replicas,
        target_num_replicas=target or replicas,
        total_running_requests=running,
        total_queued_requests=queued,
    )
    return EngineLoad(1024)(context)[0]  # type: ignore[arg-type] # what it reads of a context


def test_few_pages_on_an_engine_are_more_load_than_their_number_says() -> None:
    assert EngineLoad(1024).load(0.2) > 0.5
    assert EngineLoad(1024).load(1.0) == 1.0


@given(st.integers(1, 100), st.floats(1, 1e5), st.floats(1, 1e5), st.floats(0, 1e6))
def test_more_pages_never_want_fewer_replicas(
    replicas: int, first: float, second: float, queued: float
) -> None:
    low, high = sorted((first, second))
    assert wanted(replicas, low, queued) <= wanted(replicas, high, queued)
    assert wanted(replicas, low) <= wanted(replicas, low, queued)


@given(st.floats(1, 64))
def test_what_it_wants_is_where_it_rests(load: float) -> None:
    """At the replicas that it wants for a load, it wants those again."""
    policy = EngineLoad(1024)
    replicas = load / 0.8
    share = load / replicas
    taken = share * 0.15 / (1.15 - share)  # the inverse of `load`
    assert policy.load(taken) == pytest.approx(share)
    assert wanted(100, 100 * taken * 1024) == pytest.approx(100 * share / 0.8)


def test_idle_replicas_are_not_wanted() -> None:
    assert wanted(8, 0) == 0


def test_while_none_runs_the_target_stands() -> None:
    assert wanted(0, 0, 500, target=3) == 3


def test_a_steady_load_gets_a_steady_number_of_replicas() -> None:
    """Serve's own policy swings between 9 and 64 replicas under the same load."""
    scaling = ScalingSettings()
    config = AutoscalingConfig(
        min_replicas=1,
        max_replicas=64,
        upscale_delay_s=scaling.upscale_delay_s,
        downscale_delay_s=scaling.downscale_delay_s,
    )
    simulation = Simulation(
        H200, config, max_ongoing=1280, max_queued=20_000, cohort=32, policy=EngineLoad(H200.slots)
    )
    trace = simulation.run(lambda _: 320.0, 4200)
    late = [running for at, running in zip(trace.times, trace.running, strict=True) if at > 2400]
    needed = 320 / H200.pages_per_s()
    assert needed < min(late)
    assert max(late) < 1.5 * needed
    assert max(late) - min(late) <= 3
