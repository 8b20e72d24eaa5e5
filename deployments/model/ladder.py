"""What is tried with a page that runs away: the rungs of a ladder, per task."""

from typing import NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from deployments.types import Task

NGRAM_SIZE = 20
"""No n-gram of 20 tokens may repeat: the model's own setting."""


class Attempt(NamedTuple):
    """One try at a page.

    Attributes:
        crop: whether tiles may be used; a request without cropping never gets any.
        ngram_size: see `GenerationOptions`.
        ngram_window: see `GenerationOptions`.
    """

    crop: bool = True
    ngram_size: int = NGRAM_SIZE
    ngram_window: int = 90


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
