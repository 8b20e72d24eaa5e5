"""An HTML report: the scores, and the worst pages with their boxes and what differs."""

import base64
import html
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from rapidfuzz.distance import Levenshtein

from benchmarks.reading.normal_text import truth_text, unmarked
from benchmarks.reading.readers import page_image
from benchmarks.reading.scores import METRICS, PageScore, boxes_of
from deployments.types import Box, Pixels

_STYLE = """
body { font: 14px/1.5 system-ui, sans-serif; margin: 2em auto; max-width: 75em; color: #222 }
table { border-collapse: collapse; margin: 1em 0; font-size: 13px }
td, th { border: 1px solid #ccc; padding: .15em .5em; text-align: right } td:first-child { text-align: left }
small { color: #777 }
.page { display: flex; gap: 1.5em; margin: 1em 0 2.5em } .page img { width: 30em; flex: none }
.text { white-space: pre-wrap; overflow-wrap: anywhere; max-height: 46em; overflow-y: auto }
del { background: #fcc; text-decoration: none } ins { background: #cfc; text-decoration: none }
"""
_SHOWN_SIDE = 1000  # pixels of the longer side of a page in the report
_TRUE, _FOUND = (200, 40, 40), (30, 90, 200)


def write(target: Path, result: dict[str, Any], scores: dict[str, list[PageScore]], worst: int) -> None:
    """Write the report to one file that needs nothing else.

    Args:
        target: the file.
        result: as the program prints it.
        scores: of each reader's pages.
        worst: how many pages to show of each reader.
    """
    parts = [
        "<!doctype html><meta charset='utf-8'><title>Reading quality</title>",
        f"<style>{_STYLE}</style>",
    ]
    parts.append("<h1>Reading quality</h1>")
    parts.append(
        f"<p>Seed {result['seed']}, {html.escape(result['machine'])}. Small: 95 % of draws of pages.</p>"
    )
    for name, reader in result["readers"].items():
        parts.append(f"<h2>{html.escape(name)}</h2><p>{html.escape(reader['about'])}</p>")
        parts.append(_table(reader["kinds"]))
        parts.append(_tests(reader["olmocr_bench"]))
    for name, pages in scores.items():
        parts.append(f"<h2>Worst pages of {html.escape(name)}</h2>")
        parts.append("<p>Red boxes: the truth. Blue: what was found. <del>lost</del> <ins>invented</ins></p>")
        parts.extend(_page(score) for score in worst_pages(pages, worst))
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text("\n".join(parts), "utf-8")


def worst_pages(scores: Sequence[PageScore], count: int) -> list[PageScore]:
    """Return the pages that were read worst, by the worst of their scores; at most three of a kind."""
    ordered = sorted(scores, key=_badness, reverse=True)
    seen: dict[str, int] = {}
    chosen: list[PageScore] = []
    for score in ordered:
        kind = score.page.kind
        seen[kind] = seen.get(kind, 0) + 1
        if seen[kind] <= 3 and len(chosen) < count and _badness(score) > 0:
            chosen.append(score)
    return chosen


def _badness(score: PageScore) -> float:
    wrong = [score.value(metric) or 0.0 for metric in ("cer", "block_cer", "order", "failed", "lost")]
    cells = score.value("cell_f1")
    return max(*wrong, 0.0 if cells is None else 1 - cells)


def _table(kinds: dict[str, Any]) -> str:
    metrics = [metric for metric in METRICS if any(metric in found for found in kinds.values())]
    heads = "".join(f"<th title='{html.escape(METRICS[metric][0])}'>{metric}</th>" for metric in metrics)
    rows = []
    for kind, found in kinds.items():
        cells = []
        for metric in metrics:
            estimate = found.get(metric)
            cells.append(
                f"<td>{estimate['value']:.4f}<br><small>{estimate['low']:.4f}–{estimate['high']:.4f}</small></td>"
                if estimate
                else "<td></td>"
            )
        rows.append(f"<tr><td>{html.escape(kind)}</td>{''.join(cells)}</tr>")
    return f"<table><tr><th>kind</th>{heads}</tr>{''.join(rows)}</table>"


def _tests(counts: dict[str, Any]) -> str:
    if not counts:
        return ""
    rows = "".join(
        f"<tr><td>{html.escape(kind)}</td><td>{row['passed']}</td><td>{row['run']}</td><td>{row['not_run']}</td></tr>"
        for kind, row in counts.items()
    )
    return f"<table><tr><th>olmOCR-bench</th><th>passed</th><th>run</th><th>not run</th></tr>{rows}</table>"


def _page(score: PageScore) -> str:
    values = ", ".join(
        f"{metric} {value:.4f}" for metric in METRICS if (value := score.value(metric)) is not None
    )
    found = [block.box for block in score.answer.blocks or () if block.box is not None]
    picture = _picture(page_image(score.page), boxes_of(score.page.blocks), found)
    error = f"<p><b>{html.escape(score.answer.error)}</b></p>" if score.answer.error else ""
    text = difference(truth_text(score.page.blocks), unmarked(score.answer.markdown))
    return (
        f"<h3>{html.escape(score.page.name)}</h3><p>{values}</p>{error}"
        f"<div class=page><img src='data:image/jpeg;base64,{picture}' alt=''>"
        f"<div class=text>{text}</div></div>"
    )


def difference(truth: str, text: str) -> str:
    """Return HTML that marks what of the truth was lost and what was invented."""
    parts = []
    for step in Levenshtein.opcodes(truth, text):
        lost = html.escape(truth[step.src_start : step.src_end])
        invented = html.escape(text[step.dest_start : step.dest_end])
        if step.tag == "equal":
            parts.append(lost)
        else:
            parts.append(
                (f"<del>{lost}</del>" if lost else "") + (f"<ins>{invented}</ins>" if invented else "")
            )
    return "".join(parts)


def _picture(image: Pixels, truth: Sequence[Box], found: Sequence[Box]) -> str:
    """Return a small JPEG in base64 with both sets of boxes."""
    scale = min(1.0, _SHOWN_SIDE / max(image.shape[:2]))
    small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    for boxes, colour, thick in ((truth, _TRUE, 2), (found, _FOUND, 1)):
        for box in boxes:
            x1, y1, x2, y2 = (round(value * scale) for value in box)
            cv2.rectangle(small, (x1, y1), (x2, y2), colour, thick)
    data = cv2.imencode(".jpg", np.ascontiguousarray(small[:, :, ::-1]), [cv2.IMWRITE_JPEG_QUALITY, 70])[1]
    return base64.b64encode(bytes(data)).decode()
