"""Annotations in the formats of other benchmarks, PDFs as truth, and the report."""

import io
import json
import random
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pymupdf
import pytest
from PIL import Image

from benchmarks.reading import olmocr_bench, omnidocbench, report, text_layer
from benchmarks.reading.answer import Answer
from benchmarks.reading.drawn_pages import prose
from benchmarks.reading.scanning import turned
from benchmarks.reading.scores import score_page, summarise
from benchmarks.reading.truth import TruthPage
from deployments.types import BlockType, Box

PROSE = (
    "Timber is unloaded on the north quay, grain on the south quay, and fish at the steps below the market."
)


class Parrot:
    """A reader that says the same of every page."""

    name = "parrot"
    about = "says what it was told"

    def __init__(self, markdown: str) -> None:
        self._markdown = markdown

    def read(self, page: TruthPage) -> Answer:
        return Answer(self._markdown)

    def close(self) -> None: ...


def pdf(text: str = PROSE, pages: int = 1) -> bytes:
    document = pymupdf.open()
    for _ in range(pages):
        document.new_page(width=400, height=300).insert_textbox((40, 40, 360, 260), text, fontsize=11)
    return bytes(document.tobytes())


def region(category: str, order: int | None, top: int, number: int, **fields: Any) -> dict[str, Any]:
    poly = [10, top, 90, top, 90, top + 10, 10, top + 10]
    return {"category_type": category, "poly": poly, "order": order, "anno_id": number, **fields}


def test_omnidocbench_pages_have_their_blocks_in_reading_order(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    cv2.imwrite(str(tmp_path / "images" / "a.png"), np.full((200, 100, 3), 255, np.uint8))
    table = "<table><tr><td>1</td></tr></table>"
    entry = {
        "layout_dets": [
            region("text_block", 2, 40, 2, text="begins in one column"),
            region("table", 4, 60, 4, html=table),
            region("title", 1, 20, 1, text="Ships"),
            region("text_block", 3, 30, 3, text="and ends in the next"),
            region("equation_isolated", 5, 80, 5, latex="$$x^2$$"),
            region("header", None, 5, 6, text="The Harbour Book"),
            region("text_block", 6, 90, 7, text="ignored", ignore=True),
            region("abandon", None, 95, 8, text="abandoned"),
        ],
        "page_info": {
            "page_no": 0,
            "height": 200,
            "width": 100,
            "image_path": "a.png",
            "page_attribute": {"data_source": "newspaper"},
        },
        "extra": {
            "relation": [{"source_anno_id": 2, "target_anno_id": 3, "relation_type": "truncated"}],
        },
    }
    (tmp_path / "OmniDocBench.json").write_text(json.dumps([entry]))
    (page,) = omnidocbench.pages_of(tmp_path)
    assert (page.name, page.kind, page.whole) == ("a", "newspaper", True)
    assert [(block.type, block.text) for block in page.blocks] == [
        (BlockType.HEADER, "The Harbour Book"),
        (BlockType.TITLE, "Ships"),
        (BlockType.TEXT, "begins in one column and ends in the next"),
        (BlockType.TABLE, table),
        (BlockType.EQUATION, "x^2"),
    ]
    assert page.blocks[1].box == Box(10, 20, 90, 30)


def test_olmocr_bench_runs_from_its_files(tmp_path: Path) -> None:
    (tmp_path / "pdfs").mkdir()
    (tmp_path / "pdfs" / "a.pdf").write_bytes(pdf(pages=2))
    tests = [
        {"pdf": "a.pdf", "page": 2, "id": "1", "type": "present", "text": "north quay", "max_diffs": 0},
        {"pdf": "a.pdf", "page": 2, "id": "2", "type": "absent", "text": "Timber", "max_diffs": 0},
        {"pdf": "a.pdf", "page": 2, "id": "3", "type": "footnote", "marker": "1"},
    ]
    (tmp_path / "columns.jsonl").write_text("\n".join(json.dumps(test) for test in tests))
    (case,) = olmocr_bench.cases_of(tmp_path)
    assert (case.page.index, case.page.kind, len(case.tests)) == (1, "columns", 3)
    counts = olmocr_bench.summarise(olmocr_bench.run_tests([case], Parrot(PROSE)))
    assert counts["columns"] == {"passed": 1, "run": 2, "not_run": 1}
    assert counts["baseline"] == {"passed": 1, "run": 1, "not_run": 0}
    assert counts["all"] == {"passed": 2, "run": 3, "not_run": 1}


def test_a_text_layer_is_truth_unless_it_is_another_ocrs(tmp_path: Path) -> None:
    drawn, scan, empty = (tmp_path / f"{name}.pdf" for name in ("drawn", "scan", "empty"))
    drawn.write_bytes(pdf())
    document = pymupdf.open()
    page = document.new_page(width=400, height=300)
    page.insert_textbox((40, 40, 360, 260), PROSE, fontsize=11, render_mode=3)
    document.save(scan)
    empty.write_bytes(pdf("A stamp"))
    (found,) = text_layer.pages_of(tmp_path)
    assert (found.name, found.whole) == ("drawn-1", False)
    score = score_page(found, Answer(PROSE.replace("grain on ", "")))
    assert score.value("lost") == 2 / 20
    assert score.value("invented") == 0


def test_the_report_shows_the_worst_pages_and_escapes_what_was_read(tmp_path: Path) -> None:
    (tmp_path / "a.pdf").write_bytes(pdf())
    (page,) = text_layer.pages_of(tmp_path / "a.pdf")
    score = score_page(page, Answer("<script>alert(1)</script> north quay"))
    kinds = {
        kind: {metric: estimate.as_dict() for metric, estimate in found.items()}
        for kind, found in summarise([score]).items()
    }
    reader = {"about": "says what it was told", "kinds": kinds, "olmocr_bench": {}}
    result = {"seed": 1, "machine": "2 cores", "readers": {"parrot": reader}}
    report.write(tmp_path / "report.html", result, {"parrot": [score]}, worst=3)
    text = (tmp_path / "report.html").read_text("utf-8")
    assert "<script>" not in text
    assert "a-1" in text
    assert "data:image/jpeg;base64," in text
    assert report.difference("one two", "one too") == "one t<del>w</del><ins>o</ins>o"


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_a_turned_pages_boxes_lie_over_its_print(quarters):
    page = turned(prose(random.Random(1), "prose-0", "prose"), quarters)
    picture = np.asarray(Image.open(io.BytesIO(page.document)).convert("L"))
    for block in page.blocks:
        left, top, right, bottom = (round(edge) for edge in block.box)
        assert (picture[top:bottom, left:right] < 128).mean() > 0.02
