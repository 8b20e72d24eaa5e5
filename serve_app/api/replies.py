"""What was read, in the shapes of the reply."""

import base64
from collections.abc import AsyncIterator, Container
from dataclasses import replace

from deployments.errors import OcrError
from deployments.postprocess import figures, markdown, webpage
from deployments.postprocess.turning import turned_size
from deployments.types import Block, BlockType, Box, DocumentInfo, Figure, PageResult
from serve_app.api.errors import page_error
from serve_app.api.schemas import (
    Dimensions,
    OcrOptions,
    OcrPage,
    OcrReply,
    PageBlock,
    PageConfidence,
    PageImage,
    PageTable,
    StreamBlock,
    StreamPage,
    UsageInfo,
)
from serve_app.reading import PageDelta, PageDone, PageEvent, PageFailed, PageStarted

DEFAULT_DPI = 72
"""Reported for a picture that states no resolution: Mistral's clients require a number."""


class ReplyWriter:
    """Writes the pages of one reply, and counts what they took.

    The limit on figures holds over the pages in the order in which they are written.
    """

    def __init__(self, options: OcrOptions, model: str) -> None:
        self.model = model
        self.pages_read = 0
        self.first_error: OcrError | None = None
        self._options = options
        self._figures_left = options.image_limit
        self._table_format = (
            None if options.table_format is None else markdown.TableFormat(options.table_format)
        )
        self._prompt_tokens = 0
        self._output_tokens = 0

    def page(self, result: PageResult) -> OcrPage:
        """Write a page that was read."""
        options = self._options
        self.pages_read += 1
        self._prompt_tokens += result.generation.prompt_tokens
        self._output_tokens += result.generation.output_tokens
        chosen = figures.select(
            result.figures, min_size=options.image_min_size or 0, limit=self._figures_left
        )
        if self._figures_left is not None:
            self._figures_left -= len(chosen)
        ids = frozenset(figure.id for figure in chosen)
        page = OcrPage(
            index=result.index,
            markdown=markdown.render(
                result.blocks,
                table_format=self._table_format,
                link_tables=self._table_format is not None,
                headers=not options.extract_header,
                footers=not options.extract_footer,
                figures=ids,
            ),
            images=[self._image(figure) for figure in chosen],
            dimensions=Dimensions(dpi=result.dpi or DEFAULT_DPI, height=result.height, width=result.width),
            finish_reason=result.generation.finish_reason,
        )
        if result.rotation:
            page.rotation = result.rotation
        if self._table_format is not None:
            page.tables = [
                PageTable(id=table.id, content=table.html, format=self._table_format.value)
                for table in (markdown.convert(found, self._table_format) for found in result.tables)
            ]
        if options.include_blocks:
            whole = Box(0, 0, result.width, result.height)
            blocks = (self._block(block, ids, whole) for block in result.blocks)
            page.blocks = [block for block in blocks if block is not None]
        if options.extract_header:
            page.header = result.header
        if options.extract_footer:
            page.footer = result.footer
        if options.include_raw:
            page.raw = result.generation.text
        if options.confidence_scores_granularity is not None and result.generation.confidence is not None:
            page.confidence_scores = PageConfidence(
                average_page_confidence_score=result.generation.confidence,
                minimum_page_confidence_score=result.generation.confidence,
            )
        return page

    def start(self, event: PageStarted) -> StreamPage:
        """Write that a page begins, with its size as it was sent."""
        page = event.page
        width, height = turned_size(page.rotation, page.width, page.height)
        return StreamPage(
            index=page.index,
            attempt=event.attempt,
            dimensions=Dimensions(dpi=page.dpi or DEFAULT_DPI, height=height, width=width),
            rotation=page.rotation,
        )

    def live_block(self, event: PageStarted, number: int, block: Block) -> StreamBlock:
        """Write a block of a page that is still being written; a figure has no name yet."""
        dimensions = self.start(event).dimensions
        whole = Box(0, 0, dimensions.width, dimensions.height)
        written = self._written(replace(block, image_id=None), block.type, whole)
        return StreamBlock(index=event.page.index, attempt=event.attempt, number=number, block=written)

    def failed_page(self, index: int, error: OcrError) -> OcrPage:
        """Write a page that could not be read."""
        self.first_error = self.first_error or error
        return OcrPage(index=index, markdown="", images=[], dimensions=None, error=page_error(error))

    def usage(self, info: DocumentInfo) -> UsageInfo:
        """Write what the pages so far took."""
        return UsageInfo(
            pages_processed=self.pages_read,
            doc_size_bytes=info.size_bytes,
            prompt_tokens=self._prompt_tokens,
            output_tokens=self._output_tokens,
        )

    def _image(self, figure: Figure) -> PageImage:
        x1, y1, x2, y2 = figure.box
        image = PageImage(id=figure.id, top_left_x=x1, top_left_y=y1, bottom_right_x=x2, bottom_right_y=y2)
        if self._options.include_image_base64 and figure.png is not None:
            image.image_base64 = "data:image/png;base64," + base64.b64encode(figure.png).decode()
        return image

    def _block(self, block: Block, figure_ids: Container[str], whole: Box) -> PageBlock | None:
        """Write a block; Mistral's clients require that an image block names a figure of the reply."""
        type_ = block.type
        if type_ is BlockType.IMAGE and block.image_id not in figure_ids:
            if not block.content:
                return None
            type_ = BlockType.TEXT
        written = self._written(block, type_, whole)
        if type_ is BlockType.IMAGE:
            written.image_id = block.image_id
        if block.table_id is not None and self._table_format is not None:
            written.table_id = markdown.table_name(block.table_id, self._table_format)
        return written

    def _written(self, block: Block, type_: BlockType, whole: Box) -> PageBlock:
        x1, y1, x2, y2 = block.box or whole
        content = block.content
        if type_ is BlockType.TABLE:
            content = markdown.table(content, self._table_format)
        written = PageBlock(
            type=type_,
            label=block.label,
            content=content,
            top_left_x=x1,
            top_left_y=y1,
            bottom_right_x=x2,
            bottom_right_y=y2,
        )
        if self._options.include_html:
            written.html = "".join(webpage.block_parts(block, {}))
        return written


async def collect(events: AsyncIterator[PageEvent], writer: ReplyWriter, info: DocumentInfo) -> OcrReply:
    """Gather a whole reply.

    Raises:
        OcrError: no page could be read; it is the first page's error.
    """
    pages = []
    async for event in events:
        match event:
            case PageDone(result):
                pages.append(writer.page(result))
            case PageFailed(index, error):
                pages.append(writer.failed_page(index, error))
            case PageStarted() | PageDelta():
                pass
    if writer.pages_read == 0 and writer.first_error is not None:
        raise writer.first_error
    return OcrReply(model=writer.model, usage_info=writer.usage(info), pages=pages)
