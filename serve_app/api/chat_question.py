"""What a chat request asks for: which document, which task, and the answer in which form."""

from dataclasses import dataclass

from deployments.errors import InvalidRequest
from deployments.preprocess.prompts import PROMPTS
from deployments.types import Task
from serve_app.api.chat_schemas import ChatRequest, FilePart, ImagePart, Message, Part, TextPart
from serve_app.api.schemas import OcrOptions
from serve_app.reading import Writing

_TASK_WORDS: dict[str, Task] = {task.value: task for task in Task if task is not Task.CUSTOM}
_IMAGE_MARK = "<image>"


def _words(text: str) -> str:
    """A prompt without the page's place in it, which clients of vLLM's endpoint leave to its template."""
    return " ".join(text.replace(_IMAGE_MARK, " ").split())


_KNOWN_PROMPTS: dict[str, Task] = {_words(prompt): task for task, prompt in PROMPTS.items()}


@dataclass(frozen=True, slots=True)
class Question:
    """A chat request, understood.

    Attributes:
        address: of the document: a data URI, or an http or https address.
        param: the field that the address stands in.
        options: how the document is read.
        raw: whether the answer is the text as the model wrote it, else the pages' Markdown.
        writing: how the engine writes.
    """

    address: str
    param: str
    options: OcrOptions
    raw: bool
    writing: Writing


def understand(request: ChatRequest) -> Question:
    """Read the last message of the user; those before it and system messages do not count.

    No text, or the name of a task (`markdown`, `text`, `table`), asks for that task's result as
    Markdown. One of the model's own prompts asks for that task, and any other text is a prompt of the
    user's own: both get the text as the model wrote it, as vLLM's endpoint gives it.

    Raises:
        InvalidRequest: there is not exactly one document, or one given in a way that is not offered.
    """
    index = max((i for i, message in enumerate(request.messages) if message.role == "user"), default=None)
    if index is None:
        raise InvalidRequest("There is no message of the role 'user'.", "messages")
    message = request.messages[index]
    address, param = _document(message, f"messages.{index}.content")
    text = "\n".join(part.text for part in message.content or () if isinstance(part, TextPart)).strip()
    task = Task.MARKDOWN if not _words(text) else _TASK_WORDS.get(_words(text).lower())
    raw = task is None
    if task is None:
        task = _KNOWN_PROMPTS.get(_words(text), Task.CUSTOM)
    prompt = text if task is Task.CUSTOM else None
    return Question(
        address=address,
        param=param,
        options=OcrOptions.model_construct(task=task, prompt=prompt, stream=bool(request.stream)),
        raw=raw,
        # A stream can't take back what it sent, so that a streamed page is not read again.
        writing=Writing(request.limit, request.temperature or 0.0, retry=not (raw and request.stream)),
    )


def _document(message: Message, place: str) -> tuple[str, str]:
    """Return the address of the message's one document, and the field it stands in."""
    found = [
        (part, f"{place}.{number}")
        for number, part in enumerate(message.content or ())
        if not isinstance(part, TextPart)
    ]
    if len(found) != 1:
        what = "no document" if not found else f"{len(found)} documents"
        raise InvalidRequest(
            f"The last message of the user has {what}; send one, as an image_url or a file.", place
        )
    part, param = found[0]
    return _address(part, param)


def _address(part: Part, param: str) -> tuple[str, str]:
    match part:
        case ImagePart(image_url=image):
            return image.url, f"{param}.image_url.url"
        case FilePart(file=file) if file.file_data is not None:
            data = file.file_data
            return data if data[:5].lower() == "data:" else f"data:;base64,{data}", f"{param}.file.file_data"
    raise InvalidRequest(
        "Files can't be uploaded beforehand here: send the file's content as file_data.", f"{param}.file"
    )
