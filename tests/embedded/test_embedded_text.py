"""Paragraphs, hyphens, headings, tables' text, markup and prompts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployments.model.embedded.headings import depth_of, is_capitals, is_numbered, may_be_heading
from deployments.model.embedded.lines import Reading, TextLine
from deployments.model.embedded.locate import find_text
from deployments.model.embedded.markup_writer import grounded, html_table, plain, reference_of, text_table
from deployments.model.embedded.paragraphs import ReadRow, join_lines, paragraphs_of
from deployments.model.embedded.parts import Part
from deployments.model.embedded.prompts import Form, Wish, wish_of
from deployments.model.embedded.rows import Row
from deployments.model.embedded.table_text import tidy_cells
from deployments.model.embedded.text_blocks import is_formula, text_blocks
from deployments.types import Box, Task

PAGE = Box(0, 0, 1000, 2000)


def rows(*lines: tuple[str, int, int]) -> list[ReadRow]:
    return [ReadRow(text, Box(x1, 24 * i, x2, 24 * i + 20), 20) for i, (text, x1, x2) in enumerate(lines)]


def texts(*lines: tuple[str, int, int]) -> list[str]:
    return [paragraph.text for paragraph in paragraphs_of(rows(*lines))]


@pytest.mark.parametrize(
    ("lines", "words", "joined"),
    [
        (["an encoder with trans-", "formers inside"], (), "an encoder with transformers inside"),
        (["a high-", "quality corpus"], (), "a high-quality corpus"),
        (["state-of-the-", "art results"], (), "state-of-the-art results"),
        (["flow is causally-", "driven here"], (), "flow is causally-driven here"),
        (["the vision-", "language model"], ("vision", "language"), "the vision-language model"),
        (["the vision-", "language model"], ("visionlanguage",), "the visionlanguage model"),
        (["the DeepSeek-", "OCR model"], (), "the DeepSeek-OCR model"),
        (["pages 12-", "15 of it"], (), "pages 12-15 of it"),
        (["one thing -", "and another"], (), "one thing - and another"),
        (["see https://example.org/", "page for more"], (), "see https://example.org/page for more"),
        (["文档识别模型可以", "阅读页面"], (), "文档识别模型可以阅读页面"),
        (["  spaced ", "", " out "], (), "spaced out"),
    ],
)
def test_lines_are_joined_as_words(lines: list[str], words: tuple[str, ...], joined: str) -> None:
    assert join_lines(lines, words) == joined


def test_an_indent_starts_a_paragraph() -> None:
    found = texts(
        ("The first paragraph runs", 100, 500),
        ("to its end.", 100, 300),
        ("Here", 130, 495),
        ("goes", 100, 500),
    )
    assert found == ["The first paragraph runs to its end.", "Here goes"]


def test_a_line_that_ends_early_ends_its_paragraph() -> None:
    found = texts(
        ("A full line of justified words", 100, 500),
        ("ends here.", 100, 220),
        ("Another full line of words", 100, 500),
    )
    assert len(found) == 2


def test_a_short_line_whose_next_word_would_not_fit_goes_on() -> None:
    found = texts(("A ragged line of words with", 100, 440), ("incomprehensibilities in it", 100, 500))
    assert len(found) == 1


def test_hanging_entries_are_parted_at_their_outdents() -> None:
    found = texts(
        ("[1] A first author and others, the", 100, 500),
        ("title of the work, 2001.", 130, 400),
        ("[2] A second author and others, a", 100, 500),
        ("longer title, 2002.", 130, 350),
    )
    assert [text[:3] for text in found] == ["[1]", "[2]"]


def test_list_marks_become_markdown() -> None:
    assert texts(
        ("• one thing that is long enough", 100, 500), ("• another thing of such length", 100, 500)
    ) == [
        "- one thing that is long enough",
        "- another thing of such length",
    ]


def test_an_address_keeps_its_lines() -> None:
    found = texts(
        ("Dr A. Person", 100, 220),
        ("1 Some Street", 100, 230),
        ("Town", 100, 150),
        ("A country of this name and more", 100, 400),
    )
    assert found == ["Dr A. Person\n1 Some Street\nTown\nA country of this name and more"]


@given(
    st.lists(
        st.text(st.characters(codec="utf-8", categories=["L", "N", "P"]), min_size=1, max_size=30),
        min_size=1,
        max_size=12,
    ),
    st.data(),
)
def test_paragraphs_lose_no_letter(lines: list[str], data: st.DataObject) -> None:
    read = rows(*((line, data.draw(st.integers(0, 200)), data.draw(st.integers(300, 600))) for line in lines))
    joined = "".join(paragraph.text for paragraph in paragraphs_of(read))
    letters = [c for line in lines for c in line if c.isalnum()]
    assert [c for c in joined if c.isalnum()] == letters


def test_headings_by_their_words() -> None:
    assert [
        depth_of(text) for text in ("Abstract", "3 Method", "3.2. Data", "3.2.1 Vision", "2024 in review")
    ] == [1, 1, 2, 3, 1]
    assert is_numbered("4.1 Data")
    assert not is_numbered("Data 4.1")
    assert is_capitals("REFERENCES")
    assert not is_capitals("NASA")
    assert not may_be_heading("12.5 %")
    assert not may_be_heading("1 Introduction ... 3")
    assert not may_be_heading("Corollary 2. Suppose that it holds for some of them.")


def test_currency_signs_join_their_figures_and_empty_lines_go() -> None:
    cells = [
        (r, c, 1, 1, text)
        for r, row in enumerate([["", "", "", "2024"], ["", "", "", ""], ["Total", "", "$", "178"]])
        for c, text in enumerate(row)
    ]
    assert tidy_cells(cells) == [
        (0, 0, 1, 1, ""),
        (0, 1, 1, 1, "2024"),
        (1, 0, 1, 1, "Total"),
        (1, 1, 1, 1, "$ 178"),
    ]


def test_a_table_is_html_on_one_line_with_spans_and_escapes() -> None:
    cells = [(0, 0, 2, 1, "a < b"), (0, 1, 1, 2, "head"), (1, 1, 1, 1, "1"), (1, 2, 1, 1, "<|ref|>")]
    html = html_table(cells)
    assert html == (
        '<table><tr><td rowspan="2">a &lt; b</td><td colspan="2">head</td></tr>'
        "<tr><td>1</td><td>&lt; |ref| &gt;</td></tr></table>"
    )
    assert text_table(cells) == "a < b\thead\n1\t<|ref|>"


def test_a_block_is_written_as_the_model_writes_it() -> None:
    written = grounded("text", Box(100, 200, 1000, 2000), PAGE, "Words.")
    assert written == "<|ref|>text<|/ref|><|det|>[[100, 100, 999, 999]]<|/det|>\nWords.\n\n"
    assert grounded("image", Box(0, 0, 500, 1000), PAGE, "").endswith("<|/det|>\n\n")


@given(st.integers(-50, 1050), st.integers(-50, 2050), st.integers(-50, 1050), st.integers(-50, 2050))
def test_written_boxes_are_in_range_and_not_empty(x1: int, y1: int, x2: int, y2: int) -> None:
    written = reference_of("text", [Box(x1, y1, x2, y2)], PAGE)
    left, top, right, bottom = (int(n) for n in written.split("[[")[1].split("]]")[0].split(","))
    assert 0 <= left < right <= 999
    assert 0 <= top < bottom <= 999


@given(st.text())
def test_text_from_the_page_holds_none_of_the_models_tokens(text: str) -> None:
    assert "<|" not in plain(text + "<|ref|>" + text)
    assert "|>" not in plain(text + "<|/det|>" + text)


@pytest.mark.parametrize(
    ("task", "prompt", "wish"),
    [
        (Task.MARKDOWN, "<image>\n<|grounding|>Convert the document to markdown.", Wish(Form.GROUNDED)),
        (Task.TEXT, "<image>\nFree OCR.", Wish(Form.TEXT)),
        (Task.TABLE, "<image>\n<|grounding|>Extract the table content.", Wish(Form.TABLES)),
        (Task.CUSTOM, "<image>\n<|grounding|>Extract all formulas.", Wish(Form.GROUNDED)),
        (Task.CUSTOM, "<image>\nWhat is this?", Wish(Form.TEXT)),
        (
            Task.CUSTOM,
            "<image>\nLocate <|ref|> the date <|/ref|> in the image.",
            Wish(Form.LOCATE, "the date"),
        ),
        (Task.CUSTOM, "<image>\nLocate <|ref|> <|/ref|>.", Wish(Form.TEXT)),
    ],
)
def test_a_prompts_form_says_what_to_write(task: Task, prompt: str, wish: Wish) -> None:
    assert wish_of(task, prompt) == wish


def test_text_is_found_whatever_its_case_and_spaces() -> None:
    line = Box(100, 100, 300, 120)
    reading = Reading("Date: 1 May", 0.9, tuple((i + 0.5) / 11 for i in range(11)))
    (found,) = find_text("1MAY", [(Box(0, 0, 50, 20), Reading("Other", 0.9)), (line, reading)])
    assert found.y1 == 100
    assert 195 <= found.x1 <= 225
    assert found.x2 == 300
    assert find_text("invoice", [(line, reading)]) == []
    assert find_text("Dale: 1 May", [(line, reading)]) == [line]


def test_a_paragraph_with_an_indented_list_below_it_is_no_hanging_item() -> None:
    found = texts(
        ("All captains wait for the tide, and the pilots", 100, 900),
        ("wait with them.", 100, 380),
        ("• The lamp is lit.", 140, 420),
        ("• The bell is rung, and the boats are called in", 140, 880),
        ("from the roads.", 165, 400),
    )
    assert found == [
        "All captains wait for the tide, and the pilots wait with them.",
        "- The lamp is lit.",
        "- The bell is rung, and the boats are called in from the roads.",
    ]


@pytest.mark.parametrize(
    ("text", "formula"),
    [
        ("E = mc²", True),
        ("x = -b ± √b²-4ac (5)", True),
        ("P(A|B) ≤ 1", True),
        ("The price = the cost", False),
        ("Ships in port", False),
        ("1860", False),
    ],
)
def test_formulas_are_told_from_headings(text: str, formula: bool) -> None:
    assert is_formula(text) is formula


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("[4] M. Lindqvist. Lamps of the northern coast. Vienna, 1911.", "reference"),
        ("4. The lamp is lit before the tide turns.", "text"),
    ],
)
def test_a_numbered_list_is_no_list_of_references(text: str, label: str) -> None:
    row = Row((TextLine.of(Box(100, 100, 900, 120)),), "reference")
    part = Part("text", row.box, (row,), label="reference")
    (block,) = text_blocks(
        part, [ReadRow(text, row.box, 20)], (), heading=False, title=False, near_figure=False
    )
    assert block.label == label
