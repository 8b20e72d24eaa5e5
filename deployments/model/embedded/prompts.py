"""What a prompt asks for, as far as an engine that can't follow instructions can tell."""

import re
from dataclasses import dataclass
from enum import StrEnum

from deployments.types import Task


class Form(StrEnum):
    """What the engine writes for a page."""

    GROUNDED = "grounded"
    TEXT = "text"
    TABLES = "tables"
    LOCATE = "locate"


@dataclass(frozen=True, slots=True)
class Wish:
    """The form of the answer, and the text to locate where that is asked for."""

    form: Form
    wanted: str = ""


def wish_of(task: Task, prompt: str) -> Wish:
    """Return what to write.

    The standard tasks say it themselves. Of a custom prompt only the form counts: text between
    `<|ref|>` and `<|/ref|>` is located, `<|grounding|>` asks for markup with boxes, and anything else
    gets plain text.

    Args:
        task: of the request.
        prompt: the whole prompt.
    """
    if task is Task.MARKDOWN:
        return Wish(Form.GROUNDED)
    if task is Task.TEXT:
        return Wish(Form.TEXT)
    if task is Task.TABLE:
        return Wish(Form.TABLES)
    wanted = re.search(r"<\|ref\|>(.{1,4000}?)<\|/ref\|>", prompt, re.DOTALL)
    if wanted and wanted.group(1).strip():
        return Wish(Form.LOCATE, wanted.group(1).strip())
    return Wish(Form.GROUNDED if "<|grounding|>" in prompt else Form.TEXT)
