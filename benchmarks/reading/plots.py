"""Plots of benchmarks' results, one PNG each."""

from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

_LEFT_OUT = ("all",)


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
