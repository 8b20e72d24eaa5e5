"""The embedded engine with its real models, on small pages drawn here."""

import asyncio
import html
import logging
import random
import re
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing

import cv2
import numpy as np
import pymupdf
import pytest

from benchmarks.reading.drawn_pages import KINDS, SEED
from benchmarks.reading.scanning import drawn
from deployments.errors import EngineUnavailable, GenerationFailed
from deployments.model.embedded.engine import EmbeddedEngine
from deployments.model.embedded.settings import EmbeddedSettings
from deployments.types import (
    BlockType,
    EngineInput,
    FinishReason,
    Generation,
    GenerationOptions,
    Pixels,
    PreparedPage,
    Task,
)

WORDS = (
    "The river was low that summer and the ferry could not cross before noon. People waited on the bank "
    "with their baskets and talked about the price of flour, the new bridge and the weather. Nobody was in a "
    "hurry, because there was nothing to be done about it. "
)
OTHER = (
    "Mountains rise behind the town like a wall. In winter the pass is closed for weeks and letters come by "
    "sledge, if they come at all. The postman knows every house and every dog along the valley road. "
)


@pytest.fixture(scope="module")
def engine() -> Iterator[EmbeddedEngine]:
    engine = EmbeddedEngine(EmbeddedSettings(), threads=1)
    yield engine
    asyncio.run(engine.close())


class Sheet:
    """A page to draw on, A5 at 144 dpi unless told."""

    def __init__(self, width: float = 420, height: float = 595) -> None:
        self.document = pymupdf.open()
        self.page = self.document.new_page(width=width, height=height)

    def text(
        self, box: tuple[float, float, float, float], text: str, size: float = 10, **options: object
    ) -> None:
        assert self.page.insert_textbox(pymupdf.Rect(*box), text, fontsize=size, **options) >= 0

    def image(self, dpi: int = 144) -> Pixels:
        drawn = self.page.get_pixmap(dpi=dpi, alpha=False)
        return np.frombuffer(drawn.samples, np.uint8).reshape(drawn.height, drawn.width, 3)


def prepared(image: Pixels, prompt: str = "") -> PreparedPage:
    return PreparedPage(0, image.shape[1], image.shape[0], 144, prompt, image)


def read(
    engine: EmbeddedEngine,
    image: Pixels,
    task: Task = Task.MARKDOWN,
    prompt: str = "",
    max_tokens: int | None = None,
) -> Generation:
    async def last() -> Generation:
        pieces: list[str] = []
        options = GenerationOptions(task, max_tokens=max_tokens, confidence=True)
        async with aclosing(engine.generate(prepared(image, prompt), options)) as stream:
            async for piece in stream:
                if isinstance(piece, Generation):
                    assert "".join(pieces) == piece.text
                    return piece
                pieces.append(piece)
        raise AssertionError("the stream ended without a Generation")

    return asyncio.run(last())


def blocks(text: str) -> list[tuple[str, list[int], str]]:
    pattern = r"<\|ref\|>(\w+)<\|/ref\|><\|det\|>\[\[(.*?)\]\]<\|/det\|>\n(.*?)\n(?=\n|<\|ref\|>)"
    return [
        (label, [int(n) for n in box.split(",")], body)
        for label, box, body in re.findall(pattern, text + "\n", re.S)
    ]


def cells(table: str) -> list[list[str]]:
    rows = re.findall(r"<tr>(.*?)</tr>", table)
    return [[html.unescape(cell) for cell in re.findall(r"<td[^>]*>(.*?)</td>", row)] for row in rows]


def likeness(text: str, truth: str) -> float:
    """Share of the truth's words that were read, in order."""
    words, wanted = text.split(), truth.split()
    table = np.zeros((len(words) + 1, len(wanted) + 1), int)
    for i, word in enumerate(words):
        for j, other in enumerate(wanted):
            table[i + 1, j + 1] = table[i, j] + 1 if word == other else max(table[i, j + 1], table[i + 1, j])
    return table[-1, -1] / len(wanted)


@pytest.fixture(scope="module")
def letter() -> Pixels:
    sheet = Sheet()
    sheet.text((40, 40, 380, 80), "A Summer on the River", size=22, fontname="hebo")
    sheet.text((40, 100, 380, 260), WORDS * 2, align=3)
    sheet.text((40, 280, 380, 440), OTHER * 2, align=3)
    return sheet.image()


def test_a_title_and_its_paragraphs(engine: EmbeddedEngine, letter: Pixels) -> None:
    generation = read(engine, letter)
    found = blocks(generation.text)
    assert found[0][0] == "title"
    assert found[0][2] == "# A Summer on the River"
    assert [label for label, _, _ in found[1:]] == ["text", "text"]
    assert likeness(found[1][2], WORDS * 2) > 0.97
    assert likeness(found[2][2], OTHER * 2) > 0.97
    left, top, right, bottom = found[0][1]
    assert (90 <= left <= 105, 65 <= top <= 90, right < 800, 100 <= bottom <= 140) == (True, True, True, True)
    assert generation.finish_reason is FinishReason.STOP
    assert generation.confidence is not None
    assert generation.confidence > 0.9
    assert generation.output_tokens > 800
    assert (engine.name, engine.model, engine.takes) == (
        "embedded",
        "embedded-ppocrv6-tiny",
        EngineInput.PAGE,
    )


@pytest.mark.parametrize("task", [Task.MARKDOWN, Task.TEXT])
def test_a_page_ends_at_the_most_tokens(engine: EmbeddedEngine, letter: Pixels, task: Task) -> None:
    whole = read(engine, letter, task)
    cut = read(engine, letter, task, max_tokens=40)
    assert cut.finish_reason is FinishReason.LENGTH
    assert cut.output_tokens == 40
    assert cut.text
    assert whole.text.startswith(cut.text)
    enough = read(engine, letter, task, max_tokens=whole.output_tokens)
    assert (enough.finish_reason, enough.text) == (FinishReason.STOP, whole.text)


def test_two_columns_under_a_wide_title(engine: EmbeddedEngine) -> None:
    sheet = Sheet()
    sheet.text((40, 30, 380, 70), "News from the Valley and Beyond It", size=18)
    sheet.text((40, 80, 202, 560), WORDS * 2, align=3)
    sheet.text((218, 80, 380, 560), OTHER * 2, align=3)
    text = read(engine, sheet.image(), Task.TEXT).text
    assert "<|" not in text
    assert likeness(text, f"News from the Valley and Beyond It {WORDS * 2} {OTHER * 2}") > 0.95


def draw_table(sheet: Sheet, rules: bool) -> list[list[str]]:
    rows = [
        ["Fruit", "Price", "Stock"],
        ["Apples", "1.20", "35"],
        ["Pears", "2.45", "8"],
        ["Plums", "3.10", "112"],
        ["Cherries", "7.95", "60"],
    ]
    for r, row in enumerate(rows):
        for c, text in enumerate(row):
            sheet.page.insert_text((50 + 110 * c, 118 + 24 * r), text, fontsize=11)
    if rules:
        for r in range(6):
            sheet.page.draw_line((40, 100 + 24 * r), (370, 100 + 24 * r))
        for c in range(4):
            sheet.page.draw_line((40 + 110 * c, 100), (40 + 110 * c, 220))
    else:
        for y in (100, 124, 222):
            sheet.page.draw_line((40, y), (370, y))
    return rows


@pytest.mark.parametrize("rules", [True, False])
def test_a_table_keeps_its_cells(engine: EmbeddedEngine, rules: bool) -> None:
    sheet = Sheet()
    rows = draw_table(sheet, rules)
    sheet.text((40, 60, 380, 90), "Table 1: What the market had on Monday.")
    sheet.text((40, 250, 380, 400), WORDS, align=3)
    generation = read(engine, sheet.image(), Task.TABLE)
    (block,) = blocks(generation.text)
    assert block[0] == "table"
    assert cells(block[2]) == rows


def test_spans_of_a_ruled_table(engine: EmbeddedEngine) -> None:
    sheet = Sheet()
    lines = [
        ((40, 100), (370, 100)),
        ((150, 130), (370, 130)),
        ((40, 160), (370, 160)),
        ((40, 190), (370, 190)),
    ]
    lines += [
        ((40, 100), (40, 190)),
        ((150, 100), (150, 190)),
        ((260, 130), (260, 190)),
        ((370, 100), (370, 190)),
    ]
    for start, end in lines:
        sheet.page.draw_line(start, end)
    for place, text in (
        ((60, 134), "Season"),
        ((230, 120), "Visitors"),
        ((170, 150), "Adults"),
        ((280, 150), "Children"),
        ((60, 180), "Summer"),
        ((170, 180), "4120"),
        ((280, 180), "1875"),
    ):
        sheet.page.insert_text(place, text, fontsize=11)
    text = read(engine, sheet.image(), Task.TABLE).text
    assert (
        '<td rowspan="2">Season</td><td colspan="2">Visitors</td></tr><tr><td>Adults</td><td>Children</td>'
        in text
    )


def test_a_figure_is_a_block_without_text(engine: EmbeddedEngine) -> None:
    sheet = Sheet()
    sheet.text((40, 40, 380, 140), WORDS, align=3)
    noise = np.random.default_rng(3).integers(0, 255, (20, 30, 3), np.uint8)
    picture = cv2.GaussianBlur(cv2.resize(noise, (600, 400), interpolation=cv2.INTER_CUBIC), (31, 31), 0)
    sheet.page.insert_image(
        pymupdf.Rect(90, 160, 330, 320), stream=cv2.imencode(".png", picture)[1].tobytes()
    )
    sheet.text((90, 330, 330, 350), "Figure 1: A picture of nothing much.", size=9)
    sheet.text((40, 370, 380, 520), OTHER, align=3)
    found = blocks(read(engine, sheet.image()).text)
    assert [label for label, _, _ in found] == ["text", "image", "image_caption", "text"]
    _, box, content = found[1]
    assert content == ""
    assert found[2][2] == "<center>Figure 1: A picture of nothing much.</center>"
    assert np.abs(np.array(box) - [214, 269, 786, 538]).max() < 25


def test_chinese(engine: EmbeddedEngine) -> None:
    sheet = Sheet()
    sheet.text(
        (40, 60, 380, 200),
        "文档识别模型把页面图像转换成文字。它能够处理表格和公式。它也能够保持阅读的顺序。" * 2,
        size=12,
        fontname="china-s",
    )
    text = read(engine, sheet.image(), Task.TEXT).text
    assert "文档识别模型把页面图像转换成文字" in text
    assert " " not in text.strip()


def test_a_skewed_page_reads_as_a_level_one(engine: EmbeddedEngine, letter: Pixels) -> None:
    rows, columns = letter.shape[:2]
    turn = cv2.getRotationMatrix2D((columns / 2, rows / 2), -2.0, 1.0)
    skewed = np.asarray(cv2.warpAffine(letter, turn, (columns, rows), borderValue=(255, 255, 255)), np.uint8)
    found = blocks(read(engine, skewed).text)
    assert [label for label, _, _ in found] == ["title", "text", "text"]
    assert likeness(found[1][2], WORDS * 2) > 0.95


@pytest.mark.parametrize("shape", [(1, 1), (10, 20), (3, 900), (300, 200)])
def test_pages_with_nothing_to_read(engine: EmbeddedEngine, shape: tuple[int, int]) -> None:
    assert read(engine, np.full((*shape, 3), 255, np.uint8)).text == ""


def test_a_huge_page_is_read(engine: EmbeddedEngine) -> None:
    sheet = Sheet(400, 300)
    sheet.text((40, 100, 380, 200), "A large poster", size=40)
    text = read(engine, sheet.image(dpi=900), Task.TEXT).text
    assert text.strip() == "A large poster"


def test_custom_prompts(engine: EmbeddedEngine, letter: Pixels) -> None:
    located = read(
        engine, letter, Task.CUSTOM, "<image>\nLocate <|ref|>ferry could not cross<|/ref|> in the image."
    ).text
    assert located.startswith("<|ref|>ferry could not cross<|/ref|><|det|>[[")
    boxes = [[int(n) for n in box.split(",")] for box in re.findall(r"\[([\d, ]+)\]", located)]
    assert all(right - left < 400 and bottom - top < 30 for left, top, right, bottom in boxes)
    assert "<|ref|>" not in read(engine, letter, Task.CUSTOM, "<image>\nWhat is this about?").text


def test_blocks_are_streamed_and_leaving_early_frees_the_engine(
    engine: EmbeddedEngine, letter: Pixels
) -> None:
    async def leave() -> str:
        stream = engine.generate(prepared(letter), GenerationOptions())
        first = await anext(stream)
        await stream.aclose()
        assert isinstance(first, str)
        return first

    async def cancelled() -> None:
        task = asyncio.ensure_future(_all(engine.generate(prepared(letter), GenerationOptions())))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    assert len(blocks(asyncio.run(leave()))) == 1
    asyncio.run(cancelled())
    assert len(blocks(read(engine, letter).text)) == 3


async def _all(stream: AsyncIterator[str | Generation]) -> None:
    async for _ in stream:
        pass


def test_a_page_without_its_image_fails_alone(engine: EmbeddedEngine, letter: Pixels) -> None:
    async def fail(page: PreparedPage) -> None:
        await _all(engine.generate(page, GenerationOptions()))

    with pytest.raises(GenerationFailed):
        asyncio.run(fail(PreparedPage(0, 10, 10, None, "")))
    with pytest.raises(GenerationFailed):
        asyncio.run(fail(prepared(np.zeros((10, 10, 5), np.uint8))))
    assert read(engine, letter).text


def test_a_closed_engine_says_so(
    letter: Pixels, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the embedded engine needs no network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    with caplog.at_level(logging.INFO):
        engine = EmbeddedEngine(EmbeddedSettings(weights="small", layout=False), threads=2)

    async def life() -> None:
        await engine.check_health()
        waiting = asyncio.ensure_future(_all(engine.generate(prepared(letter), GenerationOptions())))
        await asyncio.sleep(0)
        await engine.close()
        await engine.close()
        with pytest.raises(EngineUnavailable):
            await waiting
        with pytest.raises(EngineUnavailable):
            await engine.check_health()
        with pytest.raises(EngineUnavailable):
            await _all(engine.generate(prepared(letter), GenerationOptions()))

    asyncio.run(life())
    assert engine.model == "embedded-ppocrv6-small"
    assert not caplog.records


def grid_of(sheet: Sheet, rows: list[list[str]], step: float = 70, tall: float = 24) -> None:
    """Draw a ruled table from (40, 100) on."""
    for r in range(len(rows) + 1):
        sheet.page.draw_line((40, 100 + tall * r), (40 + step * len(rows[0]), 100 + tall * r))
    for c in range(len(rows[0]) + 1):
        sheet.page.draw_line((40 + step * c, 100), (40 + step * c, 100 + tall * len(rows)))
    for r, row in enumerate(rows):
        for c, text in enumerate(row):
            sheet.page.insert_text((48 + step * c, 117 + tall * r), text, fontsize=11, fontname="tiro")


def test_single_digits_and_dashes_alone_in_their_cells(engine: EmbeddedEngine) -> None:
    sheet = Sheet()
    rows = [
        ["Ship", "Crew", "Boats", "Masts"],
        ["Heron", "7", "1", "2"],
        ["Gull", "9", "-", "4"],
        ["Tern", "5", "0", "3"],
        ["Plover", "8", "6", "-"],
    ]
    grid_of(sheet, rows)
    (block,) = blocks(read(engine, sheet.image(), Task.TABLE).text)
    assert cells(block[2]) == rows


def test_heads_that_span_columns_over_a_rule_of_their_own(engine: EmbeddedEngine) -> None:
    sheet = Sheet()
    body = [["Granite", "12.5", "140", "9.75", "88"], ["Slate", "7.25", "95", "3.50", "61"]]
    body += [["Chalk", "10.0", "210", "6.25", "47"], ["Basalt", "4.75", "180", "8.00", "93"]]
    ends = (120, 185, 250, 315, 380)
    for y in (100, 148, 256):
        sheet.page.draw_line((40, y), (382, y), width=1)
    sheet.page.draw_line((140, 124), (248, 124), width=0.5)
    sheet.page.draw_line((262, 124), (382, 124), width=0.5)
    for text, middle in (("Winter quarry", 194), ("Summer quarry", 322)):
        wide = pymupdf.get_text_length(text, "tibo", 10)
        sheet.page.insert_text((middle - wide / 2, 116), text, fontsize=10, fontname="tibo")
    for r, row in enumerate([["Stone", "Depth", "Tons", "Depth", "Tons"], *body]):
        for c, text in enumerate(row):
            wide = pymupdf.get_text_length(text, "tiro", 10)
            x = 44 if c == 0 else ends[c] - wide
            sheet.page.insert_text((x, 140 + 24 * r), text, fontsize=10, fontname="tiro")
    (block,) = blocks(read(engine, sheet.image(), Task.TABLE).text)
    assert '<td colspan="2">Winter quarry</td><td colspan="2">Summer quarry</td>' in block[2]
    assert cells(block[2])[1:] == [["Stone", "Depth", "Tons", "Depth", "Tons"], *body]


def test_a_caption_of_two_lines_under_prose_is_no_part_of_the_table(engine: EmbeddedEngine) -> None:
    # A page on which the layout model takes prose and caption for a table of their own.
    kind = "half-ruled tables, spans"
    page = KINDS[kind](random.Random(f"{SEED}/{kind}/5"), kind, kind)
    text = read(engine, drawn(page, 144)).text
    caption = next(block.text for block in page.blocks if block.type is BlockType.CAPTION)
    assert caption.endswith("different?")
    tables = re.findall(r"<table>.*?</table>", text)
    assert len(tables) == 2
    assert "different?" not in tables[0]
    assert "Measure Meanwhile" in tables[0]


@pytest.mark.parametrize(
    ("kind", "seed"),
    [
        ("unruled tables", "11/unruled tables/0"),  # three rows, which the layout model takes for text
        ("unruled tables", "13/unruled tables/4"),  # its last column is cut off
        ("unruled tables", "12/unruled tables/2"),  # the caption's last word stands in its box
        ("unruled tables", "21/unruled tables/4"),  # two of its columns are taken for a figure
    ],
)
def test_tables_without_rules_are_whole(engine: EmbeddedEngine, kind: str, seed: str) -> None:
    page = KINDS[kind](random.Random(seed), kind, kind)
    text = read(engine, drawn(page, 144)).text
    found = [cells(table) for table in re.findall(r"<table>.*?</table>", text)]
    wanted = [block.text.replace("–", "-") for block in page.blocks if block.type is BlockType.TABLE]
    assert found == [cells(table) for table in wanted]


@pytest.mark.parametrize("seed", ["14/ruled tables, spans/2", "14/half-ruled tables, spans/1"])
def test_a_line_of_a_paragraph_is_no_running_head_and_no_heading(engine: EmbeddedEngine, seed: str) -> None:
    kind = seed.split("/")[1]
    page = KINDS[kind](random.Random(seed), kind, kind)
    found = blocks(read(engine, drawn(page, 144)).text)
    paragraphs = [letters(content) for label, _, content in found if label != "table"]
    wanted = [letters(block.text) for block in page.blocks if block.type is BlockType.TEXT]
    assert [text for text in wanted if text not in paragraphs] == []
    assert {label for label, _, _ in found} <= {"text", "table", "table_caption"}


def letters(text: str) -> str:
    """A text without what the recogniser takes for something like it, such as quotation marks."""
    return "".join(filter(str.isalnum, text))


def test_a_formula_alone_is_no_heading(engine: EmbeddedEngine) -> None:
    sheet = Sheet()
    sheet.text((40, 40, 380, 140), WORDS, align=3)
    sheet.text((170, 150, 300, 180), "a = b + c", size=15, fontname="tiit")
    sheet.text((40, 190, 380, 330), OTHER * 2, align=3)
    labels = [label for label, _, _ in blocks(read(engine, sheet.image()).text)]
    assert labels == ["text", "equation", "text"]
