"""What a reader made of a page."""

from dataclasses import dataclass

from deployments.types import Block


@dataclass(frozen=True, slots=True)
class Answer:
    """A page as it was read.

    Attributes:
        markdown: what it says; plain text from readers that know no structure.
        blocks: with boxes in pixels of the page image, from readers that know them, else None.
        size: width and height of the page image in which the boxes are.
        ran_away: whether the model never came to an end.
        error: what went wrong, if the page failed.
        seconds: that passed.
        cpu_seconds: processor time of all threads and child processes, where it is known.
    """

    markdown: str = ""
    blocks: tuple[Block, ...] | None = None
    size: tuple[int, int] | None = None
    ran_away: bool = False
    error: str | None = None
    seconds: float = 0.0
    cpu_seconds: float | None = None
