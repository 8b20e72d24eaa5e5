"""Task to prompt, and prompt with page to token ids and views."""

import re

import numpy as np
from PIL import Image
from tokenizers import Tokenizer

from deployments.errors import InvalidRequest
from deployments.preprocess.settings import ViewSettings
from deployments.preprocess.tiling import make_views
from deployments.tokenizer import BOS_TOKEN_ID, IMAGE_TOKEN, IMAGE_TOKEN_ID
from deployments.types import MAX_PROMPT_CHARS, ModelInput, Pixels, Task

# As the model's authors give them.
PROMPTS = {
    Task.MARKDOWN: f"{IMAGE_TOKEN}\n<|grounding|>Convert the document to markdown.",
    Task.TEXT: f"{IMAGE_TOKEN}\nFree OCR.",
    Task.TABLE: f"{IMAGE_TOKEN}\n<|grounding|>Extract the table content.",
}

MAX_PROMPT_TOKENS = 2_000
"""Longest prompt beside the image's tokens (at most 1,121 of the context's 8,192); in scripts that cost
several tokens a character, this comes before `MAX_PROMPT_CHARS`."""

_VIEWS = ViewSettings()

# Words in this form steer the model; the tokenizer has hundreds, among them those that begin and end
# a text or change the speaker. These few are for prompts.
_STEERING = re.compile(r"<[|｜][^<>]*[|｜]>")  # noqa: RUF001 - the model's words have this wide bar
_ALLOWED = {"<|grounding|>", "<|ref|>", "<|/ref|>", "<|det|>", "<|/det|>"}


def prompt_for(task: Task, prompt: str | None = None) -> str:
    """Give the whole prompt for a task.

    Args:
        task: what to do.
        prompt: the user's own, for `Task.CUSTOM` alone; `<image>` is put in front where it has none.

    Returns:
        A prompt with exactly one `<image>`.

    Raises:
        InvalidRequest: a prompt is missing, not wanted, empty, too long, or has words it may not have.
    """
    if task is not Task.CUSTOM:
        if prompt is not None:
            raise InvalidRequest(
                f'A prompt goes with the task "{Task.CUSTOM}", not with "{task}".', param="prompt"
            )
        return PROMPTS[task]
    if prompt is None or not prompt.replace(IMAGE_TOKEN, "").strip():
        raise InvalidRequest(f'The task "{Task.CUSTOM}" needs a prompt.', param="prompt")
    if len(prompt) > MAX_PROMPT_CHARS:
        raise InvalidRequest(
            f"The prompt has {len(prompt):,} characters; the limit is {MAX_PROMPT_CHARS:,}.", param="prompt"
        )
    if prompt.count(IMAGE_TOKEN) > 1:
        raise InvalidRequest(f"The prompt may have {IMAGE_TOKEN} once.", param="prompt")
    if not prompt.isascii() and any("\ud800" <= char <= "\udfff" for char in prompt):
        raise InvalidRequest("The prompt has half of a surrogate pair, which is no text.", param="prompt")
    for word in _STEERING.findall(prompt):
        if word not in _ALLOWED:
            raise InvalidRequest(
                f"The prompt may not have {word}. Of such words it may have {', '.join(sorted(_ALLOWED))}.",
                param="prompt",
            )
    return prompt if IMAGE_TOKEN in prompt else f"{IMAGE_TOKEN}\n{prompt}"


def tokenize_with_images(
    image: Pixels | Image.Image,
    prompt: str,
    tokenizer: Tokenizer,
    settings: ViewSettings = _VIEWS,
    crop: bool = True,
) -> ModelInput:
    """Make a page and its prompt into what the model reads.

    Token ids are BOS, the text before `<image>`, the image's tokens (tiles, global view, separator),
    the text after it. The BOS is written here, never left to a tokenizer's settings.

    Args:
        image: the upright page, uint8 RGB of shape (height, width, 3), or a picture of Pillow's.
        prompt: with exactly one `<image>`, as `prompt_for` gives it.
        tokenizer: the model's.
        settings: sizes and tile counts.
        crop: whether to make tiles.

    Raises:
        InvalidRequest: the prompt has not exactly one `<image>`, or too many tokens.
    """
    texts = prompt.split(IMAGE_TOKEN)
    if len(texts) != 2:
        raise InvalidRequest(f"The prompt must have {IMAGE_TOKEN} exactly once.", param="prompt")
    before, after = (tokenizer.encode(text, add_special_tokens=False).ids for text in texts)
    if len(before) + len(after) > MAX_PROMPT_TOKENS:
        raise InvalidRequest(
            f"The prompt has {len(before) + len(after):,} tokens; the limit is {MAX_PROMPT_TOKENS:,}.",
            param="prompt",
        )
    pixels = np.asarray(image.convert("RGB")) if isinstance(image, Image.Image) else image
    global_view, tiles, grid = make_views(pixels, settings, crop)
    count = grid.tiles * settings.tile_tokens + settings.global_tokens + 1
    token_ids = np.array([BOS_TOKEN_ID, *before, *[IMAGE_TOKEN_ID] * count, *after], np.int32)
    return ModelInput(token_ids=token_ids, global_view=global_view, tiles=tiles, grid=grid)
