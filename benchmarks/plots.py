"""Plots of benchmarks' results, one PNG each."""

from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

_LEFT_OUT = ("all",)

_SEEN_MS = 2.0
"""Processes that use less a page are drawn together."""


def plot_quality(result: dict[str, Any], target: Path) -> None:
    """Draw each reader's characters wrong and cells right for each kind of document, with intervals."""
    figure = Figure(figsize=(11, 9), layout="constrained")
    upper, lower = figure.subplots(2, 1)
    title = f"seed {result['seed']}, {result['machine']}"
    _bars(upper, result, "cer", f"characters wrong, whole page in order ({title})")
    _bars(lower, result, "cell_f1", "table cells right (F1)")
    upper.set_yscale("symlog", linthresh=0.01)
    figure.savefig(target, dpi=110)


def _bars(axes: Axes, result: dict[str, Any], metric: str, title: str) -> None:
    readers = result["readers"]
    kinds = [
        kind
        for kind in dict.fromkeys(kind for reader in readers.values() for kind in reader["kinds"])
        if kind not in _LEFT_OUT
        and any(metric in reader["kinds"].get(kind, {}) for reader in readers.values())
    ]
    wide = 0.8 / max(1, len(readers))
    for number, (name, reader) in enumerate(readers.items()):
        found = [
            (place, reader["kinds"][kind][metric])
            for place, kind in enumerate(kinds)
            if metric in reader["kinds"].get(kind, {})
        ]
        values = [estimate["value"] for _, estimate in found]
        spread = [
            [max(0.0, estimate["value"] - estimate["low"]) for _, estimate in found],
            [max(0.0, estimate["high"] - estimate["value"]) for _, estimate in found],
        ]
        places = [place + number * wide for place, _ in found]
        axes.bar(places, values, wide, yerr=spread, label=name, error_kw={"linewidth": 0.8})
    axes.set_xticks([place + 0.4 - wide / 2 for place in range(len(kinds))], kinds, rotation=30, ha="right")
    axes.set_title(title, fontsize=10)
    axes.grid(axis="y", linewidth=0.3)
    if readers:
        axes.legend(fontsize=8)


def plot_serve_load(result: dict[str, Any], target: Path) -> None:
    """Draw where the processor time of a page goes, and how latency grows with the requests under way."""
    figure = Figure(figsize=(10, 4.5), layout="constrained")
    left, right = figure.subplots(1, 2)
    loops = result["closed_loop"]
    names = [
        f"{row['concurrent']}" if row["document_pages"] == 1 else f"{row['document_pages']} pages"
        for row in loops
    ]
    spent = [row["cpu_ms_by_role"] for row in loops]
    roles = sorted({role for row in spent for role, value in row.items() if value >= _SEEN_MS})
    rest = [sum(value for role, value in row.items() if role not in roles) for row in spent]
    floor = [0.0] * len(loops)
    for role in [*roles, "the rest"]:
        values = rest if role == "the rest" else [row.get(role, 0.0) for row in spent]
        left.bar(names, values, bottom=floor, label=role)
        floor = [low + value for low, value in zip(floor, values, strict=True)]
    left.axhline(
        result["stages_cpu_ms"], color="black", linestyle="--", linewidth=1, label="the stages alone"
    )
    left.set(title="processor time of a page", xlabel="requests under way", ylabel="ms")
    left.set_ylim(top=1.35 * max(floor))
    left.legend(fontsize=7, ncols=3, loc="upper center")
    single = [row for row in loops if row["document_pages"] == 1]
    for cut in ("p50_ms", "p95_ms", "p99_ms"):
        right.plot(
            [str(row["concurrent"]) for row in single], [row[cut] for row in single], marker="o", label=cut
        )
    right.set(title=f"latency ({result['machine']})", xlabel="requests under way", ylabel="ms", yscale="log")
    right.grid(linewidth=0.3)
    right.legend(fontsize=8)
    figure.savefig(target, dpi=110)


def plot_preprocess(result: dict[str, Any], target: Path) -> None:
    """Draw each step's time a page, and pages a second over processes."""
    figure = Figure(figsize=(10, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    pages = result["pages"]
    for number, step in enumerate(("raster_ms", "ours_ms", "reference_ms")):
        places = [place + 0.27 * number for place in range(len(pages))]
        left.bar(places, [row[step] for row in pages.values()], 0.27, label=step.removesuffix("_ms"))
    left.set_xticks([place + 0.27 for place in range(len(pages))], list(pages))
    left.set(title="processor time of a page", ylabel="ms")
    left.legend(fontsize=8)
    rows = result["processes"]
    counts = [row["processes"] for row in rows]
    right.plot(counts, [row["pages_per_cpu_s"] for row in rows], marker="o", label="by processor time")
    right.plot(counts, [row["pages_per_s"] for row in rows], marker="s", label="by the clock")
    if rows:
        right.plot(counts, [rows[0]["pages_per_cpu_s"] * count for count in counts], "k--", label="linear")
    right.set(title=f"pages a second ({result['machine']})", xlabel="processes")
    right.legend(fontsize=8)
    figure.savefig(target, dpi=110)


def plot_bulk(result: dict[str, Any], target: Path) -> None:
    """Draw memory over a bulk job's tenths."""
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    for key, label in (("driver_mb", "driver"), ("all_mb", "with all of Ray's processes")):
        axes.plot(range(len(result[key])), result[key], marker="o", label=label)
    busy = f"{result['engine_busy']:.1%} of places busy, {result['driver_ms_per_page']} ms of driver a page"
    axes.set(
        title=f"{result['pages']} pages: {busy}", xlabel="tenths of the job", ylabel="MB", ylim=(0, None)
    )
    axes.title.set_fontsize(9)
    axes.legend(fontsize=8)
    figure.savefig(target, dpi=110)


def plot_embedded(result: dict[str, Any], target: Path) -> None:
    """Draw pages a second over threads, beside what as many times one thread would be."""
    figure = Figure(figsize=(5, 4), layout="constrained")
    axes = figure.subplots()
    rows = result["rows"]
    threads = [row["threads"] for row in rows]
    one = rows[0]["pages_per_s"] / rows[0]["threads"]
    axes.plot(threads, [row["pages_per_s"] for row in rows], marker="o", label="embedded engine")
    axes.plot(threads, [one * count for count in threads], "k--", label="linear")
    axes.set(title=f"pages a second ({result['machine']})", xlabel="threads", xticks=threads, ylim=(0, None))
    axes.legend(fontsize=8)
    figure.savefig(target, dpi=110)
