"""What stands on a page, as an annotation or a drawing program knows it."""

from dataclasses import dataclass

from deployments.types import BlockType, Box

HEADS_AND_FEET = frozenset({BlockType.HEADER, BlockType.FOOTER})


@dataclass(frozen=True, slots=True)
class TruthBlock:
    """A block of a page.

    Attributes:
        type: what it is.
        text: its text; HTML for a table, LaTeX for an equation, empty for an image.
        box: where it is, in pixels of the page image that a reader sees, or None where not known.
    """

    type: BlockType
    text: str
    box: Box | None = None


@dataclass(frozen=True, slots=True)
class TruthPage:
    """A page and what it says.

    Attributes:
        name: of the page, unique in its set.
        kind: of document; scores are given for each.
        document: the file's bytes, PDF or picture.
        index: number of the page in the file, from 0.
        blocks: in reading order.
        whole: whether the blocks are all that stands on the page, in the order in which it is read;
            a PDF's text layer has no such order.
        dpi: at which a PDF page is drawn for the readers.
    """

    name: str
    kind: str
    document: bytes
    blocks: tuple[TruthBlock, ...]
    index: int = 0
    whole: bool = True
    dpi: int = 144

    @property
    def is_pdf(self) -> bool:
        """Whether the file is a PDF."""
        return self.document[:1024].find(b"%PDF-") >= 0
