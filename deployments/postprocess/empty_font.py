"""A TrueType font with one glyph that has no shape, made of the tables that PDF readers ask for.

PDF wants fonts embedded; text that is never drawn needs no shapes. The layout is that of the OpenType
specification 1.9; numbers not explained here are versions and zeros.
"""

import struct

_UNITS_PER_EM = 1_000
_MAGIC = 0x5F0F3CF5
_CHECKSUM_BASE = 0xB1B0AFBA


def _checksum(data: bytes) -> int:
    padded = data + bytes(-len(data) % 4)
    words: tuple[int, ...] = struct.unpack(f">{len(padded) // 4}I", padded)
    return sum(words) & 0xFFFFFFFF


def _font() -> bytes:
    head = struct.pack(
        ">IIIIHHqqhhhhHHhhh",
        0x00010000, 0x00010000, 0, _MAGIC, 0, _UNITS_PER_EM, 0, 0, 0, -200, 1000, 800, 0, 8, 2, 0, 0,
    )  # fmt: skip
    # Ascender, descender and line gap, widest advance, then one horizontal metric.
    hhea = struct.pack(">IhhhH11hH", 0x00010000, 800, -200, 0, 500, *([0] * 11), 1)
    # One glyph without points or instructions; the fourth field is the number of zones.
    maxp = struct.pack(">IH13H", 0x00010000, 1, 0, 0, 0, 0, 1, *([0] * 8))
    # A subtable of format 0 that leads every byte to the one glyph.
    cmap = struct.pack(">HHHHI", 0, 1, 1, 0, 12) + struct.pack(">HHH", 0, 262, 0) + bytes(256)
    tables = {
        b"cmap": cmap,
        b"glyf": bytes(4),
        b"head": head,
        b"hhea": hhea,
        b"hmtx": struct.pack(">Hh", 500, 0),
        b"loca": struct.pack(">HH", 0, 0),
        b"maxp": maxp,
    }
    # Four entries are the largest power of two in seven: the search fields of the table directory.
    directory = struct.pack(">IHHHH", 0x00010000, len(tables), 64, 2, 16 * len(tables) - 64)
    offset = len(directory) + 16 * len(tables)
    body = b""
    for name, data in tables.items():
        directory += struct.pack(">4sIII", name, _checksum(data), offset + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    font = directory + body
    adjustment = (_CHECKSUM_BASE - _checksum(font)) & 0xFFFFFFFF
    place = offset + body.index(head) + 8
    return font[:place] + struct.pack(">I", adjustment) + font[place + 4 :]


EMPTY_TRUETYPE = _font()
