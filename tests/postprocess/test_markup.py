import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployments.postprocess import markdown, markup
from deployments.types import BlockType, Box

EOS = "<\uff5cend\u2581of\u2581sentence\uff5c>"

FRAGMENTS = [
    "<|ref|>",
    "<|/ref|>",
    "<|det|>",
    "<|/det|>",
    "<|grounding|>",
    EOS,
    "<image>",
    "<|",
    "|>",
    "text",
    "image",
    "table",
    "page_number",
    "the red car",
    "[[1, 2, 3, 4]]",
    "[[",
    "]]",
    "[1,2,3",
    "-5",
    "1e9",
    "999999999999",
    "12.5",
    ",",
    "\n",
    "\n\n",
    "\x00",
    "\ud800",
    "\udc00",
    "<table>",
    "</table>",
    "<TD>",
    "<tr><td>x",
    "# ",
    "\u0130",
    "<center>",
    "</center>",
    "\\coloneqq",
    "| a | b |",
]
hostile_text = (
    st.lists(st.sampled_from(FRAGMENTS) | st.text(max_size=5), max_size=40).map("".join) | st.text()
)
any_text = hostile_text | st.text(st.characters(categories=["Cs", "Cc", "L", "P"]))
sides = st.integers(1, 20_000)


def mark(label: str, *boxes: tuple[int, int, int, int], text: str = "") -> str:
    return f"<|ref|>{label}<|/ref|><|det|>{[list(box) for box in boxes]}<|/det|>\n{text}\n\n"


@given(any_text, sides, sides)
def test_any_text_gives_blocks_with_boxes_on_the_page(raw: str, width: int, height: int) -> None:
    for block in markup.parse(raw, width, height):
        assert block.content or block.box
        assert block.content == block.content.strip()
        block.content.encode()
        assert "\x00" not in block.content
        assert not any(tag in block.content + block.label for tag in ("<|ref|>", "<|/ref|>", "<|det|>", EOS))
        if block.box is not None:
            x1, y1, x2, y2 = block.box
            assert 0 <= x1 < x2 <= width
            assert 0 <= y1 < y2 <= height


@given(st.lists(st.integers(0, 999), min_size=4, max_size=4), sides, sides)
def test_boxes_scale_as_the_reference_does(values: list[int], width: int, height: int) -> None:
    x1, x2 = sorted(values[:2])
    y1, y2 = sorted(values[2:])
    (block,) = markup.parse(mark("text", (x1, y1, x2, y2), text="words"), width, height)
    if x1 == x2 or y1 == y2:
        assert block.box is None
        return
    assert block.box is not None
    reference = (
        int(x1 / 999 * width),
        int(y1 / 999 * height),
        int(x2 / 999 * width),
        int(y2 / 999 * height),
    )
    for value, expected in zip(block.box, reference, strict=True):
        assert abs(value - expected) <= 1
    if reference[0] < reference[2] and reference[1] < reference[3]:
        assert block.box == reference


PARAGRAPHS = st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=20)


@given(st.lists(PARAGRAPHS, min_size=1, max_size=8))
def test_blocks_keep_the_models_order_and_words(paragraphs: list[str]) -> None:
    raw = "".join(mark("text", (1, 1 + i, 900, 2 + i), text=words) for i, words in enumerate(paragraphs))
    blocks = markup.parse(raw + EOS, 1000, 1000)
    assert [block.content for block in blocks] == paragraphs
    assert markdown.render(blocks) == "\n\n".join(paragraphs)


@given(any_text)
def test_no_letter_outside_marks_is_lost(raw: str) -> None:
    plain = raw.replace("<", "").replace(">", "").replace("\\", "")
    kept = "".join(block.content for block in markup.parse(plain, 100, 100))
    assert "".join(kept.split()) == "".join(markup.clean(plain).split())


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        ("title", BlockType.TITLE),
        ("sub_title", BlockType.TITLE),
        ("text", BlockType.TEXT),
        ("image", BlockType.IMAGE),
        ("Image", BlockType.IMAGE),
        ("chart", BlockType.IMAGE),
        ("image_caption", BlockType.CAPTION),
        ("table caption", BlockType.CAPTION),
        ("equation", BlockType.EQUATION),
        ("table_footnote", BlockType.CAPTION),
        ("header", BlockType.HEADER),
        ("footer", BlockType.FOOTER),
        ("list", BlockType.LIST),
        ("code", BlockType.CODE),
        ("references", BlockType.REFERENCES),
        ("aside_text", BlockType.ASIDE_TEXT),
        ("signature", BlockType.SIGNATURE),
        ("gibberish", BlockType.TEXT),
    ],
)
def test_labels_become_block_types(label: str, expected: BlockType) -> None:
    (block,) = markup.parse(mark(label, (10, 10, 20, 20), text="words"), 999, 999)
    assert (block.type, block.label, block.content) == (expected, label, "words")


def test_a_page_number_is_a_header_above_and_a_footer_below() -> None:
    raw = mark("page_number", (10, 10, 20, 20), text="7") + mark("page_number", (10, 900, 20, 950), text="7")
    assert [block.type for block in markup.parse(raw, 999, 999)] == [BlockType.HEADER, BlockType.FOOTER]


def test_several_boxes_are_several_figures_but_one_paragraph() -> None:
    boxes = (10, 10, 100, 100), (200, 50, 300, 400)
    blocks = markup.parse(mark("image", *boxes) + mark("text", *boxes, text="words"), 999, 999)
    assert [block.box for block in blocks] == [*boxes, (10, 10, 300, 400)]


def test_what_was_located_keeps_its_name_and_all_its_places() -> None:
    raw = "<|ref|>the teacher<|/ref|><|det|>[[1, 2, 30, 40], [50, 60, 70, 80]]<|/det|>" + EOS
    blocks = markup.parse(raw, 999, 999)
    assert [(block.label, block.content, block.box) for block in blocks] == [
        ("the teacher", "the teacher", (1, 2, 30, 40)),
        ("the teacher", "the teacher", (50, 60, 70, 80)),
    ]


@pytest.mark.parametrize(
    ("coordinates", "expected"),
    [
        ("[[-50, 10, 2000, 20]]", Box(0, 10, 999, 20)),
        ("[[1.5, 2.5, 30.25, 40.]]", Box(1, 2, 30, 40)),
        ("[1, 2, 3, 4]", Box(1, 2, 3, 4)),
        ("[[[[1, 2, 3, 4]]]]", Box(1, 2, 3, 4)),
        ("1, 2, 3, 4", Box(1, 2, 3, 4)),
        ("[[012, 020, 030, 040]]", Box(12, 20, 30, 40)),
        ("[[1, 2, 3]]", None),
        ("[[1, 2, 3, 4, 5]]", None),
        ("[[1, , 3, 4]]", None),
        ("[[30, 2, 3, 4]]", None),
        ("[[1000, 1000, 2000, 2000]]", None),
        ("[[1e1, 2, 30, 40]]", None),
        (f"[[1, 2, 3, {'9' * 100_000}]]", None),
        ("[[nan, inf, 3, 4]]", None),
        ("__import__('os').abort()", None),
        ("[" * 1_000_000, None),
        ("", None),
    ],
)
def test_odd_coordinates(coordinates: str, expected: Box | None) -> None:
    raw = f"<|ref|>text<|/ref|><|det|>{coordinates}<|/det|>\nwords"
    (block,) = markup.parse(raw, 999, 999)
    assert (block.box, block.content) == (expected, "words")


@pytest.mark.parametrize(
    ("raw", "contents"),
    [
        ("<|ref|>text<|/ref|><|det|>[[1, 2, 3, 4]]<|/det|>\nwords<|ref|>te", ["words"]),
        (
            "<|ref|>text<|/ref|><|det|>[[1, 2, 30, 40]]<|/det|>\nwords<|ref|>text<|/ref|><|det|>[[1, 2",
            ["words"],
        ),
        ("<|ref|>text<|det|>[[1, 2, 3, 4]]<|/det|>words", ["words"]),
        ("<|ref|>text<|/ref|><|det|>[[1, 2, 3, 4]]\n2020 was long", ["2020 was long"]),
        ("<|ref|>text<|/ref|>words", ["words"]),
        ("<|det|>[[1, 2, 3, 4]]<|/det|>words", ["words"]),
        ("before<|ref|>text<|/ref|><|det|>[[1, 2, 3, 4]]<|/det|>words", ["before", "words"]),
        ("<|ref|>one<|ref|>two<|/ref|><|det|>[[1, 2, 3, 4]]<|/det|>words", ["one", "words"]),
        ("<|/det|><|/ref|>words<|/det|>", ["words"]),
        ("<|re<|grounding|>f|>words", ["<|re f|>words"]),
        ("one\r\n\r\ntwo\rthree", ["one", "two\nthree"]),
        ("a \\coloneqq b \\eqqcolon c", ["a := b =: c"]),
        ("\ud83d\ude00 \ud83d", ["\U0001f600 \ufffd"]),
    ],
)
def test_broken_markup_keeps_the_words(raw: str, contents: list[str]) -> None:
    assert [block.content for block in markup.parse(raw, 999, 999)] == contents


def test_plain_text_is_split_at_blank_lines_and_around_tables() -> None:
    raw = "# Head\n\nfirst\nparagraph\n \nsecond <TABLE><tr><td>a\n\nb</td></tr></TABLE> third"
    raw += "<table><tr><td>open"
    assert [(block.type, block.content) for block in markup.parse(raw, 10, 10)] == [
        (BlockType.TITLE, "# Head"),
        (BlockType.TEXT, "first\nparagraph"),
        (BlockType.TEXT, "second"),
        (BlockType.TABLE, "<TABLE><tr><td>a\n\nb</td></tr></TABLE>"),
        (BlockType.TEXT, "third"),
        (BlockType.TABLE, "<table><tr><td>open"),
    ]


def test_captions_lose_their_centring() -> None:
    raw = mark("image_caption", (1, 1, 9, 9), text="<center>Figure 1 </center>")
    assert markup.parse(raw, 99, 99)[0].content == "Figure 1"


def test_a_page_without_pixels_is_refused() -> None:
    with pytest.raises(ValueError, match="0x5"):
        markup.parse("words", 0, 5)


HOSTILE = [
    "[",
    "]",
    "[[1,2,3,4],",
    "<",
    "<|",
    "<|ref|>",
    "<|/ref|>",
    "<|det|>",
    "<|/det|>",
    "<|det|>[[",
    "<|ref|>a<|det|>",
    "<table>",
    "<table",
    "<td",
    "\n",
    "\n \n",
    " \n",
    "#",
    "9",
    "-",
    EOS[:5],
    "<|ref|>image<|/ref|><|det|>[[1,2,3,4]]",
    "<center>",
    "&",
    "`",
    "\x00",
    "\ud800",
    "|",
    "\\coloneqq",
]


@pytest.mark.parametrize("piece", HOSTILE)
@pytest.mark.parametrize("prefix", ["", "<|ref|>text<|/ref|><|det|>"])
def test_a_megabyte_of_anything_is_read(piece: str, prefix: str) -> None:
    blocks = markup.parse(prefix + piece * (1_000_000 // len(piece)), 100, 100)
    markdown.render(blocks)


def steps(function: Callable[[], object]) -> int:
    """Lines of Python run by a call."""
    count = 0

    def trace(_frame: FrameType, event: str, _argument: Any) -> Any:
        nonlocal count
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        function()
    finally:
        sys.settrace(before)
    return count


@pytest.mark.parametrize("piece", HOSTILE)
def test_twice_the_text_takes_at_most_twice_the_steps(piece: str) -> None:
    def run(copies: int) -> int:
        text = "<|ref|>text<|/ref|><|det|>" + piece * copies
        return steps(lambda: markdown.render(markup.parse(text, 100, 100)))

    assert run(800) <= 2 * run(400) + 100
