"""How many pages a TIFF has."""

import struct


def count_pages(data: bytes, most: int) -> int:
    """Follow a TIFF's chain of directories, one a page (TIFF 6.0, section 2; BigTIFF likewise).

    Pillow counts without a bound, and wrongly after a seek past the end. A chain that leads back into
    itself ends there, as Pillow has it.

    Args:
        data: the whole file, which starts with a TIFF's mark.
        most: counting stops here.

    Returns:
        The number of pages, or `most` + 1 where there are more.

    Raises:
        struct.error: the chain leads out of the file.
    """
    order = "<" if data.startswith(b"II") else ">"
    is_big = 43 in data[2:4]
    count_form, offset_form, entry = (
        (order + "Q", order + "Q", 20) if is_big else (order + "H", order + "I", 12)
    )
    (offset,) = struct.unpack_from(offset_form, data, 8 if is_big else 4)
    seen: set[int] = set()
    while offset and offset not in seen and len(seen) <= most:
        seen.add(offset)
        (entries,) = struct.unpack_from(count_form, data, offset)
        (offset,) = struct.unpack_from(
            offset_form, data, offset + struct.calcsize(count_form) + entries * entry
        )
    return len(seen)
