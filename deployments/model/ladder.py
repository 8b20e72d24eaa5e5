"""What is tried with a page that runs away: the rungs of a ladder, per task."""

from typing import Annotated, NamedTuple

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from deployments.types import Task

NGRAM_SIZE = 20
"""No n-gram of 20 tokens may repeat: the model's own setting."""


def _more_than_a_token(size: int) -> int:
    if size == 1:
        raise ValueError("an n-gram size is 0 (the rule is off) or at least 2: single tokens must repeat")
    return size


class Attempt(NamedTuple):
    """One try at a page.

    Attributes:
        crop: whether tiles may be used; a request without cropping never gets any.
        ngram_size: see `GenerationOptions`.
        ngram_window: see `GenerationOptions`.
    """

    crop: bool = True
    ngram_size: Annotated[int, Field(ge=0, le=256), AfterValidator(_more_than_a_token)] = NGRAM_SIZE
    ngram_window: Annotated[int, Field(ge=1, le=8_192)] = 90


PICTURE_LADDER = (Attempt(), Attempt(ngram_window=50), Attempt(crop=False, ngram_window=50))
"""The model's window for pictures, then its narrower one for bulk PDFs, then a coarser look at the page."""


class LadderSettings(BaseModel):
    """The attempts at a page, first to last, for each task; the last one's result stands."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    markdown: tuple[Attempt, ...] = Field(PICTURE_LADDER, min_length=1)
    text: tuple[Attempt, ...] = Field(PICTURE_LADDER, min_length=1)
    table: tuple[Attempt, ...] = Field(PICTURE_LADDER, min_length=1)
    custom: tuple[Attempt, ...] = Field(PICTURE_LADDER, min_length=1)

    def attempts(self, task: Task, crop: bool) -> tuple[Attempt, ...]:
        """Return the attempts for a task, without those that a page without cropping would only repeat."""
        rungs: tuple[Attempt, ...] = getattr(self, task.value)
        return tuple(dict.fromkeys(rung._replace(crop=rung.crop and crop) for rung in rungs))
