import re
import shutil
import subprocess
from pathlib import Path

import pymupdf
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deployments.errors import CorruptDocument, EncryptedDocument
from deployments.postprocess import pdfs, text_lines
from deployments.postprocess.empty_font import EMPTY_TRUETYPE
from deployments.types import BlockType, Box, PageResult
from tests.postprocess.pages import HEIGHT, WIDTH, block, result, white

PASSWORD = "of a test"  # noqa: S105 - locks nothing but a page of the tests
PARAGRAPH = " ".join(f"word{number}" for number in range(60))
PAGE = result(
    block(BlockType.TITLE, "# Grüße und Fußnoten", (50, 40, 400, 80)),
    block(BlockType.TEXT, PARAGRAPH, (50, 100, 550, 300)),
    block(BlockType.TEXT, "深度求索让文档变得可以搜索", (50, 320, 550, 350)),
    block(BlockType.TEXT, "Ελληνικά русский ไทย 😀", (50, 370, 550, 400)),
    block(
        BlockType.TABLE,
        "<table><tr><td>alpha</td><td>beta</td></tr><tr><td>gamma</td><td>delta</td></tr></table>",
        (50, 500, 550, 600),
    ),
)
NEEDLES = [
    ("Fußnoten", 0),
    ("word0", 1),
    ("word59", 1),
    ("深度求索", 2),
    ("搜索", 2),
    ("русский", 3),
    ("ไทย", 3),
    ("😀", 3),
    ("alpha", 4),
    ("delta", 4),
]


def a_pdf(*, rotation: int = 0, text: str = "", pages: int = 1, locked: bool = False) -> bytes:
    with pymupdf.open() as document:
        for _ in range(pages):
            width, height = (WIDTH, HEIGHT) if rotation % 180 == 0 else (HEIGHT, WIDTH)
            page = document.new_page(width=width, height=height)
            page.draw_rect(pymupdf.Rect(20, 20, width - 20, height - 20))
            if text:
                page.insert_text((72, 72), text)
            page.set_rotation(rotation)
        if locked:
            return bytes(document.tobytes(encryption=pymupdf.PDF_ENCRYPT_AES_256, user_pw=PASSWORD))
        return bytes(document.tobytes())


def grown(box: Box, scale: float = 1.0) -> pymupdf.Rect:
    return pymupdf.Rect(box) * scale + pymupdf.Rect(-1, -1, 1, 1)


def assert_found(page: pymupdf.Page, source: PageResult, scale: float = 1.0) -> None:
    for needle, number in NEEDLES:
        places = page.search_for(needle)
        assert len(places) == 1, needle
        box = source.blocks[number].box
        assert box is not None
        assert places[0] in grown(box, scale), needle


def test_words_are_found_in_their_blocks_on_page_images() -> None:
    with pymupdf.open(stream=pdfs.searchable([PAGE], images=[white()])) as document:
        assert_found(document[0], PAGE)


def test_pages_have_the_size_their_resolution_gives() -> None:
    page = result(*PAGE.blocks, dpi=144)
    with pymupdf.open(stream=pdfs.searchable([page], images=[white()])) as document:
        assert tuple(document[0].rect) == (0, 0, WIDTH / 2, HEIGHT / 2)
        assert_found(document[0], page, scale=0.5)


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_words_are_found_on_the_original_pages_as_they_are_shown(rotation: int) -> None:
    source = a_pdf(rotation=rotation)
    with pymupdf.open(stream=pdfs.searchable([PAGE], source=source)) as document:
        assert tuple(document[0].rect) == (0, 0, WIDTH, HEIGHT)
        assert_found(document[0], PAGE)


def test_the_text_layer_can_not_be_seen() -> None:
    source = a_pdf()
    with (
        pymupdf.open(stream=source) as plain,
        pymupdf.open(stream=pdfs.searchable([PAGE], source=source)) as searchable,
    ):
        assert plain[0].get_pixmap().samples == searchable[0].get_pixmap().samples


@pytest.mark.skipif(shutil.which("pdftotext") is None, reason="pdftotext is not installed")
def test_pdftotext_finds_the_words_at_the_same_place(tmp_path: Path) -> None:
    file = tmp_path / "searchable.pdf"
    file.write_bytes(pdfs.searchable([PAGE], images=[white()]))
    done = subprocess.run(  # noqa: S603 - our own file
        [str(shutil.which("pdftotext")), "-bbox", str(file), "-"], capture_output=True, check=True, text=True
    )
    assert not done.stderr
    pattern = r'xMin="([\d.]+)" yMin="([\d.]+)" xMax="([\d.]+)" yMax="([\d.]+)">([^<]+)<'
    words = {
        match[5]: pymupdf.Rect(*map(float, match.groups()[:4])) for match in re.finditer(pattern, done.stdout)
    }
    for needle, number in NEEDLES:
        box = PAGE.blocks[number].box
        assert box is not None
        place = next(place for word, place in words.items() if needle in word)
        assert place in grown(box)


def test_pages_with_text_of_their_own_are_left_alone_unless_told() -> None:
    source = a_pdf(text="native")
    with pymupdf.open(stream=pdfs.searchable([PAGE], source=source)) as document:
        assert document[0].get_text().split() == ["native"]
    with pymupdf.open(stream=pdfs.searchable([PAGE], source=source, over_text=True)) as document:
        assert "native" in document[0].get_text()
        assert "word59" in document[0].get_text()


def test_pages_that_were_not_read_stay() -> None:
    page = result(*PAGE.blocks, index=2)
    for make in (pdfs.searchable, pdfs.layout):
        with pymupdf.open(stream=make([page], source=a_pdf(pages=4))) as document:
            assert [bool(found.get_text().strip()) for found in document] == [False, False, True, False]


def test_text_without_a_box_is_found_on_its_page() -> None:
    page = result(block(BlockType.TEXT, "floating words", None))
    with pymupdf.open(stream=pdfs.searchable([page], images=[white()])) as document:
        assert document[0].search_for("floating words")


def test_the_layout_shows_boxes_and_labels_at_their_places() -> None:
    for options in ({"images": [white()]}, {"source": a_pdf(rotation=90)}):
        with pymupdf.open(stream=pdfs.layout([PAGE], **options)) as document:
            page = document[0]
            assert tuple(page.rect) == (0, 0, WIDTH, HEIGHT)
            (place,) = page.search_for("5 table")
            assert place.y1 <= 502
            assert abs(place.x0 - 50) < 5
            drawn = [drawing["rect"] for drawing in page.get_drawings()]
            for found in PAGE.blocks:
                assert any(abs(rect - pymupdf.Rect(found.box)) < 2 for rect in drawn)


def test_either_a_source_or_images() -> None:
    for make in (pdfs.searchable, pdfs.layout):
        with pytest.raises(ValueError, match="one of them"):
            make([PAGE])
        with pytest.raises(ValueError, match="shorter"):
            make([PAGE], images=[])


def test_sources_that_can_not_be_read() -> None:
    with pytest.raises(CorruptDocument):
        pdfs.searchable([PAGE], source=b"no pdf")
    with pytest.raises(EncryptedDocument):
        pdfs.searchable([PAGE], source=a_pdf(locked=True))


@given(st.text(), st.integers(1, 600), st.integers(1, 800))
def test_lines_stay_in_their_box_and_keep_the_words(text: str, width: int, height: int) -> None:
    page = result(block(BlockType.CODE, text, (0, 0, width, height)))
    lines = text_lines.place(page)
    for line in lines:
        assert 0 <= line.x <= line.x + line.width <= width + 1e-6
        assert 0 <= line.y <= line.y + line.height <= height + 1e-6
    if any(map(text_lines.units, text.split())) and "```" not in text:
        kept = "".join("".join(line.text.split()) for line in lines)
        assert len(kept) >= len("".join(text.split())) - text.count("#") - text.count(">")


@given(st.text())
@settings(max_examples=30)
def test_any_text_makes_a_pdf(text: str) -> None:
    page = result(
        block(BlockType.TEXT, text), block(BlockType.TABLE, text), block(BlockType.TEXT, text, None)
    )
    with pymupdf.open(stream=pdfs.searchable([page], images=[white(60, 80)])) as document:
        assert document.page_count == 1


def test_the_font_is_a_font() -> None:
    assert pymupdf.Font(fontbuffer=EMPTY_TRUETYPE).glyph_count == 1
