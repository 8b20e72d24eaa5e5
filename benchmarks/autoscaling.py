"""Autoscaling of Model from 1 to 64 replicas and back: a ramp, a burst and a day.

    python -m benchmarks.autoscaling simulate --out benchmarks/results/autoscaling.json --plots docs/plots
    python -m benchmarks.autoscaling compare --out benchmarks/results/autoscaling_real.json

`simulate` lets Serve's own decision code act on simulated H200s (`benchmarks/autoscale/`), once with
Serve's policy of pages under way, as it was used before, and once with `serve_app.autoscaling.EngineLoad`.
`compare` runs a small load on a real Serve of several nodes and on the simulation, and prints both: with up
to 6 replicas, or with `--replicas 64`, which wants a machine that does nothing else. A cold start takes 173 s
in `simulate`, as measured with the machine at hand; where a machine must be had first, that time comes on top
(`--machine-s`).
"""

import argparse
import json
import math
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ray.serve.autoscaling_policy import replica_queue_length_autoscaling_policy
from ray.serve.config import AutoscalingConfig

from benchmarks.autoscale.engines import H200, EngineTimes
from benchmarks.autoscale.simulation import Policy, Simulation, Trace
from serve_app.autoscaling import EngineLoad
from serve_app.settings import ScalingSettings

Load = Callable[[float], float]
REPLICAS = 64
QUEUED = 20_000
"""Pages that wait at the callers: ten ingress replicas with 2,000 each."""

PRICE = 4.0
"""Assumed dollars an H200 hour, for the column of costs alone."""

SWING = 0.2
"""Of the replicas needed at the peak: less than that, up and down, is no swing."""

BURST, RAMP, DAY = "burst", "ramp", "day"


def ramp(seconds: float) -> float:
    """Up from one replica's load to 48 replicas' in half an hour, as long there, and down again."""
    low, high = 15.0, 1000.0
    if seconds < 600:
        return low
    if seconds < 2400:
        return low + (high - low) * (seconds - 600) / 1800
    if seconds < 4200:
        return high
    return max(high - (high - low) * (seconds - 4200) / 1800, low)


def burst(seconds: float) -> float:
    """From one replica's load to 32 replicas' at once, for half an hour."""
    return 640.0 if 600 <= seconds < 2400 else 15.0


def day(seconds: float) -> float:
    """A day: little at night, most in the early afternoon, a dip at noon."""
    hour = seconds / 3600 % 24
    office = math.exp(-(((hour - 10.5) / 2.2) ** 2)) + 1.1 * math.exp(-(((hour - 15) / 2.5) ** 2))
    return 20.0 + 780.0 * office


SCENARIOS: dict[str, tuple[Load, float, int]] = {
    RAMP: (ramp, 8400, 16),
    BURST: (burst, 4800, 16),
    DAY: (day, 86400, 48),
}
"""Load, seconds, and pages of a cohort."""


def config(target: float = 2.0, **changed: float) -> AutoscalingConfig:
    """Return Serve's configuration, as the product's settings make it."""
    scaling = ScalingSettings()
    given: dict[str, Any] = {
        "min_replicas": 1,
        "max_replicas": REPLICAS,
        "target_ongoing_requests": target,
        "upscale_delay_s": scaling.upscale_delay_s,
        "downscale_delay_s": scaling.downscale_delay_s,
        "downscale_to_zero_delay_s": scaling.downscale_to_zero_delay_s,
    }
    return AutoscalingConfig(**given | changed)


def quantile(latencies: list[tuple[float, int]], share: float) -> float | None:
    """Return the seconds within which a share of the pages was done."""
    total, seen = sum(pages for _, pages in latencies), 0
    for seconds, pages in sorted(latencies):
        seen += pages
        if seen >= share * total:
            return round(seconds, 1)
    return None


def swings(replicas: list[int], least: float) -> int:
    """Count how often a series turns back by at least so many replicas; a load that rises and falls has 1."""
    count, direction, extreme = 0, 0, replicas[0]
    for now in replicas:
        if direction >= 0 and now <= extreme - least:
            count, direction, extreme = count + (direction > 0), -1, now
        elif direction <= 0 and now >= extreme + least:
            count, direction, extreme = count + (direction < 0), 1, now
        elif direction >= 0:
            extreme = max(extreme, now)
        if direction <= 0:
            extreme = min(extreme, now)
    return count


def figures(trace: Trace, engine: EngineTimes) -> dict[str, Any]:
    """Return the figures of a run; needed replicas are those that the load would fill."""
    needed = [max(math.ceil(offered / engine.pages_per_s()), 1) for offered in trace.offered]
    peak = max(needed)
    short = [at for at, want, have in zip(trace.times, needed, trace.running, strict=True) if have < want]
    reached = next(
        (
            at
            for at, want, have in zip(trace.times, needed, trace.running, strict=True)
            if want == peak <= have
        ),
        None,
    )
    began = next(at for at, want in zip(trace.times, needed, strict=True) if want == peak)
    return {
        "pages": trace.arrived,
        "refused_percent": round(100 * trace.refused / max(trace.arrived, 1), 2),
        "needed_at_peak": peak,
        "most_running": max(trace.running),
        "overshoot_percent": round(100 * (max(trace.running) / peak - 1)),
        "seconds_to_capacity": None if reached is None else round(reached - began),
        "minutes_short_of_capacity": round(len(short) * (trace.times[1] - trace.times[0]) / 60, 1),
        "swings": swings(trace.running, max(peak * SWING, 2)),
        "gpu_hours": round(trace.replica_seconds / 3600, 2),
        "dollars_at_4_an_hour": round(trace.replica_seconds / 3600 * PRICE),
        "busy_percent": round(100 * trace.done / engine.pages_per_s() / trace.replica_seconds, 1),
        "latency_s": {f"p{int(q * 100)}": quantile(trace.latencies, q) for q in (0.5, 0.99)},
    }


def simulate(out: Path | None, plots: Path | None, machine_s: float) -> dict[str, Any]:
    """Run every scenario with both policies."""
    engine = replace(H200, cold_start_s=H200.cold_start_s + machine_s)
    policies: dict[str, tuple[Policy, AutoscalingConfig]] = {
        "pages under way (Serve's own, target 768)": (replica_queue_length_autoscaling_policy, config(768)),
        "engine load (EngineLoad, 80 %)": (EngineLoad(engine.slots), config()),
    }
    results: dict[str, Any] = {}
    for scenario, (load, seconds, cohort) in SCENARIOS.items():
        traces: dict[str, Trace] = {}
        for name, (policy, given) in policies.items():
            simulation = Simulation(
                engine, given, max_ongoing=1280, max_queued=QUEUED, cohort=cohort, policy=policy
            )
            traces[name] = simulation.run(load, seconds)
            results.setdefault(scenario, {})[name] = figures(traces[name], engine)
            print(scenario, name, json.dumps(results[scenario][name]), file=sys.stderr, flush=True)
        if plots is not None:
            draw(plots / f"autoscaling_{scenario}.png", scenario, traces, engine)
    result = {
        "benchmark": "autoscaling",
        "date": time.strftime("%Y-%m-%d"),
        "engine": f"simulated H200, {engine.pages_per_s():.1f} pages/s, cold start {engine.cold_start_s:g} s",
        "decisions": "ray.serve.autoscaling_policy and AutoscalingConfig of the installed Ray",
        "scenarios": results,
    }
    if out:
        out.write_text(json.dumps(result, indent=1) + "\n")
    return result


@dataclass(frozen=True, slots=True)
class Comparison:
    """What a real Serve and the simulation are both given.

    Attributes:
        about: the engine and the load, in words.
        engine: its times.
        load: pages a second at a time.
        seconds: to run.
        replicas: at most.
        nodes: logical ones that share them.
        max_queued: pages that wait at the caller.
        downscale_delay_s: of the autoscaler.
        sleep_s: of the cold start, that which the double itself takes.
    """

    about: str
    engine: EngineTimes
    load: Load
    seconds: float
    replicas: int
    nodes: int
    max_queued: int
    downscale_delay_s: float
    sleep_s: float


def small_load(seconds: float) -> float:
    """A burst of three replicas' load for three and a half minutes, which stand for 35."""
    return 8.0 if 30 <= seconds < 240 else 1.0


def wide_load(seconds: float) -> float:
    """Up from one replica's load to some 50 replicas' in four minutes, as long there, and down in two."""
    low, high = 0.3, 15.5
    if seconds < 270:
        return low + (high - low) * max(seconds - 30, 0) / 240
    return max(low, min(high, high - (high - low) * (seconds - 510) / 120))


COMPARISONS = {
    6: Comparison(
        about="times compressed tenfold, engines of 16 places and 3.2 pages/s; a burst",
        # The H200's curve with 16 places and 3.2 pages a second, ten times as fast.
        engine=EngineTimes(
            slots=16,
            step_s=0.00652,
            step_s_a_page=0.00117,
            read_s=0.155,
            tokens=100,
            spread=0.4,
            longest=700,
            cold_start_s=0.0,
        ),
        load=small_load,
        seconds=330,
        replicas=6,
        nodes=3,
        max_queued=300,
        downscale_delay_s=30,
        sleep_s=12,
    ),
    REPLICAS: Comparison(
        about="an H200's steps with two places, 0.31 pages/s, so that one machine feeds 64; a ramp",
        engine=replace(H200, slots=2, cold_start_s=0.0),
        load=wide_load,
        seconds=780,
        replicas=REPLICAS,
        nodes=4,
        max_queued=1000,
        downscale_delay_s=60,
        sleep_s=5,
    ),
}
"""By their replicas."""


def every_ten_seconds(trace: Trace) -> list[int]:
    """Return the running replicas at every tenth second, however often they were looked at."""
    seen = list(zip(trace.times, trace.running, strict=True))
    moments = range(0, int(trace.times[-1]), 10)
    return [next((running for at, running in reversed(seen) if at <= moment), 1) for moment in moments]


def compare(what: Comparison, out: Path | None) -> dict[str, Any]:
    """Run one load on a real Serve and on the simulation."""
    from benchmarks.autoscale.real import REPORT_S, run_real

    given: dict[str, Any] = {
        "max_replicas": what.replicas,
        "upscale_delay_s": 0.5,
        "downscale_delay_s": what.downscale_delay_s,
        "look_back_period_s": 3.0,
    }
    engine = what.engine
    max_ongoing = engine.slots + 4
    policy = {"policy_function": EngineLoad, "policy_kwargs": {"slots": engine.slots}}
    before = os.getloadavg()[0]
    real, cold_start_s = run_real(
        engine,
        config(**given, policy=policy),  # type: ignore[arg-type]
        what.load,
        what.seconds,
        nodes=what.nodes,
        replicas_a_node=math.ceil(what.replicas / what.nodes),
        max_ongoing=max_ongoing,
        max_queued=what.max_queued,
        sleep_s=what.sleep_s,
    )
    simulation = Simulation(
        replace(engine, cold_start_s=cold_start_s),
        config(**given),
        max_ongoing=max_ongoing,
        max_queued=what.max_queued,
        report_s=REPORT_S,
        tick_s=0.1,
        cohort=1,
        policy=EngineLoad(engine.slots),
    )
    simulated = simulation.run(what.load, what.seconds, sample_s=1.0)
    result = {
        "benchmark": "autoscaling, real Serve beside the simulation",
        "date": time.strftime("%Y-%m-%d"),
        "conditions": f"head and {what.nodes} logical nodes; {os.cpu_count()} cores, load average "
        f"{before:.0f} before, {os.getloadavg()[0]:.0f} after; {what.about}",
        "cold_start_s_seen": round(cold_start_s, 1),
        "real": figures(real, engine) | {"running_every_10_s": every_ten_seconds(real)},
        "simulated": figures(simulated, engine) | {"running_every_10_s": every_ten_seconds(simulated)},
    }
    if out:
        out.write_text(json.dumps(result, indent=1) + "\n")
    return result


def draw(path: Path, scenario: str, traces: dict[str, Trace], engine: EngineTimes) -> None:
    """Plot replicas and waiting pages of each policy, one below the other."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    unit, name = (3600.0, "hours") if scenario == DAY else (60.0, "minutes")
    figure, axes = plt.subplots(len(traces), 1, figsize=(9, 6.5), sharex=True, layout="constrained")
    for axis, (policy, trace) in zip(axes, traces.items(), strict=True):
        at = [seconds / unit for seconds in trace.times]
        axis.plot(at, [o / engine.pages_per_s() for o in trace.offered], "k--", lw=1, label="needed")
        axis.plot(at, trace.target, color="tab:orange", lw=1, label="wanted by the policy")
        axis.plot(at, trace.running, color="tab:blue", lw=1.5, label="running")
        axis.set_ylabel("replicas")
        axis.set_ylim(0, REPLICAS + 3)
        axis.set_title(policy, fontsize=10)
        waiting = axis.twinx()
        waiting.fill_between(at, trace.queued, color="tab:red", alpha=0.2, lw=0)
        waiting.set_ylabel("pages waiting (red)")
        waiting.set_ylim(0, QUEUED * 1.1)
        axis.legend(loc="upper left", fontsize=8)
    axes[-1].set_xlabel(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=90)
    plt.close(figure)


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["simulate", "compare"])
    parser.add_argument("--out", type=Path)
    parser.add_argument("--plots", type=Path)
    parser.add_argument("--machine-s", type=float, default=0.0, help="until a machine is there")
    parser.add_argument("--replicas", type=int, choices=list(COMPARISONS), default=6, help="of `compare`")
    arguments = parser.parse_args()
    if arguments.what == "compare":
        result = compare(COMPARISONS[arguments.replicas], arguments.out)
    else:
        result = simulate(arguments.out, arguments.plots, arguments.machine_s)
    sys.stdout.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()
