"""The shapes of `/v1/chat/completions`: OpenAI's, as far as reading a page needs them.

Clients send many fields that mean nothing here, such as `user`, `seed` or `top_p`: these are accepted
and ignored. A field that asks for something else than text about a page is refused.
"""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo

from deployments.errors import InvalidRequest
from serve_app.api.schemas import ImageUrl

_MAX_MESSAGES = 1_000
_MAX_PARTS = 1_000


def _as_parts(value: object) -> object:
    return [{"type": "text", "text": value}] if isinstance(value, str) else value


def _as_image_url(value: object) -> object:
    return {"url": value} if isinstance(value, str) else value


def _not_offered(value: object, info: ValidationInfo) -> object:
    if value in (None, False, 0, "none", "auto", [], ["text"], {"type": "text"}):
        return value
    raise InvalidRequest(f"{info.field_name} is not offered here; leave it out.", info.field_name)


def _one(value: int | None) -> int | None:
    if value not in (None, 1):
        raise InvalidRequest("One answer a request is given; leave n out or set it to 1.", "n")
    return value


_NotOffered = Annotated[Any, BeforeValidator(_not_offered)]


class _Lenient(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class TextPart(_Lenient):
    """Words: a task or a prompt."""

    type: Literal["text"]
    text: str


class _ImageAddress(ImageUrl):
    model_config = ConfigDict(extra="ignore", frozen=True)


class ImagePart(_Lenient):
    """A picture; a PDF is taken too."""

    type: Literal["image_url"]
    image_url: Annotated[_ImageAddress, BeforeValidator(_as_image_url)]


class FileData(_Lenient):
    """A file's content."""

    file_data: str | None = Field(None, description="A data URI with base64, or the base64 alone.")
    filename: str | None = Field(None, max_length=1_000)
    file_id: str | None = None


class FilePart(_Lenient):
    """A PDF or picture as a file."""

    type: Literal["file"]
    file: FileData


Part = Annotated[TextPart | ImagePart | FilePart, Field(discriminator="type")]


class Message(_Lenient):
    """One message; only the last one of the user counts."""

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: Annotated[
        Annotated[list[Part], Field(max_length=_MAX_PARTS)] | None, BeforeValidator(_as_parts)
    ] = None


class StreamOptions(_Lenient):
    """What a stream holds beside the text."""

    include_usage: bool | None = Field(None, description="End the stream with a chunk that has the usage.")


class ChatRequest(_Lenient):
    """A page and what to do with it."""

    model: str = Field(max_length=200, description="As `/v1/models` lists it.")
    messages: list[Message] = Field(min_length=1, max_length=_MAX_MESSAGES)
    stream: bool | None = Field(None, description="Answer with server-sent events.")
    stream_options: StreamOptions | None = None
    max_tokens: int | None = Field(None, ge=1, description="Most tokens of a page's answer.")
    max_completion_tokens: int | None = Field(None, ge=1, description="The newer name of `max_tokens`.")
    temperature: float | None = Field(
        None, ge=0, le=2, description="0 by default; the embedded engine does not sample and ignores it."
    )
    n: Annotated[int | None, AfterValidator(_one)] = Field(None, description="1.")
    tools: _NotOffered = Field(None, description="Not offered.")
    tool_choice: _NotOffered = Field(None, description="Not offered.")
    functions: _NotOffered = Field(None, description="Not offered.")
    function_call: _NotOffered = Field(None, description="Not offered.")
    response_format: _NotOffered = Field(None, description="Not offered but for text.")
    modalities: _NotOffered = Field(None, description="Not offered but for text.")
    audio: _NotOffered = Field(None, description="Not offered.")
    stop: _NotOffered = Field(None, description="Not offered.")
    logprobs: _NotOffered = Field(None, description="Not offered.")
    top_logprobs: _NotOffered = Field(None, description="Not offered.")

    @property
    def limit(self) -> int | None:
        """Most tokens, under either name."""
        return self.max_completion_tokens or self.max_tokens


class ChatUsage(BaseModel):
    """What the answer took; with several pages, their sums."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


ChatFinish = Literal["stop", "length"]


class ChatAnswer(BaseModel):
    """The text."""

    role: Literal["assistant"] = "assistant"
    content: str
    refusal: None = None


class ChatChoice(BaseModel):
    """The one answer. Text that ran in circles and was cut has the finish reason `length`."""

    index: int = 0
    message: ChatAnswer
    logprobs: None = None
    finish_reason: ChatFinish


class ChatCompletion(BaseModel):
    """A whole answer."""

    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    choices: list[ChatChoice]
    usage: ChatUsage


class ChatDelta(BaseModel):
    """A piece of the text."""

    role: Literal["assistant"] | None = None
    content: str | None = None


class ChatChunkChoice(BaseModel):
    """A piece of the one answer."""

    index: int = 0
    delta: ChatDelta
    finish_reason: ChatFinish | None = None


class ChatChunk(BaseModel):
    """An event of a streamed answer."""

    id: str
    object: Literal["chat.completion.chunk"] = "chat.completion.chunk"
    created: int
    model: str
    choices: list[ChatChunkChoice]
    usage: ChatUsage | None = None
