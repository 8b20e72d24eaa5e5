"""Pages as small pictures for people to look at."""

import io

from PIL import Image

from deployments.preprocess.page_image import PageImage
from deployments.types import PagePicture

_JPEG_QUALITY = 80


def picture(page: PageImage, index: int, side: int) -> PagePicture:
    """Return a page as JPEG.

    Args:
        page: as it is drawn to be read.
        index: its number from 0.
        side: most pixels of the picture's longer side; a smaller page keeps its size.
    """
    height, width, _ = page.pixels.shape
    image = Image.fromarray(page.pixels)
    # Half-size steps first, which cost little, then exactly: Image.thumbnail's own way.
    image.thumbnail((side, side), Image.Resampling.BICUBIC, reducing_gap=2.0)
    out = io.BytesIO()
    image.save(out, "JPEG", quality=_JPEG_QUALITY)
    return PagePicture(index, width, height, page.dpi, out.getvalue())
