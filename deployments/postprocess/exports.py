"""A document from its pages: names that hold over all pages, merged Markdown, and plain data."""

from collections.abc import Container, Iterable, Sequence
from dataclasses import replace
from typing import Any

from deployments.postprocess import markdown
from deployments.postprocess.markdown import TableFormat
from deployments.types import Block, Box, PageResult

PAGE_MARK = "<!-- page {} -->"
"""Stands above each page in merged Markdown, with the page's number from 1; renderers hide it."""


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


def to_markdown(
    results: Iterable[PageResult],
    *,
    pages: Sequence[Sequence[Block]] | None = None,
    page_marks: bool = True,
    table_format: TableFormat | None = None,
    figures: Container[str] | None = None,
) -> str:
    """A document as one Markdown text, which ends with a line feed unless it is empty.

    Args:
        results: the pages in order, already `renamed` so that figures don't clash.
        pages: their blocks as `merging.merge` gave them; by default the pages' own.
        page_marks: whether `<!-- page 3 -->` stands above each page; without, a blank line parts them.
        table_format: how tables are written; None as the model wrote them.
        figures: ids of the figures to link; None for all.
    """
    results = list(results)
    parts = []
    for result, blocks in zip(results, pages or [result.blocks for result in results], strict=True):
        if page_marks:
            parts.append(PAGE_MARK.format(result.index + 1))
        parts.append(markdown.render(blocks, table_format=table_format, figures=figures))
    text = "\n\n".join(part for part in parts if part)
    return f"{text}\n" if text else ""


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
