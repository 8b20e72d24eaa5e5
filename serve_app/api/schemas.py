"""The shapes of requests and replies.

Names and types are those of Mistral's OCR API as its Python client of 2026 (mistralai 3.7) defines
them, so that its clients work unchanged; what is ours stands beside them. Replies leave out fields
that were not asked for: dump them with `exclude_unset`.
"""

import json
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    PlainValidator,
    ValidationInfo,
    WithJsonSchema,
)

from deployments.errors import InvalidRequest
from deployments.types import MAX_PROMPT_CHARS, BlockType, FinishReason, Task
from serve_app.api import page_ranges
from serve_app.formats import ResultFormat

MAX_RAW_CHARS = 200_000
"""Several times what 8,192 tokens write."""

TableFormatName = Literal["markdown", "html"]


def _page_confidence_only(value: object) -> object:
    if value in ("word", "block"):
        raise InvalidRequest(
            f"Confidence by {value} is not offered; ask for 'page'.", "confidence_scores_granularity"
        )
    return value


def _no_annotations(value: object, info: ValidationInfo) -> None:
    if value is not None:
        raise InvalidRequest(
            "Annotations are not offered; leave out the fields bbox_annotation_format, "
            "document_annotation_format and document_annotation_prompt.",
            info.field_name,
        )


NoAnnotation = Annotated[None, BeforeValidator(_no_annotations)]
Pages = Annotated[
    page_ranges.PageRanges | None,
    PlainValidator(page_ranges.parse),
    PlainSerializer(page_ranges.write, return_type=str | None),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string"},
                {"type": "array", "items": {"type": "integer", "minimum": 0}},
                {"type": "null"},
            ]
        }
    ),
]


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class OcrOptions(_Request):
    """How a document is read and what the reply holds; the fields of a form, and of JSON but `document`."""

    model: str | None = Field(
        None, max_length=200, description="Accepted for clients that send it; not used."
    )
    pages: Pages = Field(
        None, description='Pages to read, from 0: "0,2-4" or a list; all by default.', examples=["0,2-4"]
    )
    task: Task = Field(Task.MARKDOWN, description="What the model is asked for.")
    prompt: str | None = Field(
        None,
        min_length=1,
        max_length=MAX_PROMPT_CHARS,
        description="Your own prompt, with the task `custom`.",
    )
    crop: bool = Field(True, description="Whether the model sees large pages in tiles beside the whole.")
    dpi: int = Field(144, ge=36, le=600, description="Dots per inch at which PDF pages are drawn.")
    format: ResultFormat | None = Field(
        None,
        description="What the reply is: `json`; a file of `markdown`, `html` or `zip`; a searchable `pdf`; "
        "`layout_pdf` or, for one page, `png` with the blocks' boxes; the tables as `csv` or `xlsx`. By "
        "default what the header Accept asks for, else JSON.",
    )
    stream: bool = Field(False, description="Reply with server-sent events as pages are read.")
    stream_blocks: bool = Field(
        False, description="With a stream: tell of pages that begin, and of each block as it closes."
    )
    merge: bool = Field(
        False,
        description="In files of Markdown, HTML and zip: drop running heads and feet, join paragraphs and "
        "tables that go on over a page, level headings.",
    )
    include_html: bool = Field(
        False, description="Add each block as HTML that is safe to show, formulas as MathML."
    )
    include_raw: bool = Field(False, description="Add the text as the model wrote it.")
    include_blocks: bool = Field(True, description="Add the blocks with their boxes.")
    include_image_base64: bool | None = Field(None, description="Add figures as data URIs of PNG.")
    image_limit: int | None = Field(None, ge=0, description="Most figures in the whole reply.")
    image_min_size: int | None = Field(
        None, ge=0, description="Least width and height of figures, in pixels."
    )
    table_format: TableFormatName | None = Field(
        None,
        description="List tables apart in this format, linked from the Markdown; by default they stay in it.",
    )
    extract_header: bool = Field(False, description="Move running heads from the Markdown to `header`.")
    extract_footer: bool = Field(False, description="Move running feet from the Markdown to `footer`.")
    confidence_scores_granularity: (
        Annotated[Literal["page"], BeforeValidator(_page_confidence_only)] | None
    ) = Field(None, description="Add confidence scores; only those of whole pages are offered.")
    bbox_annotation_format: NoAnnotation = Field(None, description="Not offered.")
    document_annotation_format: NoAnnotation = Field(None, description="Not offered.")
    document_annotation_prompt: NoAnnotation = Field(None, description="Not offered.")


class ImageUrl(_Request):
    """An address of a picture in the long form."""

    url: str
    detail: Literal["auto", "low", "high"] | None = Field(None, description="Accepted; not used.")


class DocumentUrlReference(_Request):
    """A PDF or picture by its address."""

    type: Literal["document_url"]
    document_url: str = Field(description="A data URI with base64, or an http or https address.")
    document_name: str | None = Field(None, max_length=1_000)

    @property
    def url(self) -> str:
        """Return the address."""
        return self.document_url

    @property
    def name(self) -> str | None:
        """Return the document's name."""
        return self.document_name


class ImageUrlReference(_Request):
    """A picture by its address."""

    type: Literal["image_url"]
    image_url: str | ImageUrl = Field(description="A data URI with base64, or an http or https address.")

    @property
    def url(self) -> str:
        """Return the address."""
        return self.image_url if isinstance(self.image_url, str) else self.image_url.url

    @property
    def name(self) -> str | None:
        """Return None: pictures come without a name."""
        return None


class FileReference(_Request):
    """A file uploaded earlier: named so that such requests get a clear answer."""

    type: Literal["file"]
    file_id: str

    @property
    def name(self) -> str | None:
        """Return None: it is not known."""
        return None


DocumentReference = Annotated[
    DocumentUrlReference | ImageUrlReference | FileReference, Field(discriminator="type")
]


class OcrRequest(OcrOptions):
    """A request in JSON."""

    document: DocumentReference


class WrittenPage(_Request):
    """What the engine once wrote for a page, as `raw` of a reply has it."""

    index: int = Field(ge=0, lt=10**9)
    raw: str = Field(max_length=MAX_RAW_CHARS)


def _from_text(value: object) -> object:
    """Read a form's field, which holds JSON."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        raise InvalidRequest("The field written must be a list in JSON.", "written") from None


class ExportOptions(OcrOptions):
    """What was written for a document's pages, and the file to make of it."""

    written: Annotated[list[WrittenPage], BeforeValidator(_from_text)] = Field(
        min_length=1,
        max_length=1_000,
        description="The pages with their `raw` text; in a form, as JSON.",
        examples=['[{"index": 0, "raw": "…"}]'],
    )


class ExportRequest(OcrRequest, ExportOptions):
    """A file to make, in JSON."""


class PictureOptions(_Request):
    """Which pages to draw, and how large."""

    pages: Pages = Field(None, description="Pages to draw, from 0; the first 24 by default.")
    dpi: int = Field(144, ge=36, le=600, description="Dots per inch at which pages would be read.")
    side: int = Field(
        1_000, ge=32, le=2_400, description="Most pixels of the pictures' longer side; none is made larger."
    )


class PictureRequest(PictureOptions):
    """Pages to draw, in JSON."""

    document: DocumentReference


class JobOptions(OcrOptions):
    """How a job's document is read, and whom to tell."""

    webhook: str | None = Field(
        None,
        description="An https address that is told of the job's end, in a request that is signed.",
    )


class JobRequest(OcrRequest, JobOptions):
    """A job in JSON."""


class DocumentStart(BaseModel):
    """The event `document`: what the document is, and which of its pages will come."""

    media_type: str
    page_count: int
    pages: list[int]


class DrawnPage(BaseModel):
    """The event `page`: a page to look at, or why there is none."""

    index: int
    dimensions: "Dimensions | None" = None
    image: str | None = Field(None, description="A data URI of JPEG; the page as it was sent.")
    error: "PageError | None" = None


class PicturesDone(BaseModel):
    """The event `done`."""


class Dimensions(BaseModel):
    """The page image that boxes refer to."""

    dpi: int = Field(description="Dots per inch; 72 for a picture that states none.")
    height: int
    width: int


class PlacedBox(BaseModel):
    """A rectangle in pixels of the page image: 0 ≤ x1 < x2 ≤ width, 0 ≤ y1 < y2 ≤ height."""

    top_left_x: int
    top_left_y: int
    bottom_right_x: int
    bottom_right_y: int


class PageImage(PlacedBox):
    """A figure; the Markdown links it as `![id](id)`."""

    id: str
    image_base64: str | None = Field(default=None, description="A data URI of PNG.")


class PageTable(BaseModel):
    """A table; the Markdown links it as `[id](id)`."""

    id: str
    content: str
    format: TableFormatName


class PageBlock(PlacedBox):
    """A block in reading order. One that the model gave no place has the whole page as its box."""

    type: BlockType
    label: str = Field(description="What the model called it.")
    content: str
    image_id: str | None = None
    table_id: str | None = None
    html: str | None = None


class PageConfidence(BaseModel):
    """How sure the model was, 0 to 1: exp of its mean log-probability of a token.

    The engines report one figure for a page, so that both are equal.
    """

    average_page_confidence_score: float
    minimum_page_confidence_score: float


class PageError(BaseModel):
    """Why a page could not be read."""

    code: str
    message: str


class OcrPage(BaseModel):
    """A page. With an `error` its `markdown` is empty and its `dimensions` are null."""

    index: int = Field(description="Number in the document, from 0.")
    markdown: str
    images: list[PageImage]
    dimensions: Dimensions | None
    rotation: int | None = Field(
        None,
        description="Degrees clockwise by which the page was turned to be read, if any. Boxes are those of "
        "the page as it was sent; `raw` and the figures' pictures are of the turned page.",
    )
    tables: list[PageTable] | None = None
    header: str | None = None
    footer: str | None = None
    blocks: list[PageBlock] | None = None
    confidence_scores: PageConfidence | None = None
    raw: str | None = None
    finish_reason: FinishReason | None = None
    error: PageError | None = None


class UsageInfo(BaseModel):
    """What the request took."""

    pages_processed: int = Field(description="Pages read without an error.")
    doc_size_bytes: int
    prompt_tokens: int
    output_tokens: int


class OcrReply(BaseModel):
    """The pages in the order asked for."""

    model: str
    usage_info: UsageInfo
    pages: list[OcrPage]


class StreamStart(BaseModel):
    """The event `start`: which pages will come."""

    model: str
    pages: list[int]
    doc_size_bytes: int


class StreamPage(BaseModel):
    """The event `page.start`: an engine has the page; a higher `attempt` begins it anew."""

    index: int
    attempt: int
    dimensions: Dimensions
    rotation: int


class StreamBlock(BaseModel):
    """The event `page.block`: a block that closed, with its number from 0; `page.done` has the last word."""

    index: int
    attempt: int
    number: int
    block: PageBlock


class StreamDelta(BaseModel):
    """The event `page.delta`: raw text of a page; a higher `attempt` begins the page's text anew."""

    index: int
    text: str
    attempt: int


class StreamDone(BaseModel):
    """The event `done`."""

    model: str
    usage_info: UsageInfo


class ErrorDetail(BaseModel):
    """What went wrong, and what to do."""

    code: str = Field(description="Stable, for programs.")
    message: str = Field(description="For people.")
    param: str | None = Field(None, description="The field that is wrong.")
    type: Literal["invalid_request_error", "authentication_error", "rate_limit_error", "server_error"]


class ErrorReply(BaseModel):
    """The one shape of errors."""

    error: ErrorDetail


class Health(BaseModel):
    """The process answers."""

    status: Literal["ok"] = "ok"


class Readiness(BaseModel):
    """Pages can be read."""

    status: Literal["ready"] = "ready"
    engine: str
    model: str


class ModelCard(BaseModel):
    """A model, as OpenAI's clients list them."""

    id: str
    object: Literal["model"] = "model"
    created: int = Field(description="Unix time at which this service began.")
    owned_by: str = "dsocr"


class ModelList(BaseModel):
    """The models; there is one."""

    object: Literal["list"] = "list"
    data: list[ModelCard]


def dump(model: BaseModel) -> str:
    """Write a reply as JSON, without what was not asked for."""
    return model.model_dump_json(exclude_unset=True)


def as_dict(model: BaseModel) -> dict[str, Any]:
    """Return what `dump` writes, before it is text."""
    return model.model_dump(mode="json", exclude_unset=True)
