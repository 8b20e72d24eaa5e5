"""The tables of a job's output: their columns, and a page as a row and back."""

from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from deployments.errors import OcrError
from deployments.postprocess.exports import Page
from deployments.types import (
    Block,
    BlockType,
    Box,
    Figure,
    FinishReason,
    Generation,
    PageResult,
    Table,
)
from serve_app.bulk.pages import WHOLE_DOCUMENT, page_id

OK, RUNAWAY, FAILED, PARTIAL = "ok", "runaway", "failed", "partial"
"""Status of a page (the first three) or document; of a `partial` document some pages are not `ok`."""

_BLOCK = pa.struct(
    [
        ("type", pa.string()),
        ("label", pa.string()),
        ("x1", pa.int32()),
        ("y1", pa.int32()),
        ("x2", pa.int32()),
        ("y2", pa.int32()),
        ("content", pa.string()),
        ("image_id", pa.string()),
        ("table_id", pa.string()),
    ]
)

PAGES = pa.schema(
    [
        pa.field("page_id", pa.string(), nullable=False),
        pa.field("doc_id", pa.string(), nullable=False),
        ("page", pa.int32()),
        pa.field("status", pa.string(), nullable=False),
        ("markdown", pa.string()),
        ("raw", pa.string()),
        ("blocks", pa.list_(_BLOCK)),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("rotation", pa.int32()),
        ("finish_reason", pa.string()),
        ("prompt_tokens", pa.int32()),
        ("output_tokens", pa.int32()),
        ("seconds", pa.float64()),
        ("attempts", pa.int32()),
        ("error_code", pa.string()),
        ("error_message", pa.string()),
        ("engine", pa.string()),
        ("model", pa.string()),
        ("revision", pa.string()),
    ]
)
"""`pages/*.parquet`: `page` counts from 0, and is null in the one row of a document that can't be read; boxes
are in pixels of the page as it was sent, null where the model gave none; `rotation` is by how many degrees
clockwise it was turned to be read; `attempts` is null where no engine had the page; `seconds` is that of all
stages."""

STAGES = ("fetch", "prepare", "engine", "postprocess")

PARTS = pa.schema(
    [
        *PAGES,
        pa.field("page_count", pa.int32(), nullable=False),
        *[(f"{stage}_seconds", pa.float64()) for stage in STAGES],
    ]
)
"""The job's own part files: what `PAGES` has, the document's number of pages (0 if not known), and times."""

DOCUMENTS = pa.schema(
    [
        pa.field("doc_id", pa.string(), nullable=False),
        pa.field("uri", pa.string(), nullable=False),
        pa.field("status", pa.string(), nullable=False),
        ("markdown", pa.string()),
        ("page_count", pa.int32()),
        ("pages", pa.int32()),
        ("pages_ok", pa.int32()),
        ("pages_runaway", pa.int32()),
        ("pages_failed", pa.int32()),
        ("prompt_tokens", pa.int64()),
        ("output_tokens", pa.int64()),
        ("seconds", pa.float64()),
        ("error_code", pa.string()),
        ("error_message", pa.string()),
    ]
)
"""`documents/*.parquet`: `page_count` is the document's, `pages` how many of them were asked for; an error is
the document's own, or that of its first failed page."""


@dataclass(frozen=True, slots=True)
class EngineLabel:
    """What a page was read with."""

    engine: str
    model: str
    revision: str | None


@dataclass(frozen=True, slots=True)
class Times:
    """Seconds a page spent in each stage; in the engine, its waiting for a place included."""

    fetch: float = 0.0
    prepare: float = 0.0
    engine: float = 0.0
    postprocess: float = 0.0


def result_row(
    doc_id: str, page_count: int, result: PageResult, label: EngineLabel, times: Times
) -> dict[str, Any]:
    """Return the row of a page that was read; one that ran away keeps what it wrote."""
    generation = result.generation
    return {
        **_base(doc_id, result.index, page_count, label, times),
        "status": RUNAWAY if generation.finish_reason is FinishReason.RUNAWAY else OK,
        "markdown": result.markdown,
        "raw": generation.text,
        "blocks": [_block_row(block) for block in result.blocks],
        "width": result.width,
        "height": result.height,
        "rotation": result.rotation,
        "finish_reason": generation.finish_reason.value,
        "prompt_tokens": generation.prompt_tokens,
        "output_tokens": generation.output_tokens,
        "attempts": result.attempts,
    }


def error_row(
    doc_id: str,
    page: int,
    page_count: int,
    error: OcrError,
    label: EngineLabel | None = None,
    times: Times = Times(),
    attempts: int | None = None,
) -> dict[str, Any]:
    """Return the row of a page, or of a whole document, that failed."""
    return {
        **_base(doc_id, page, page_count, label, times),
        "status": FAILED,
        "attempts": attempts,
        "error_code": error.code,
        "error_message": error.message,
    }


def _base(doc_id: str, page: int, page_count: int, label: EngineLabel | None, times: Times) -> dict[str, Any]:
    return {
        "page_id": page_id(doc_id, page),
        "doc_id": doc_id,
        "page": None if page == WHOLE_DOCUMENT else page,
        "page_count": page_count,
        "engine": label and label.engine,
        "model": label and label.model,
        "revision": label and label.revision,
        "seconds": sum(getattr(times, stage) for stage in STAGES),
        **{f"{stage}_seconds": getattr(times, stage) for stage in STAGES},
    }


def _block_row(block: Block) -> dict[str, Any]:
    x1, y1, x2, y2 = block.box or (None, None, None, None)
    return {
        "type": block.type.value,
        "label": block.label,
        "x1": x1,
        "y1": y1,
        "x2": x2,
        "y2": y2,
        "content": block.content,
        "image_id": block.image_id,
        "table_id": block.table_id,
    }


def page_of(row: dict[str, Any]) -> Page:
    """Return what a page's row says, for the exports; the dpi is not in it."""
    if row["status"] == FAILED:
        return int(row["page"])
    blocks = tuple(_block(block) for block in row["blocks"])
    return PageResult(
        index=row["page"],
        width=row["width"],
        height=row["height"],
        dpi=None,
        markdown=row["markdown"],
        blocks=blocks,
        figures=tuple(Figure(block.image_id, block.box) for block in blocks if block.image_id and block.box),
        tables=tuple(Table(block.table_id, block.content) for block in blocks if block.table_id),
        header=None,
        footer=None,
        generation=Generation(row["raw"], FinishReason(row["finish_reason"])),
        attempts=row["attempts"],
        rotation=row["rotation"] or 0,
    )


def _block(row: dict[str, Any]) -> Block:
    corners = row["x1"], row["y1"], row["x2"], row["y2"]
    return Block(
        type=BlockType(row["type"]),
        label=row["label"],
        box=None if row["x1"] is None else Box(*corners),
        content=row["content"],
        image_id=row["image_id"],
        table_id=row["table_id"],
    )
