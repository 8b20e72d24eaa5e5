"""A page as pixels."""

from dataclasses import dataclass

from deployments.errors import TooManyPixels
from deployments.types import Pixels


@dataclass(frozen=True, slots=True)
class PageImage:
    """An upright page.

    Attributes:
        pixels: uint8 RGB, shape (height, width, 3), C-contiguous; possibly read-only.
        dpi: at which a PDF page was drawn, or the resolution a picture states, else None.
    """

    pixels: Pixels
    dpi: int | None


def check_pixels(width: int, height: int, max_pixels: int, advice: str) -> None:
    """Refuse a page image that would be too large, before it is made.

    Args:
        width: in pixels.
        height: in pixels.
        max_pixels: most pixels allowed.
        advice: one sentence, what the sender can do.

    Raises:
        TooManyPixels: width times height is over the limit.
    """
    if width * height > max_pixels:
        raise TooManyPixels(
            f"The page image would have {width} x {height} pixels; the limit is {max_pixels:,}. {advice}"
        )
