import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployments.postprocess import markdown, markup
from deployments.postprocess.markdown import TableFormat
from deployments.types import Block, BlockType, Box, Table

BOX = Box(0, 0, 10, 10)
TABLE = '<table><tr><td colspan="2">a|b</td></tr><tr><td>c</td><td>1 < 2</td></tr></table>'


def block(type_: BlockType, content: str, label: str = "") -> Block:
    return Block(type_, label or type_.value, BOX, content)


PAGE = (
    block(BlockType.HEADER, "Running head"),
    block(BlockType.TITLE, "Title"),
    Block(BlockType.IMAGE, "image", BOX, "", image_id="img-0.png"),
    block(BlockType.CAPTION, "Figure 1"),
    Block(BlockType.TABLE, "table", BOX, TABLE, table_id="tbl-0.html"),
    block(BlockType.FOOTER, "7"),
)


def test_a_page_as_it_is() -> None:
    assert markdown.render(PAGE) == (
        f"Running head\n\n# Title\n\n![img-0.png](img-0.png)\n\nFigure 1\n\n{TABLE}\n\n7"
    )


def test_heads_feet_and_figures_leave_on_request() -> None:
    text = markdown.render(PAGE, headers=False, footers=False, figures=())
    assert text == f"# Title\n\nFigure 1\n\n{TABLE}"


def test_tables_become_pipe_tables_or_clean_html() -> None:
    pipe = "| a\\|b |  |\n| --- | --- |\n| c | 1 < 2 |"
    assert pipe in markdown.render(PAGE, table_format=TableFormat.MARKDOWN)
    clean = TABLE.replace("1 < 2", "1 &lt; 2")
    assert clean in markdown.render(PAGE, table_format=TableFormat.HTML)


def test_tables_listed_apart_are_linked() -> None:
    assert "[tbl-0.html](tbl-0.html)" in markdown.render(PAGE, link_tables=True)
    assert "[tbl-0.md](tbl-0.md)" in markdown.render(
        PAGE, link_tables=True, table_format=TableFormat.MARKDOWN
    )
    converted = markdown.convert(Table("tbl-0.html", TABLE), TableFormat.MARKDOWN)
    assert converted.id == "tbl-0.md"
    assert converted.html.startswith("| a\\|b |")


@pytest.mark.parametrize(
    ("label", "content", "expected"),
    [
        ("title", "Words", "# Words"),
        ("sub_title", "Words", "## Words"),
        ("sub_title", "### Words", "### Words"),
        ("title", "two\nlines", "# two lines"),
        ("title", "#1 of many", "# #1 of many"),
        ("title", "#", ""),
    ],
)
def test_titles_are_headings(label: str, content: str, expected: str) -> None:
    assert markdown.render([block(BlockType.TITLE, content, label)]) == expected


def test_code_is_fenced_once() -> None:
    assert markdown.render([block(BlockType.CODE, "x = 1")]) == "```\nx = 1\n```"
    assert markdown.render([block(BlockType.CODE, "```py\nx\n```")]) == "```py\nx\n```"
    assert markdown.render([block(BlockType.CODE, "a ``` b")]).startswith("````\n")


def test_a_table_left_open_does_not_swallow_what_follows() -> None:
    page = (block(BlockType.TABLE, "<table><tr><td>a"), block(BlockType.TEXT, "after"))
    assert markdown.render(page) == "<table><tr><td>a</td></tr></table>\n\nafter"


def test_what_is_no_html_table_stays() -> None:
    pipe = "| a | b |\n| --- | --- |\n| c | d |"
    assert markdown.table(pipe, TableFormat.HTML) == pipe


@given(st.lists(st.sampled_from([*PAGE]) | st.builds(block, st.sampled_from(BlockType), st.text())))
def test_any_blocks_render_in_every_form(blocks: list[Block]) -> None:
    for table_format in (None, *TableFormat):
        text = markdown.render(blocks, table_format=table_format)
        assert isinstance(text, str)


@given(st.lists(st.sampled_from(["one", "two words", "# Head", TABLE]), min_size=1))
def test_markdown_read_again_as_plain_text_is_the_same(parts: list[str]) -> None:
    text = "\n\n".join(parts)
    assert markdown.render(markup.parse(text, 10, 10)) == text
