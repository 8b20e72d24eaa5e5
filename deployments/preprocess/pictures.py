"""Pages of picture files, decoded by Pillow."""

import math
import struct
import zlib
from collections.abc import Callable
from io import BytesIO

from PIL import Image, ImageFile
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from deployments.errors import CorruptDocument, CorruptPage, TooManyPages, TooManyPixels
from deployments.preprocess.colours import upright_rgb
from deployments.preprocess.page_image import PageImage, check_pixels
from deployments.preprocess.settings import DocumentLimits
from deployments.preprocess.tiff import count_pages

# The plugins' classes are called directly: `Image.open` would try other formats, and would check the
# size against the process-wide MAX_IMAGE_PIXELS before ours could be, with a warning or an error.
_READERS: dict[str, Callable[[BytesIO], ImageFile.ImageFile]] = {
    "image/bmp": BmpImageFile,
    "image/gif": GifImageFile,
    "image/jpeg": JpegImageFile,
    "image/png": PngImageFile,
    "image/tiff": TiffImageFile,
    "image/webp": WebPImageFile,
}

# What Pillow's parsers are known to raise on damaged files.
_DAMAGE = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    AttributeError,
    LookupError,
    ArithmeticError,
    EOFError,
    RuntimeError,
    struct.error,
    zlib.error,
)


class PicturePages:
    """An open picture file: one page, or one for each image of a TIFF. For one thread at a time.

    Of animations the first picture alone is read.

    Raises:
        CorruptDocument: its headers can't be read.
        TooManyPages: a TIFF with more images than allowed.
    """

    def __init__(self, media_type: str, data: bytes, limits: DocumentLimits) -> None:
        self.media_type = media_type
        self._limits = limits
        try:
            self._image = _READERS[media_type](BytesIO(data))
            self.page_count = self._count(data)
        except Image.DecompressionBombError as error:
            raise self._too_many_pixels() from error
        except _DAMAGE as error:
            raise CorruptDocument(
                f"The file looks like {media_type}, but it is damaged or of a rare kind that can't be read."
            ) from error

    def _too_many_pixels(self) -> TooManyPixels:
        return TooManyPixels(
            f"The picture has more pixels than the limit of {self._limits.max_pixels:,}. Make it smaller."
        )

    def _count(self, data: bytes) -> int:
        if not isinstance(self._image, TiffImageFile):
            return 1
        count = count_pages(data, self._limits.max_pages)
        if count > self._limits.max_pages:
            raise TooManyPages(f"The TIFF has more than {self._limits.max_pages:,} pages. Split it.")
        return count

    def render(self, index: int, dpi: int) -> PageImage:
        """Decode a page.

        Args:
            index: page number from 0, within the document.
            dpi: has no effect; a picture keeps its pixels.

        Raises:
            CorruptPage: the pixels can't be decoded.
            TooManyPixels: the headers state too many; nothing was decoded.
        """
        try:
            if isinstance(self._image, TiffImageFile):
                self._image.seek(index)
            check_pixels(*self._image.size, self._limits.max_pixels, "Make the picture smaller.")
            self._image.load()
            return PageImage(upright_rgb(self._image), self._stated_dpi())
        except Image.DecompressionBombError as error:
            raise self._too_many_pixels() from error
        except _DAMAGE as error:
            raise CorruptPage(f"Page {index} is damaged: its picture can't be decoded.") from error

    def _stated_dpi(self) -> int | None:
        across = float(self._image.info.get("dpi", (0, 0))[0])
        # Pillow gives 1 for a TIFF that states none.
        return round(across) if math.isfinite(across) and across > 1 else None

    def close(self) -> None:
        """Free the picture. Idempotent."""
        self._image.close()
