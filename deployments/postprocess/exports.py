"""A document from its pages: names that hold over all pages, merged Markdown, and plain data."""

from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from deployments.postprocess import markdown, merging
from deployments.postprocess.markdown import TableFormat
from deployments.types import Block, Box, PageResult

Page = PageResult | int
"""A page that was read, or the number alone, from 0, of one that could not be."""

PAGE_MARK = "<!-- page {} -->"
"""Stands above each page in merged Markdown, with the page's number from 1; renderers hide it."""

UNREAD = "this page could not be read"
"""Stands in the place of such a page; in Markdown as a comment."""


def document_name(index: int, name: str) -> str:
    """A figure's or table's name in its document: `page-0003-img-0.png` on the page of index 2."""
    return f"page-{index + 1:04d}-{name}"


def renamed(result: PageResult) -> PageResult:
    """A page whose figures and tables, and the links to them, have their names in the document."""

    def name(found: str | None) -> str | None:
        return None if found is None else document_name(result.index, found)

    blocks = tuple(
        replace(block, image_id=name(block.image_id), table_id=name(block.table_id))
        for block in result.blocks
    )
    return replace(
        result,
        markdown=markdown.render(blocks),
        blocks=blocks,
        figures=tuple(replace(f, id=document_name(result.index, f.id)) for f in result.figures),
        tables=tuple(replace(t, id=document_name(result.index, t.id)) for t in result.tables),
    )


def merged(pages: Sequence[Page]) -> list[Page]:
    """A document's pages put together.

    Running heads and feet are dropped, what page breaks cut in two is joined on the page where it begins,
    and headings are levelled.
    """
    results = [page for page in pages if not isinstance(page, int)]
    blocks = merging.merge(
        results, drop_running=True, join_paragraphs=True, join_tables=True, level_headings=True
    )
    parts = iter(zip(results, blocks, strict=True))
    whole: list[Page] = []
    for page in pages:
        if isinstance(page, int):
            whole.append(page)
        else:
            result, found = next(parts)
            whole.append(replace(result, blocks=tuple(found)))
    return whole


def to_markdown(
    pages: Iterable[Page],
    *,
    page_marks: bool = True,
    table_format: TableFormat | None = None,
    figures: Container[str] | None = None,
) -> str:
    """A document as one Markdown text, which ends with a line feed unless it is empty.

    Args:
        pages: in order, already `renamed` so that figures don't clash.
        page_marks: whether `<!-- page 3 -->` stands above each page; without, a blank line parts them.
        table_format: how tables are written; None as the model wrote them.
        figures: ids of the figures to link; None for all.
    """
    text = "\n\n".join(
        part
        for page in pages
        for part in page_parts(page, page_marks=page_marks, table_format=table_format, figures=figures)
    )
    return f"{text}\n" if text else ""


def page_parts(
    page: Page,
    *,
    page_marks: bool = True,
    table_format: TableFormat | None = None,
    figures: Container[str] | None = None,
) -> Iterator[str]:
    """Yield the parts of a page in such a text, between which a blank line stands; see `to_markdown`."""
    if page_marks:
        yield PAGE_MARK.format((page if isinstance(page, int) else page.index) + 1)
    if isinstance(page, int):
        yield f"<!-- {UNREAD} -->"
    elif text := markdown.render(page.blocks, table_format=table_format, figures=figures):
        yield text


def unread_dict(index: int) -> dict[str, Any]:
    """A page that could not be read as data for JSON; see `page_dict`."""
    message = f"{UNREAD[0].upper()}{UNREAD[1:]}."
    return {
        "index": index,
        "markdown": "",
        "dimensions": None,
        "images": [],
        "error": {"message": message},
    }


def page_dict(result: PageResult, *, raw: bool = False) -> dict[str, Any]:
    """A page as data for JSON, under the reply's field names; figures without their bytes.

    Args:
        result: the page.
        raw: whether the model's own text comes along.
    """
    generation = result.generation
    page: dict[str, Any] = {
        "index": result.index,
        "markdown": result.markdown,
        "dimensions": {"dpi": result.dpi, "height": result.height, "width": result.width},
        "rotation": result.rotation,
        "images": [{"id": figure.id, **_corners(figure.box)} for figure in result.figures],
        "tables": [{"id": table.id, "content": table.html, "format": "html"} for table in result.tables],
        "header": result.header,
        "footer": result.footer,
        "blocks": [_block_dict(block) for block in result.blocks],
        "finish_reason": generation.finish_reason.value,
        "attempts": result.attempts,
        "prompt_tokens": generation.prompt_tokens,
        "output_tokens": generation.output_tokens,
        "confidence": generation.confidence,
        "seconds": generation.seconds,
    }
    if raw:
        page["raw"] = generation.text
    return page


def _block_dict(block: Block) -> dict[str, Any]:
    ids = {"image_id": block.image_id, "table_id": block.table_id}
    return {
        "type": block.type.value,
        "label": block.label,
        **_corners(block.box),
        "content": block.content,
        **{key: value for key, value in ids.items() if value is not None},
    }


def _corners(box: Box | None) -> dict[str, int | None]:
    x1, y1, x2, y2 = box if box is not None else (None, None, None, None)
    return {"top_left_x": x1, "top_left_y": y1, "bottom_right_x": x2, "bottom_right_y": y2}
