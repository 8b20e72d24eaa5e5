"""Results as tables, and as one object."""

import statistics
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from benchmarks.gpu.agreement import agreement, from_json

RATIOS = (
    ("engine", "stock"),
    ("engine", "stock-cached-mask"),
    ("graph", "engine"),
    ("bulk", "engine"),
)
"""Pairs of modes whose pages a second are compared."""


def summary(results: list[dict[str, Any]], hardware: dict[str, Any]) -> dict[str, Any]:
    """Return all results with the ratios between modes, of the medians where there are several runs.

    Args:
        results: of the runs, as `Runner.run` returns them.
        hardware: what they ran on.
    """
    runs: dict[str, list[float]] = defaultdict(list)
    for result in results:
        if result["name"].startswith(result["mode"]):  # a variant of a sweep has a name of its own
            mean = next((phase["asked_mean"] for phase in result.get("phases", {}).values()), None)
            runs[result["mode"]] += [
                phase["steady"]["pages_per_s"]
                for phase in result.get("phases", {}).values()
                if phase["asked_mean"] == mean
            ]
    rates = {mode: statistics.median(found) for mode, found in runs.items() if found}
    ratios = {
        f"{mode} / {other}": round(rates[mode] / rates[other], 3)
        for mode, other in RATIOS
        if rates.get(mode) and rates.get(other)
    }
    answers = [
        (result["name"], from_json(result.pop("answers"))) for result in results if result.get("answers")
    ]
    agreements = {name: agreement(own, answers[0][1]) for name, own in answers[1:]}
    return {
        "hardware": hardware,
        "pages_per_s": {mode: {"runs": runs[mode], "median": rate} for mode, rate in rates.items()},
        "ratios": ratios,
        "agreement": agreements,
        "results": results,
    }


def print_tables(summary: dict[str, Any]) -> None:
    """Print a line for each phase, the ratios, and where the time of a page goes."""
    rows = [
        (
            "run", "phase", "pages/s", "pages/day", "by tokens", "prefilled/s", "tokens/s", "steps/s",
            "GPU busy", "cores", "whole pages/s", "start",
        )
    ]  # fmt: skip
    for result in summary["results"]:
        for label, phase in result.get("phases", {}).items():
            steady = phase["steady"]
            rows.append(
                (
                    result["name"],
                    label,
                    _cell(steady["pages_per_s"]),
                    f"{steady['pages_per_day']:,}",
                    _cell(steady.get("pages_per_s_by_tokens")),
                    _cell(steady.get("pages_per_s_prefilled")),
                    _cell(steady.get("output_tokens_per_s")),
                    _cell(steady.get("engine_steps_per_s")),
                    _cell(phase.get("gpu_busy_percent"), " %"),
                    _cell(phase.get("cpu_cores_total")),
                    _cell(phase["whole"]["pages_per_s"]),
                    _cell(result.get("start_s"), " s"),
                )
            )
        if "error" in result:
            rows.append((result["name"], result["error"].strip().splitlines()[-1][:80], *[""] * 10))
    _print_columns(rows)
    for name, found in summary["agreement"].items():
        print(f"{name}: answers agree with the first run's: {found}")
    for mode, found in summary["pages_per_s"].items():
        print(f"{mode}: {found['median']} pages/s, median of {found['runs']}")
    for pair, ratio in summary["ratios"].items():
        print(f"{pair}: {ratio}")
    for result in summary["results"]:
        for name, value in result.get("breakdown", {}).items():
            print(f"{result['name']}: {name} = {value}")


def _cell(value: Any, unit: str = "") -> str:
    return "-" if value is None else f"{value}{unit}"


def _print_columns(rows: Sequence[tuple[str, ...]]) -> None:
    """Print rows with aligned columns."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
