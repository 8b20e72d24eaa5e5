"""Pictures of every mode to 8-bit RGB, and upright."""

import struct

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image, ImageCms

from deployments.types import Pixels

# TIFF 6.0, section 8.
_BITS_PER_SAMPLE, _PHOTOMETRIC, _WHITE_IS_ZERO = 258, 262, 0

# EXIF 2.32, tag 0x0112: how the stored picture must be turned to stand upright.
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def upright_rgb(image: Image.Image) -> Pixels:
    """Turn a loaded picture into RGB, its transparent parts on white, and stand it upright.

    Args:
        image: a decoded picture of any mode that Pillow's readers give.

    Returns:
        uint8, shape (height, width, 3).
    """
    rgb = _to_rgb(image)
    turn = _UPRIGHT.get(_orientation(image))
    return np.asarray(rgb if turn is None else rgb.transpose(turn))


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation: 1, upright, where none is stated or the EXIF data is damaged.

    Pillow turns TIFF pages as it loads them, and then no longer reports an orientation.
    """
    try:
        value = image.getexif().get(ExifTags.Base.Orientation)
    except (OSError, SyntaxError, ValueError, TypeError, KeyError, IndexError, struct.error):
        return 1
    return value if isinstance(value, int) else 1


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "F" or image.mode.startswith("I"):
        image = Image.fromarray(_deep_grey(image))
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        paper = Image.new("RGBA", layer.size, "white")
        paper.alpha_composite(layer)
        image = paper
    if image.mode == "LAB":
        lab, rgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
        image = ImageCms.profileToProfile(image, lab, rgb, outputMode="RGB") or image
    return image if image.mode == "RGB" else image.convert("RGB")


def _deep_grey(image: Image.Image) -> npt.NDArray[np.uint8]:
    """Scale grey samples of more than 8 bits to 8.

    Unsigned samples are scaled by their bit depth. 32-bit and floating-point samples state no range:
    0 to 1 (floats), 0 to 255 and 0 to 65,535 are taken as such, any other is stretched between its ends.
    """
    samples = np.asarray(image)
    tags = getattr(image, "tag_v2", {})
    if samples.dtype.kind == "u":
        depth = tags.get(_BITS_PER_SAMPLE, (16,))[0]
        top = 2**depth - 1
        # A table of all values needs a byte a pixel where arithmetic would need eight.
        levels = np.minimum((np.arange(65536) * 255 + top // 2) // top, 255).astype(np.uint8)
        grey: npt.NDArray[np.uint8] = levels[samples]
    else:
        values = np.nan_to_num(samples.astype(np.float32), nan=0.0, posinf=0.0, neginf=0.0)
        low, high = float(values.min()), float(values.max())
        if low >= 0 and high <= 65535:
            is_fraction = samples.dtype.kind == "f" and high <= 1
            low, high = 0.0, 1.0 if is_fraction else 255.0 if high <= 255 else 65535.0
        values -= low
        values *= 255 / ((high - low) or 1)
        grey = np.rint(values, out=values).clip(0, 255).astype(np.uint8)
    # Pillow inverts the shallow modes itself.
    return 255 - grey if tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO else grey
