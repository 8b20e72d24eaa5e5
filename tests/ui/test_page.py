"""The page in a real browser."""

import csv
import io
import json
import threading
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import openpyxl
import pymupdf
import pytest
from PIL import Image
from playwright.sync_api import Browser, expect

from deployments.postprocess.drawing import COLOURS as BLOCK_COLOURS
from deployments.types import BlockType
from serve_app import api_keys
from tests.script_engine import ScriptEngine
from tests.ui.conftest import BOXES, COLOURS, HEIGHT, WIDTH, Visit, marked, usual
from tests.ui.service import service

Begin = Callable[..., Visit]


@pytest.fixture
def steps(engine: ScriptEngine) -> Iterator[threading.Semaphore]:
    """Makes the engine wait for a release before each piece."""
    engine.steps = threading.Semaphore(0)
    engine.left.clear()
    yield engine.steps
    engine.steps = None


def script(engine: ScriptEngine, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr(engine, "script", lambda page, options: [text])


def test_text_and_boxes_arrive_as_they_are_written(
    visit: Begin, document: Path, steps: threading.Semaphore
) -> None:
    page = visit()
    page.open(document)
    page.page.fill("#dsocr-pages input, #dsocr-pages textarea", "2")
    page.page.click("#dsocr-read")
    boxes, raw = page.page.locator("#ds-boxes rect"), page.page.locator("#ds-raw")
    expect(page.page.locator("#dsocr-stop")).to_be_visible()
    expect(boxes).to_have_count(0)
    steps.release()
    expect(raw).to_contain_text("# Page 2 as markdown")
    expect(boxes).to_have_count(0)  # the title's block closes where the next one begins
    steps.release()
    expect(raw).to_contain_text("said **Ada**")
    expect(boxes).to_have_count(1)
    expect(page.page.locator("#ds-rendered h1")).to_have_text("Page 2 as markdown")
    expect(page.page.locator("#ds-status")).to_contain_text("0 of 1 pages done")
    steps.release()
    expect(boxes).to_have_count(3)
    expect(page.page.locator("#ds-rendered math")).to_have_count(1)
    expect(page.page.locator("#ds-rendered strong")).to_have_text("Ada")
    expect(page.page.locator("#ds-rendered img")).to_have_count(1)
    expect(page.page.locator("#ds-status")).to_contain_text("Done: 1 pages")
    expect(page.page.locator("#ds-page-title")).to_have_text("Page 2 of 3")
    expect(page.page.locator("#ds-legend li")).to_have_text(["title", "text", "image"])


def extent(picture: bytes, colour: tuple[int, int, int], tolerance: int) -> tuple[float, ...]:
    """Where a colour is in a picture, in parts of its width and height."""
    pixels = np.asarray(Image.open(io.BytesIO(picture)).convert("RGB"), np.int16)
    rows, columns = np.nonzero(np.abs(pixels - np.array(colour)).max(axis=2) <= tolerance)
    height, width = pixels.shape[:2]
    return (
        columns.min() / width,
        rows.min() / height,
        (columns.max() + 1) / width,
        (rows.max() + 1) / height,
    )


def test_boxes_lie_where_the_page_has_what_they_are_of(visit: Begin, document: Path) -> None:
    page = visit()
    page.open(document)
    page.read()
    page.show(1)
    shown = page.page.locator("#ds-page")
    page.page.mouse.move(0, 0)
    with_boxes = shown.screenshot(animations="disabled")
    page.page.evaluate("document.getElementById('ds-boxes').style.display = 'none'")
    without = shown.screenshot(animations="disabled")
    for kind, box in BOXES.items():
        area = extent(without, tuple(round(255 * part) for part in COLOURS[kind]), 4)
        expected = [value / whole for value, whole in zip(box, (WIDTH, HEIGHT) * 2, strict=True)]
        assert area == pytest.approx(expected, abs=0.01), "the picture is not where it should be"
        assert extent(with_boxes, BLOCK_COLOURS[BlockType(kind)], 24) == pytest.approx(expected, abs=0.01)


@pytest.mark.parametrize(
    ("label", "task"),
    [
        ("Document to Markdown", "markdown"),
        ("Plain text", "text"),
        ("Table", "table"),
        ("Custom prompt", "custom"),
    ],
)
def test_each_mode_asks_for_its_task(
    visit: Begin, document: Path, engine: ScriptEngine, label: str, task: str
) -> None:
    page = visit()
    page.open(document)
    engine.pages.clear()
    page.page.get_by_label(label, exact=True).check()
    if task == "custom":
        page.page.click("#dsocr-read")
        expect(page.page.locator("#ds-alert")).to_contain_text("Write a prompt")
        page.page.fill("#dsocr-prompt textarea", "Name the ships.")
    page.page.locator("#ds-thumbs li:nth-child(3) input").uncheck()
    page.page.get_by_label("Look closely").uncheck()
    page.read()
    assert sorted(each.index for each, _ in engine.pages) == [0, 1]
    assert {options.task for _, options in engine.pages} == {task}
    assert ("Name the ships." in engine.pages[0][0].prompt) == (task == "custom")
    page.show(2)
    expect(page.page.locator("#ds-rendered h1")).to_have_text(f"Page 2 as {task}")


def test_stop_frees_the_engine(
    visit: Begin, document: Path, engine: ScriptEngine, steps: threading.Semaphore
) -> None:
    page = visit()
    page.open(document)
    page.page.fill("#dsocr-pages input, #dsocr-pages textarea", "2")
    page.page.click("#dsocr-read")
    steps.release()
    expect(page.page.locator("#ds-raw")).to_contain_text("# Page")
    assert not engine.left.is_set()
    page.page.click("#dsocr-stop")
    assert engine.left.wait(20)
    expect(page.page.locator("#ds-status")).to_have_text("Stopped: 0 of 1 pages done")
    expect(page.page.locator("#ds-alert")).to_be_hidden()
    expect(page.page.locator("#dsocr-read")).to_be_enabled()


def test_a_damaged_file_gets_its_sentence_and_the_next_one_is_read(
    visit: Begin, document: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.pdf"
    broken.write_bytes(b"%PDF-1.7\nnothing of the kind")
    page = visit()
    page.page.set_input_files("#ds-file", broken)
    expect(page.page.locator("#ds-alert")).to_have_text("The PDF is damaged and can't be opened.")
    expect(page.page.locator("#dsocr-read")).to_be_disabled()
    page.open(document)
    expect(page.page.locator("#ds-alert")).to_be_hidden()
    page.page.fill("#dsocr-pages input, #dsocr-pages textarea", "2-9")
    page.page.click("#dsocr-read")
    expect(page.page.locator("#ds-alert")).to_have_text("The document has 3 pages.")
    page.page.fill("#dsocr-pages input, #dsocr-pages textarea", "")
    page.read()


TABLE = "<table><tr><td>Ship</td><td>Tons</td></tr><tr><td>Heron</td><td>95</td></tr></table>"


def test_every_download_opens(
    visit: Begin, document: Path, engine: ScriptEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        engine,
        "script",
        lambda page, options: [
            *usual(page, options),
            f"<|ref|>table<|/ref|><|det|>[[0, 900, 999, 990]]<|/det|>\n{TABLE}\n\n",
        ],
    )
    page = visit()
    page.open(document)
    page.read()
    page.show(2)
    files: dict[str, bytes] = {}
    for button in page.page.locator("#ds-download-buttons button").all():
        with page.page.expect_download() as download:
            button.click()
        files[download.value.suggested_filename] = download.value.path().read_bytes()
    assert files["areas.md"].decode().startswith("<!-- page 1 -->\n\n# Page 1 as markdown")
    assert b"<math" in files["areas.html"]
    assert len(json.loads(files["areas.json"])["pages"]) == 3
    names = zipfile.ZipFile(io.BytesIO(files["areas.zip"])).namelist()
    assert {"document.md", "result.json", "page-0002-img-0.png", "tables/page-0003-tbl-0.csv"} <= set(names)
    with pymupdf.open(stream=files["areas.pdf"], filetype="pdf") as searchable:
        found = searchable[1].search_for("Page 2 as markdown")[0]
        assert pymupdf.Rect(BOXES["title"]).contains(found)
    with pymupdf.open(stream=files["areas_layouts.pdf"], filetype="pdf") as layouts:
        assert layouts.page_count == 3
        assert "2 text" in layouts[0].get_text()
    assert Image.open(io.BytesIO(files["areas_2_layout.png"])).width == WIDTH * 2
    book = openpyxl.load_workbook(io.BytesIO(files["areas_tables.xlsx"]))
    assert book["page 2 table 1"]["B2"].value == 95
    rows = list(csv.reader(io.StringIO(files["areas_tables.csv"].decode("utf-8-sig"))))
    assert rows.count(["Heron", "95"]) == 3


def test_pointing_at_a_block_shows_its_text_and_the_reverse(visit: Begin, document: Path) -> None:
    page = visit()
    page.open(document)
    page.read()
    boxes, texts = page.page.locator("#ds-boxes rect"), page.page.locator("#ds-rendered section")
    marked_ = page.page.locator(".ds-marked")
    boxes.nth(1).hover()
    expect(texts.nth(1)).to_contain_class("ds-marked")
    expect(marked_).to_have_count(2)
    texts.nth(0).hover()
    expect(boxes.nth(0)).to_contain_class("ds-marked")
    boxes.nth(2).click()
    page.page.mouse.move(0, 0)
    expect(texts.nth(2)).to_contain_class("ds-marked")
    boxes.nth(0).focus()
    page.page.keyboard.press("ArrowDown")
    expect(texts.nth(1)).to_contain_class("ds-marked")


def test_the_page_works_without_a_mouse(visit: Begin, document: Path) -> None:
    page = visit()
    with page.page.expect_file_chooser() as chooser:
        page.page.focus("#ds-drop")
        page.page.keyboard.press("Enter")
    chooser.value.set_files(document)
    page.page.wait_for_selector("#ds-thumbs li:last-child img[src]")
    page.page.focus("#dsocr-mode input:checked")
    page.page.keyboard.press("ArrowDown")
    page.page.focus("#dsocr-read")
    page.page.keyboard.press("Enter")
    page.page.wait_for_selector("#ds-downloads:not([hidden])")
    page.page.focus("#ds-thumbs li:first-child button")
    page.page.keyboard.press("ArrowRight")
    expect(page.page.locator("#ds-rendered h1")).to_have_text("Page 2 as text")


HOSTILE = [
    "<script>window.hacked = 1</script>",
    "<img src=x onerror='window.hacked = 2'>",
    "<svg onload='window.hacked = 3'></svg>",
    "[click](javascript:window.hacked=4)",
    "\\(\\href{javascript:window.hacked=5}{x}\\)",
    "\\(\\text{</mtext></math><img src=x onerror=window.hacked=6>}\\)",
    "<iframe src='https://example.com'></iframe>",
    "![x](https://example.com/x.png)",
    "<table><tr><td onclick='window.hacked=7'><img src=x onerror='window.hacked=8'></td></tr></table>",
    '$$\\class{x" onmouseover="window.hacked=9}{y}$$',
]


def test_a_page_full_of_scripts_runs_none(
    visit: Begin, document: Path, engine: ScriptEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    kinds = ("text", "title", "table", "equation", "code", "<img src=x onerror=window.hacked=10>")
    text = "".join(
        f"<|ref|>{kind}<|/ref|><|det|>[[10, 10, 900, 900]]<|/det|>\n{hostile}\n\n"
        for kind in kinds
        for hostile in HOSTILE
    )
    script(engine, monkeypatch, text)
    page = visit()
    page.open(document)
    page.read()
    expect(page.page.locator("#ds-rendered section")).to_have_count(len(kinds) * len(HOSTILE))
    page.page.locator("#ds-boxes rect").first.hover(force=True)
    inside = "#ds-rendered :is(script, iframe, svg, a, object, [onclick], [onerror], [href], [onmouseover])"
    assert page.page.locator(inside).count() == 0
    assert page.page.locator("#ds-rendered img").count() == 0
    assert page.page.evaluate("window.hacked") is None


def test_what_gets_past_the_service_is_stopped_in_the_browser(visit: Begin) -> None:
    page = visit()
    left = page.page.evaluate(
        """async (hostile) => {
          const { safe } = await import("/ui/page/safe_html.js");
          const place = document.createElement("div");
          document.body.append(place);
          place.append(safe(hostile.join("")));
          return [...place.querySelectorAll("*")].map((each) => each.outerHTML.split(">")[0]);
        }""",
        HOSTILE,
    )
    assert page.page.evaluate("window.hacked") is None
    assert set(left) <= {"<table", "<tbody", "<tr", "<td"}


def test_with_keys_the_page_asks_for_one_and_uses_it(
    browser: Browser, engine: ScriptEngine, document: Path, tmp_path: Path
) -> None:
    keys = tmp_path / "keys"
    key = api_keys.new(keys, "ada")
    with service(engine, api={"authentication": "on", "keys_file": str(keys)}) as address:
        page = Visit(browser, address)
        expect(page.page.locator("#dsocr-key")).to_be_visible()
        page.page.set_input_files("#ds-file", document)
        expect(page.page.locator("#ds-alert")).to_contain_text("wants an API key")
        page.page.fill("#dsocr-key input", key)
        page.open(document)
        page.read()
        expect(page.page.locator("#ds-alert")).to_be_hidden()
        page.context.close()


def test_chinese_and_back(visit: Begin, document: Path) -> None:
    page = visit(locale="zh-CN")
    expect(page.page.locator("#dsocr-read")).to_have_text("识别")
    expect(page.page.locator("#dsocr-mode")).to_contain_text("纯文本")
    page.open(document)
    page.read()
    expect(page.page.locator("#ds-status")).to_contain_text("用时")
    page.page.click("#ds-language")
    expect(page.page.locator("#dsocr-read")).to_have_text("Read")
    expect(page.page.locator("#ds-page-title")).to_contain_text("Page ")
    expect(page.page.locator("#dsocr-mode")).to_contain_text("Plain text")


def test_nothing_is_wider_than_a_phone(visit: Begin, document: Path) -> None:
    page = visit(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    page.open(document)
    page.read()
    assert page.page.evaluate("document.documentElement.scrollWidth") <= 390
    page.page.locator("#ds-boxes rect").nth(1).tap()
    expect(page.page.locator("#ds-rendered section").nth(1)).to_contain_class("ds-marked")


def test_a_text_that_lies_has_its_boxes_where_it_lies(
    visit: Begin, tmp_path: Path, engine: ScriptEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Lines of text, for the classifier to see which way up the page is.
    made = pymupdf.open()
    page_ = made.new_page(width=WIDTH, height=HEIGHT)
    for line in range(24):
        page_.insert_text(
            (50, 180 + 20 * line), "The quick brown fox jumps over the lazy dog, said the " + str(line)
        )
    page_.draw_rect(pymupdf.Rect(BOXES["title"]), color=None, fill=COLOURS["title"])
    page_.set_rotation(90)
    path = tmp_path / "lying.pdf"
    path.write_bytes(made.tobytes())
    script(engine, monkeypatch, marked("title", "# Lying"))
    page = visit()
    page.open(path)
    page.read()
    expect(page.page.locator("#ds-page-title")).to_contain_text("Turned by 270°")
    page.page.mouse.move(0, 0)
    shown = page.page.locator("#ds-page")
    with_boxes = shown.screenshot(animations="disabled")
    page.page.evaluate("document.getElementById('ds-boxes').style.display = 'none'")
    area = extent(shown.screenshot(animations="disabled"), (255, 255, 0), 4)
    assert extent(with_boxes, BLOCK_COLOURS[BlockType.TITLE], 24) == pytest.approx(area, abs=0.01)
