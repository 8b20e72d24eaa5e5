"""One page's text as its result."""

from dataclasses import replace

from deployments.postprocess import figures as figures_module
from deployments.postprocess import markdown, markup, turning
from deployments.types import Block, BlockType, Figure, Generation, PageResult, PreparedPage, Table


class Postprocessor:
    """Turns what the model wrote for a page into blocks, Markdown, figures and tables.

    It keeps nothing between pages. A result holds all blocks and figures, running heads and feet
    included; `markdown.render` and `figures.select` make a narrower reply from it.
    """

    def process(
        self, page: PreparedPage, generation: Generation, *, figures: bool = False, attempts: int = 1
    ) -> PageResult:
        """Read one page's text; any text gives a result.

        Boxes are those of the page as it was sent, if it was turned to be read.

        Args:
            page: the page that the model saw.
            generation: what it wrote.
            figures: whether figures get their PNG bytes, which needs `page.image`.
            attempts: tries that the page took.

        Raises:
            ValueError: if figures are asked for and the page came without its image.
        """
        if figures and page.image is None:
            raise ValueError("figures need the page image: ask Preprocess to keep it")
        blocks, found, tables = _named(markup.parse(generation.text, page.width, page.height))
        if figures and page.image is not None:
            found = figures_module.with_png(found, page.image)
        result = PageResult(
            index=page.index,
            width=page.width,
            height=page.height,
            dpi=page.dpi,
            markdown=markdown.render(blocks),
            blocks=blocks,
            figures=found,
            tables=tables,
            header=_text(blocks, BlockType.HEADER),
            footer=_text(blocks, BlockType.FOOTER),
            generation=generation,
            attempts=attempts,
        )
        return turning.as_sent(result, page.rotation)


def _named(parsed: tuple[Block, ...]) -> tuple[tuple[Block, ...], tuple[Figure, ...], tuple[Table, ...]]:
    """Number figures and tables: `img-0.png`, `tbl-0.html`, the form Mistral's replies use."""
    blocks: list[Block] = []
    figures: list[Figure] = []
    tables: list[Table] = []
    for block in parsed:
        if block.type is BlockType.IMAGE and block.box is not None:
            figure = Figure(f"img-{len(figures)}.png", block.box)
            figures.append(figure)
            blocks.append(replace(block, image_id=figure.id))
        elif block.type is BlockType.TABLE and block.content:
            table = Table(f"tbl-{len(tables)}.html", block.content)
            tables.append(table)
            blocks.append(replace(block, table_id=table.id))
        else:
            blocks.append(block)
    return tuple(blocks), tuple(figures), tuple(tables)


def _text(blocks: tuple[Block, ...], type_: BlockType) -> str | None:
    texts = [block.content for block in blocks if block.type is type_ and block.content]
    return "\n".join(texts) or None
