import io
import json
import re
import zipfile
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployments.postprocess import archive, exports, webpage
from deployments.postprocess.markdown import TableFormat
from deployments.types import BlockType, PageResult
from tests.postprocess.pages import block, result

TABLE = "<table><tr><td>a, b</td><td>c</td></tr></table>"
PNG = b"\x89PNG bytes"


def page(index: int, png: bytes | None = PNG) -> PageResult:
    return result(
        block(BlockType.TITLE, f"# Page {index}"),
        block(BlockType.IMAGE, "", image_id="img-0.png"),
        block(BlockType.TABLE, TABLE),
        index=index,
        png=png,
    )


def test_names_are_unique_in_the_document() -> None:
    pages = [exports.renamed(page(index)) for index in (0, 1, 11)]
    assert [figure.id for found in pages for figure in found.figures] == [
        "page-0001-img-0.png",
        "page-0002-img-0.png",
        "page-0012-img-0.png",
    ]
    assert pages[1].tables[0].id == "page-0002-tbl-0.html"
    assert pages[1].blocks[1].image_id == "page-0002-img-0.png"
    assert "![page-0002-img-0.png](page-0002-img-0.png)" in pages[1].markdown


def test_merged_markdown_marks_its_pages() -> None:
    pages = [
        result(block(BlockType.TEXT, "one")),
        result(index=1),
        result(block(BlockType.TEXT, "three"), index=2),
    ]
    assert exports.to_markdown(pages) == (
        "<!-- page 1 -->\n\none\n\n<!-- page 2 -->\n\n<!-- page 3 -->\n\nthree\n"
    )
    assert exports.to_markdown(pages, page_marks=False) == "one\n\nthree\n"
    assert exports.to_markdown([]) == ""


def test_a_page_that_could_not_be_read_is_said_in_its_place() -> None:
    pages = [page(0), 1, page(2)]
    text = exports.to_markdown(pages)
    assert "<!-- page 2 -->\n\n<!-- this page could not be read -->\n\n<!-- page 3 -->" in text
    sections = "".join(webpage.stream(pages)).split("<section ")[1:]
    assert [section.partition('"')[2].partition('"')[0] for section in sections] == [
        "page-1",
        "page-2",
        "page-3",
    ]
    assert "This page could not be read." in sections[1]
    for merge in (False, True):
        out = io.BytesIO()
        archive.write(out, pages, merge=merge)
        with zipfile.ZipFile(out) as found:
            assert "<!-- this page could not be read -->" in found.read("document.md").decode()
            described = json.loads(found.read("result.json"))["pages"]
        assert [(each["index"], "error" in each) for each in described] == [(0, False), (1, True), (2, False)]


def test_merged_markdown_takes_formats() -> None:
    text = exports.to_markdown([page(0)], table_format=TableFormat.MARKDOWN, figures=())
    assert text == "<!-- page 1 -->\n\n# Page 0\n\n| a, b | c |\n| --- | --- |\n"


def test_a_page_as_json_has_the_replys_fields() -> None:
    data = json.loads(json.dumps(exports.page_dict(page(4), raw=True)))
    assert (data["index"], data["raw"], data["finish_reason"]) == (4, "raw words", "stop")
    assert data["dimensions"] == {"dpi": 72, "width": 600, "height": 800}
    corners = {"top_left_x": 50, "top_left_y": 300, "bottom_right_x": 550, "bottom_right_y": 400}
    assert data["images"] == [{"id": "img-0.png", **corners}]
    assert data["tables"] == [{"id": "tbl-0.html", "content": TABLE, "format": "html"}]
    assert data["blocks"][1] == {
        "type": "image",
        "label": "image",
        **corners,
        "content": "",
        "image_id": "img-0.png",
    }
    assert "raw" not in exports.page_dict(page(4))
    assert exports.page_dict(result(block(BlockType.TEXT, "x", None)))["blocks"][0]["top_left_x"] is None


def test_the_zip_has_everything_and_links_what_it_has() -> None:
    out = io.BytesIO()
    archive.write(out, [page(0), page(1), page(2, png=None)], files={"layout.pdf": b"%PDF"})
    with zipfile.ZipFile(out) as found:
        assert found.testzip() is None
        names = set(found.namelist())
        assert names == {
            "document.md",
            "result.json",
            "layout.pdf",
            "page-0001-img-0.png",
            "page-0002-img-0.png",
            "tables/page-0001-tbl-0.csv",
            "tables/page-0002-tbl-0.csv",
            "tables/page-0003-tbl-0.csv",
        }
        text = found.read("document.md").decode()
        assert set(re.findall(r"\]\((.*?)\)", text)) == {"page-0001-img-0.png", "page-0002-img-0.png"}
        assert found.read("page-0001-img-0.png") == PNG
        assert found.read("tables/page-0001-tbl-0.csv") == b'"a, b",c\r\n'
        assert len(json.loads(found.read("result.json"))["pages"]) == 3
    again = io.BytesIO()
    archive.write(again, [page(0), page(1), page(2, png=None)], files={"layout.pdf": b"%PDF"})
    assert out.getvalue() == again.getvalue()


def test_the_zip_can_hold_a_merged_document() -> None:
    out = io.BytesIO()
    pages = [result(block(BlockType.TEXT, "it goes")), result(block(BlockType.TEXT, "on."), index=1)]
    archive.write(out, pages, merge=True, page_marks=False)
    with zipfile.ZipFile(out) as found:
        assert found.read("document.md") == b"it goes on.\n"


class Tags(HTMLParser):
    """Collects what a browser would see."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def read(html: str) -> Tags:
    tags = Tags()
    tags.feed(html)
    tags.close()
    return tags


HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=http://x/ onerror=alert(1)>",
    "</p></section>",
    '" onload="x',
    "**b**",
    "- a",
    "1. x",
    "```",
    "<td>",
    "<table>",
    "javascript:",
    "&lt;script&gt;",
    "<style>",
    "\n",
    "[x](http://x)",
]
FORMULA_ELEMENTS = ("math", "mrow", "mi", "mn", "mo", "mtext", "mspace", "mfrac", "msub", "msup", "msubsup")
FORMULA_ATTRIBUTES = ("display", "displaystyle", "stretchy", "mathvariant", "fence", "form", "width")
hostile = st.lists(st.sampled_from(HOSTILE) | st.text(max_size=5)).map("".join)


@given(st.lists(st.tuples(st.sampled_from(BlockType), hostile, hostile)), hostile)
def test_no_page_can_put_tags_of_its_own_into_the_web_page(
    found: list[tuple[BlockType, str, str]], title: str
) -> None:
    blocks = [block(type_, content, label=label) for type_, content, label in found]
    tags = read(webpage.render([result(*blocks)], title=title)).tags
    known = {
        "html",
        "head",
        "meta",
        "title",
        "style",
        "body",
        "section",
        "p",
        "br",
        "strong",
        "ul",
        "ol",
        "li",
        "pre",
        "code",
        "table",
        "tr",
        "td",
        "th",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
    }
    assert {tag for tag, _ in tags} <= known | set(FORMULA_ELEMENTS)
    names = {name for _, attributes in tags for name in attributes}
    assert names <= {
        "charset",
        "name",
        "content",
        "http-equiv",
        "id",
        "class",
        "dir",
        "start",
        "rowspan",
        "colspan",
    } | set(FORMULA_ATTRIBUTES)
    assert [tag for tag, _ in tags].count("section") == 1


def test_the_web_page_shows_the_document() -> None:
    html = webpage.render(
        [
            page(0),
            result(
                block(BlockType.LIST, "- one\n- **two**\n  goes on"),
                block(BlockType.LIST, "3. three\n4. four"),
                block(BlockType.CODE, "```py\nx < 1\n```"),
                block(BlockType.EQUATION, "\\[a < b\\]"),
                index=1,
            ),
        ],
        title="A & B",
    )
    assert "<title>A &amp; B</title>" in html
    assert '<h1 dir="auto">Page 0</h1>' in html
    assert 'src="data:image/png;base64,' in html
    assert TABLE in html
    assert '<ul>\n<li dir="auto">one</li>\n<li dir="auto"><strong>two</strong> goes on</li>\n</ul>' in html
    assert '<ol start="3">' in html
    assert "<pre><code>x &lt; 1</code></pre>" in html
    assert "<mi>a</mi><mo>&lt;</mo><mi>b</mi>" in html
    assert "default-src 'none'" in html


@pytest.mark.parametrize("address", ["http:", "https:", "//", "url("])
def test_the_web_page_names_no_address(address: str) -> None:
    assert address not in re.sub(r"base64,[^\"]*", "", webpage.render([page(0)]))
