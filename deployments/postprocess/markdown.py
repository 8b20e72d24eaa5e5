"""Blocks as Markdown."""

import re
from collections.abc import Container, Iterable, Iterator
from enum import StrEnum

from deployments.postprocess import labels, tables
from deployments.types import Block, BlockType, Table

_HEADING = re.compile(r"#{1,6}(?:\s|$)")
_BACKTICKS = re.compile(r"`+")


class TableFormat(StrEnum):
    """How a table is written: clean HTML, or a pipe table without spans."""

    HTML = "html"
    MARKDOWN = "markdown"


def render(
    blocks: Iterable[Block],
    *,
    table_format: TableFormat | None = None,
    link_tables: bool = False,
    headers: bool = True,
    footers: bool = True,
    figures: Container[str] | None = None,
) -> str:
    """A page as Markdown: its blocks in their order, a blank line between two.

    Args:
        blocks: of one page.
        table_format: how tables are written; None as the model wrote them.
        link_tables: put a link `[id](id)` in each table's place, for replies that list the tables apart.
        headers: whether running heads stay in.
        footers: whether running feet stay in.
        figures: ids of the figures to link, as `![id](id)`; None for all.
    """
    parts = []
    for block in blocks:
        if (block.type is BlockType.HEADER and not headers) or (
            block.type is BlockType.FOOTER and not footers
        ):
            continue
        if block.table_id is not None and link_tables:
            name = table_name(block.table_id, table_format)
            parts.append(f"[{name}]({name})")
        else:
            linked = block.image_id is not None and (figures is None or block.image_id in figures)
            parts.extend(part for part in _parts(block, table_format, linked=linked) if part)
    return "\n\n".join(parts)


def _parts(block: Block, table_format: TableFormat | None, *, linked: bool) -> Iterator[str]:
    if linked:
        yield f"![{block.image_id}]({block.image_id})"
    match block.type:
        case BlockType.TITLE:
            yield heading(block)
        case BlockType.TABLE:
            yield table(block.content, table_format)
        case BlockType.CODE:
            yield _code(block.content)
        case _:
            yield block.content


def heading(block: Block) -> str:
    """A title on one line with its `#` marks: the model's, or those that its label implies."""
    text = heading_text(block)
    return f"{'#' * heading_level(block)} {text}" if text else ""


def heading_text(block: Block) -> str:
    """A title on one line without its marks."""
    text = " ".join(block.content.split())
    match = _HEADING.match(text)
    return text[match.end() :] if match else text


def heading_level(block: Block) -> int:
    """How deep a title stands, from 1: its `#` marks, or what its label implies."""
    match = _HEADING.match(block.content)
    return len(match[0].rstrip()) if match else labels.heading_level(block.label)


def _code(content: str) -> str:
    if not content or content.startswith("```"):
        return content
    longest = max((len(run) for run in _BACKTICKS.findall(content)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}\n{content}\n{fence}"


def table(content: str, table_format: TableFormat | None = None) -> str:
    """A table block's content in a format; the text around its tables stays.

    With None it stays as the model wrote it, unless a table is open at its end, which would swallow
    what follows: that is written anew.
    """
    if table_format is None:
        folded = content.lower()
        if folded.count("<table") == folded.count("</table>"):
            return content
    parts = []
    for segment in tables.parse(content):
        if isinstance(segment, str):
            parts.append(segment)
        elif table_format is TableFormat.MARKDOWN:
            parts.append(tables.to_markdown(segment))
        else:
            parts.append(tables.to_html(segment))
    return "\n\n".join(parts)


def table_name(table_id: str, table_format: TableFormat | None) -> str:
    """A table's id in a format: `tbl-0.html` or `tbl-0.md`."""
    if table_format is TableFormat.MARKDOWN:
        return table_id.removesuffix(".html") + ".md"
    return table_id


def convert(found: Table, table_format: TableFormat) -> Table:
    """A page's table under its name in a format; `html` then holds that format's text."""
    return Table(table_name(found.id, table_format), table(found.html, table_format))
