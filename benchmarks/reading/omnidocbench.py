"""OmniDocBench's annotations: OmniDocBench.json beside a folder `images`.

Read from the description of its format at https://huggingface.co/datasets/opendatalab/OmniDocBench:
a list of pages, each with `layout_dets` (category, polygon, reading order, text, LaTeX or HTML) and
`page_info` (image, size, attributes). Its own scores pair blocks with blocks; ours compare whole pages,
so that figures are near its own but not the same.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.reading.truth import TruthBlock, TruthPage
from deployments.types import BlockType, Box

_TYPES = {
    "title": BlockType.TITLE,
    "text_block": BlockType.TEXT,
    "figure": BlockType.IMAGE,
    "figure_caption": BlockType.CAPTION,
    "figure_footnote": BlockType.CAPTION,
    "table": BlockType.TABLE,
    "table_caption": BlockType.CAPTION,
    "table_footnote": BlockType.CAPTION,
    "equation_isolated": BlockType.EQUATION,
    "equation_caption": BlockType.TEXT,
    "header": BlockType.HEADER,
    "footer": BlockType.FOOTER,
    "page_number": BlockType.FOOTER,
    "page_footnote": BlockType.TEXT,
    "code_txt": BlockType.CODE,
    "code_txt_caption": BlockType.CAPTION,
    "reference": BlockType.REFERENCES,
}
"""Its block categories; `abandon` and the masks are left out, as its own evaluation does."""


def pages_of(folder: Path, limit: int | None = None) -> list[TruthPage]:
    """Return its pages, their kind the source of the document (`academic_literature`, `newspaper`, …).

    Args:
        folder: that holds OmniDocBench.json and images.
        limit: most pages.
    """
    entries = json.loads((folder / "OmniDocBench.json").read_text("utf-8"))
    pages = []
    for entry in entries[:limit]:
        info = entry["page_info"]
        image = folder / "images" / Path(info["image_path"]).name
        kind = str(info.get("page_attribute", {}).get("data_source", "page"))
        blocks = tuple(_blocks(entry))
        pages.append(TruthPage(image.stem, kind, image.read_bytes(), blocks))
    return pages


def _blocks(entry: dict[str, Any]) -> Iterator[TruthBlock]:
    """Yield the blocks that count in reading order; paragraphs that a column's end cut are one block."""
    known = [
        block
        for block in entry["layout_dets"]
        if not block.get("ignore") and block.get("category_type") in _TYPES
    ]
    # Running heads and figures have no place in its order: they are put by their height.
    known.sort(key=lambda block: (_order(block, known), _box(block).y1))
    tails = {
        relation["target_anno_id"]: relation["source_anno_id"]
        for relation in (entry.get("extra") or {}).get("relation", ())
        if "truncated" in (relation.get("relation_type"), relation.get("relation"))
    }
    texts = {block.get("anno_id"): _text(block) for block in known}
    for block in known:
        number = block.get("anno_id")
        if tails.get(number) in texts:
            continue
        parts, last = [texts[number]], number
        while (
            following := next((t for t, s in tails.items() if s == last and t in texts), None)
        ) is not None:
            parts.append(texts[following])
            last = following
            if len(parts) > len(texts):
                break
        yield TruthBlock(_TYPES[block["category_type"]], " ".join(parts), _box(block))


def _order(block: dict[str, Any], blocks: list[dict[str, Any]]) -> float:
    if block.get("order") is not None:
        return float(block["order"])
    above = [
        other["order"]
        for other in blocks
        if other.get("order") is not None and _box(other).y2 <= _box(block).y1
    ]
    return max(above, default=-1) + 0.5


def _text(block: dict[str, Any]) -> str:
    if block["category_type"] == "table":
        return str(block.get("html") or "")
    if block["category_type"] == "equation_isolated":
        return str(block.get("latex") or "").strip("$ ")
    return str(block.get("text") or "")


def _box(block: dict[str, Any]) -> Box:
    xs, ys = block["poly"][::2], block["poly"][1::2]
    return Box(round(min(xs)), round(min(ys)), round(max(xs)), round(max(ys)))
