"""What flows between the stages.

Plain frozen dataclasses: they cross process boundaries by pickle, arrays without a copy. Nothing
here knows how a value was made or what is done with it.
"""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]
"""RGB samples, rows first: shape (height, width, 3), or (count, height, width, 3) for several images."""

MAX_PROMPT_CHARS = 4_000
"""Longest custom prompt: some 1,000 tokens, which leaves the answer most of the 8,192-token context."""


class Task(StrEnum):
    """What the model is asked to do with a page."""

    MARKDOWN = "markdown"
    TEXT = "text"
    TABLE = "table"
    CUSTOM = "custom"


class FinishReason(StrEnum):
    """Why the model stopped writing."""

    STOP = "stop"
    LENGTH = "length"
    RUNAWAY = "runaway"


class BlockType(StrEnum):
    """The kinds of block in a reply; the names are those of Mistral's OCR interface."""

    TEXT = "text"
    TITLE = "title"
    LIST = "list"
    TABLE = "table"
    IMAGE = "image"
    EQUATION = "equation"
    CAPTION = "caption"
    CODE = "code"
    REFERENCES = "references"
    ASIDE_TEXT = "aside_text"
    HEADER = "header"
    FOOTER = "footer"
    SIGNATURE = "signature"


class DocumentKind(StrEnum):
    """How a document's bytes are read."""

    PDF = "pdf"
    IMAGE = "image"


class EngineInput(StrEnum):
    """What an engine reads: the upright page image, or token ids with the model's views of it."""

    PAGE = "page"
    VIEWS = "views"


class Box(NamedTuple):
    """A rectangle in pixels of the page image: 0 <= x1 < x2 <= width, 0 <= y1 < y2 <= height."""

    x1: int
    y1: int
    x2: int
    y2: int


class Grid(NamedTuple):
    """How many tiles stand side by side and one above another; (0, 0) where there are none."""

    columns: int
    rows: int

    @property
    def tiles(self) -> int:
        """Number of tiles."""
        return self.columns * self.rows


@dataclass(frozen=True, slots=True)
class DocumentInfo:
    """What is known of a document before any page of it is read."""

    kind: DocumentKind
    media_type: str
    page_count: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class PageRequest:
    """How one page is to be read.

    Attributes:
        task: what to do.
        prompt: the user's own prompt, for `Task.CUSTOM` alone.
        crop: whether the model gets tiles beside the global view.
        dpi: dots per inch at which a PDF page is drawn; pictures keep their pixels.
        keep_image: whether the page image must reach Postprocess, for figures or drawings.
    """

    task: Task = Task.MARKDOWN
    prompt: str | None = None
    crop: bool = True
    dpi: int = 144
    keep_image: bool = False


@dataclass(frozen=True, slots=True)
class ModelInput:
    """A page as the model takes it.

    Attributes:
        token_ids: int32, shape (n,), the beginning-of-sequence token included.
        global_view: uint8, shape (base_size, base_size, 3).
        tiles: uint8, shape (grid.tiles, image_size, image_size, 3), row by row.
        grid: how the tiles lie.
    """

    token_ids: npt.NDArray[np.int32]
    global_view: Pixels
    tiles: Pixels
    grid: Grid


@dataclass(frozen=True, slots=True)
class PreparedPage:
    """A page after preprocessing.

    Attributes:
        index: its number in the document, from 0.
        width: of the upright page image, in pixels.
        height: of the upright page image, in pixels.
        dpi: at which a PDF page was drawn, or the resolution a picture states, else None.
        prompt: the whole prompt, with its `<image>` mark.
        image: the upright page, uint8 of shape (height, width, 3), where something needs it.
        views: the model's input, for engines that take views.
        seconds: what opening, drawing and tiling took.
        rotation: degrees clockwise by which the page was turned to stand upright: 0, 90, 180 or 270.
    """

    index: int
    width: int
    height: int
    dpi: int | None
    prompt: str
    image: Pixels | None = None
    views: ModelInput | None = None
    seconds: float = 0.0
    rotation: int = 0

    def without_pixels(self) -> "PreparedPage":
        """Return the page's measures alone, a few bytes instead of megabytes."""
        return replace(self, image=None, views=None)


@dataclass(frozen=True, slots=True)
class PagePicture:
    """A page to look at: as the document has it, not turned.

    Attributes:
        index: its number in the document, from 0.
        width: of the page image that boxes refer to, in pixels; the picture itself may be smaller.
        height: of the page image that boxes refer to, in pixels.
        dpi: at which a PDF page was drawn, or the resolution a picture states, else None.
        jpeg: the picture.
    """

    index: int
    width: int
    height: int
    dpi: int | None
    jpeg: bytes


@dataclass(frozen=True, slots=True)
class GenerationOptions:
    """How an engine writes.

    Attributes:
        task: what the prompt asks for.
        max_tokens: most tokens to write, or None for what the context leaves.
        temperature: 0 takes the likeliest token each time.
        ngram_size: no n-gram of that many tokens may repeat within the window; 0 switches it off.
        ngram_window: the last so many tokens count.
        confidence: whether to report the mean token probability.
        stream: whether pieces are wanted as they come; without, an engine may send the `Generation` alone.
    """

    task: Task = Task.MARKDOWN
    max_tokens: int | None = None
    temperature: float = 0.0
    ngram_size: int = 20
    ngram_window: int = 90
    confidence: bool = False
    stream: bool = True


@dataclass(frozen=True, slots=True)
class Generation:
    """What an engine wrote for one page.

    Attributes:
        text: all of it, special tokens included.
        finish_reason: why it stopped.
        prompt_tokens: length of the prompt, image tokens included; 0 where an engine has no tokens.
        output_tokens: tokens written.
        confidence: exp of the mean token log-probability, 0 to 1, or None where not asked for or not known.
        seconds: from the engine's taking the page to its last token.
    """

    text: str
    finish_reason: FinishReason
    prompt_tokens: int = 0
    output_tokens: int = 0
    confidence: float | None = None
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Block:
    """One block of a page.

    Attributes:
        type: what it is, in the reply's words.
        label: what the model called it.
        box: where it is, or None where the model gave no usable box.
        content: its Markdown, or HTML for a table.
        image_id: the figure it stands for.
        table_id: the table it stands for.
    """

    type: BlockType
    label: str
    box: Box | None
    content: str
    image_id: str | None = None
    table_id: str | None = None


@dataclass(frozen=True, slots=True)
class Figure:
    """A picture on the page: its name in the Markdown, its place, and its PNG bytes if asked for."""

    id: str
    box: Box
    png: bytes | None = None


@dataclass(frozen=True, slots=True)
class Table:
    """A table on the page, as HTML as the model wrote it; renderers turn it into other formats."""

    id: str
    html: str


@dataclass(frozen=True, slots=True)
class PageResult:
    """A page after postprocessing.

    `markdown` links figures as `![id](id)`. `attempts` counts the tries the page took. Width, height and
    boxes are those of the page as it was sent; `rotation` says by how many degrees clockwise it was turned
    to be read, and figures are cut from the page as it was read.
    """

    index: int
    width: int
    height: int
    dpi: int | None
    markdown: str
    blocks: tuple[Block, ...]
    figures: tuple[Figure, ...]
    tables: tuple[Table, ...]
    header: str | None
    footer: str | None
    generation: Generation
    attempts: int = 1
    rotation: int = 0
